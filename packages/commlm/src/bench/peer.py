"""The Python side of `commlm bench`: measures one thing each time it is asked, so that both sides take turns.

Started as `python3 peer.py SUITE THREADS [...]`. Prints one JSON line when ready, then one line of JSON for each line on
stdin: {"value": seconds, ...}. Ends when stdin closes. Needs torch, and transformers for the suites `vit` and `train`.
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


def train_suite(torch):
    """A step of LlamaForCausalLM: checkpointed blocks, fused AdamW; bf16 by autocast, as the Trainer does it."""
    from pathlib import Path

    from safetensors.torch import load_file
    from transformers import LlamaForCausalLM

    folder, dtype, lr = Path(sys.argv[3]), sys.argv[4], float(sys.argv[5])
    model = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32).train()
    model.config.use_cache = False
    model.gradient_checkpointing_enable({"use_reentrant": False})
    batches = load_file(folder / "batches.safetensors")["ids"]
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr, betas=(0.9, 0.999), weight_decay=0.01, fused=True)
    count = 0

    def run():
        nonlocal count
        ids = batches[count % len(batches)]
        count += 1
        start, cpu = time.perf_counter(), time.process_time()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=dtype == "bf16"):
            loss = model(input_ids=ids, labels=ids).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
        return {"value": seconds, "cpu": cpu, "loss": loss.item(), "peakKiB": peak_kib()}

    return run


def peak_kib():
    try:
        with open("/proc/self/status") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("VmHWM:"))
    except OSError:
        return None


def main():
    suite, threads = sys.argv[1], int(sys.argv[2])
    try:
        import torch

        torch.set_num_threads(threads)
        versions = {"torch": torch.__version__}
        if suite in ("vit", "train"):
            # Only the model is measured: a torchvision that does not fit this torch would keep transformers from loading.
            sys.modules["torchvision"] = None
            import transformers

            versions["transformers"] = transformers.__version__
        run = {"call": call_suite, "vit": vit_suite, "train": train_suite}[suite](torch)
    except ImportError as error:
        say({"missing": str(error)})
        return
    say({"ready": True, "versions": versions, "threads": torch.get_num_threads()})
    for _ in sys.stdin:
        measured = run()
        say(measured if isinstance(measured, dict) else {"value": measured})


main()
