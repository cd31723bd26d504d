"""The Python side of `commlm bench`: measures one thing each time it is asked, so that both sides take turns.

Started as `python3 peer.py SUITE THREADS`. Prints one JSON line when ready, then one line of JSON for each line on
stdin: {"value": seconds}. Ends when stdin closes. Needs torch, and transformers for the suite `vit`.
"""

import json
import sys
import time


def say(message):
    print(json.dumps(message), flush=True)


def call_suite(torch):
    a, b = torch.ones(4), torch.ones(4)
    count = 20_000

    def run():
        start = time.perf_counter()
        for _ in range(count):
            a.add(b)
        return (time.perf_counter() - start) / count

    return run


def vit_suite(torch):
    from transformers import CLIPVisionConfig, CLIPVisionModel

    config = CLIPVisionConfig(
        hidden_size=1024,
        intermediate_size=4096,
        num_hidden_layers=24,
        num_attention_heads=16,
        image_size=336,
        patch_size=14,
    )
    model = CLIPVisionModel(config).eval()
    pixels = torch.randn(1, 3, 336, 336)

    def run():
        start = time.perf_counter()
        with torch.inference_mode():
            model(pixels)
        return time.perf_counter() - start

    return run


def main():
    suite, threads = sys.argv[1], int(sys.argv[2])
    try:
        import torch

        torch.set_num_threads(threads)
        versions = {"torch": torch.__version__}
        if suite == "vit":
            # Only the model is measured: a torchvision that does not fit this torch would keep transformers from loading.
            sys.modules["torchvision"] = None
            import transformers

            versions["transformers"] = transformers.__version__
        run = {"call": call_suite, "vit": vit_suite}[suite](torch)
    except ImportError as error:
        say({"missing": str(error)})
        return
    say({"ready": True, "versions": versions, "threads": torch.get_num_threads()})
    for _ in sys.stdin:
        say({"value": run()})


main()
