"""What transformers gives for pictures: python reference_dinov2.py FOLDER OUT PICTURE...   (FOLDER as dinov2.py writes it)

OUT/<n>.safetensors holds for picture n
  pixels      the picture as transformers' processor prepares it, f32[3, H, W]
  hidden.<i>  hidden states: 0 the input of the first block, i the output of block i; f32[1, T, 384]
  normed      the last one behind the final norm
The first pictures are prepared again for OTHER_GRIDS, behind all others. OUT/reference.json lists them in order, with what
transformers itself loses in f32 (against f64) and in bf16 (against f32): the largest difference, relative to the largest value
of a level.
"""

import json
import pathlib
import sys

# Not needed here, and its import fails where it does not fit the installed torch.
sys.modules["torchvision"] = None

import torch
from PIL import Image
from safetensors.torch import save_file
from transformers import Dinov2Model
from transformers.models.bit.image_processing_pil_bit import BitImageProcessorPil

# Height and width in pixels: the table of positions as it is stored, and two that need it resized, one of them not square.
OTHER_GRIDS = [(518, 518), (336, 490), (98, 140)]


def levels(network, pixels):
    with torch.no_grad():
        output = network(pixels[None], output_hidden_states=True)
    named = {f"hidden.{i}": state for i, state in enumerate(output.hidden_states)}
    return named | {"normed": output.last_hidden_state}


def loss(states, expected):
    def largest(names):
        return max(float((states[name].double() - expected[name].double()).abs().max() / expected[name].double().abs().max())
                   for name in names)

    return {"hidden": largest([name for name in expected if name.startswith("hidden.")]), "normed": largest(["normed"])}


def prepare(processor, path, size=None):
    """Pixels of one picture; with `size` its shorter side fills that frame and the middle is cut out."""
    other = {} if size is None else {
        "size": {"shortest_edge": max(size)}, "crop_size": {"height": size[0], "width": size[1]}}
    return processor(Image.open(path), return_tensors="pt", **other).pixel_values[0]


if __name__ == "__main__":
    folder, out, *pictures = sys.argv[1:]
    processor = BitImageProcessorPil.from_pretrained(folder)
    network, exact, rounded = (Dinov2Model.from_pretrained(folder, dtype=dtype).eval()
                               for dtype in (torch.float32, torch.float64, torch.bfloat16))
    inputs = [(path, None) for path in pictures] + list(zip(pictures[:len(OTHER_GRIDS)], OTHER_GRIDS))
    reference = []
    for number, (path, size) in enumerate(inputs):
        pixels = prepare(processor, path, size)
        states = levels(network, pixels)
        save_file({"pixels": pixels.contiguous()} | {name: state.contiguous() for name, state in states.items()},
                  pathlib.Path(out) / f"{number}.safetensors")
        reference.append({
            "picture": path,
            "grid": None if size is None else [side // 14 for side in size],
            "lost": {
                "f64": loss(states, levels(exact, pixels.double())),
                "bf16": loss(levels(rounded, pixels.bfloat16()), states),
            },
        })
        print(f"transformers: picture {number + 1} of {len(inputs)}", file=sys.stderr)
    (pathlib.Path(out) / "reference.json").write_text(json.dumps(reference, indent=1) + "\n")
