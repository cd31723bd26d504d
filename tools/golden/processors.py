"""What transformers' image processors make of preprocessor_config.json files that leave fields out (transformers 5.24.0, pillow 13.0.0).

Run: python3 tools/golden/processors.py tests/golden/images     (writes processors.json)

Each case has the model's type, the file's fields, the size and seed of a noise picture (as in pillow_resize.py), and the
digest of the pixels as f32; or `error`, where the reference itself refuses.
"""

import hashlib
import json
import pathlib
import sys
import tempfile

sys.modules["torchvision"] = None

import numpy as np
from PIL import Image
from transformers import AutoImageProcessor

CONFIGS = {
    "clip": {}, "dinov2": {}, "siglip": {}, "vit": {}, "vit_mae": {}, "deit": {}, "llava": {},
    "clip_vision_model": {}, "dinov2_with_registers": {}, "siglip_vision_model": {},
}
TYPES = ["CLIPImageProcessor", "BitImageProcessor", "LlavaImageProcessor", "ViTImageProcessor", "DeiTImageProcessor",
         "SiglipImageProcessor", "BlipImageProcessor"]
# What files leave out, change or spell in older ways.
CHANGES = [
    {},
    {"size": {"shortest_edge": 48}},
    {"size": {"shortest_edge": 48}, "crop_size": {"height": 40, "width": 40}},
    {"size": {"shortest_edge": 48}, "do_center_crop": False},
    {"size": {"height": 48, "width": 48}},
    {"size": {"height": 48, "width": 48}, "crop_size": 32},
    {"size": {"height": 48, "width": 48}, "do_center_crop": True, "crop_size": 40},
    {"size": {"height": 48, "width": 48}, "do_center_crop": False},
    {"size": 48},
    {"size": 48, "crop_size": 48},
    {"size": [48, 48], "crop_size": 48},
    {"size": {"shortest_edge": 48}, "crop_size": 48, "image_mean": [0.1, 0.2, 0.3]},
    {"size": {"shortest_edge": 48}, "crop_size": 48, "image_std": [0.1, 0.2, 0.3], "resample": None},
    {"size": {"height": 48, "width": 48}, "crop_size": 48, "resample": 2},
    {"size": {"height": 48, "width": 48}, "crop_size": 48, "resample": 1},
    {"size": {"height": 48, "width": 48}, "crop_size": 48, "do_normalize": False},
    {"size": {"height": 48, "width": 48}, "crop_size": 48, "do_normalize": None, "image_mean": None},
    {"size": {"height": 48, "width": 48}, "crop_size": 48, "image_mean": 0.5, "image_std": 0.25},
    {"size": {"height": 48, "width": 48}, "crop_size": 48, "do_pad": True},
    {"size": {"shortest_edge": 48}, "crop_size": 48, "do_pad": True},
    {"size": {"shortest_edge": 48}, "crop_size": 48, "do_pad": True, "do_normalize": False},
    {"size": {"shortest_edge": 48}, "do_center_crop": True, "crop_size": {"height": 64, "width": 64}},
    {"size": {"shortest_edge": 48, "longest_edge": None}, "crop_size": 48},
]


def picture(width, height, seed):
    data, state = [], seed
    for _ in range(width * height * 3):
        state = (state * 1664525 + 1013904223) & 0xFFFFFFFF
        data.append(state >> 24)
    return Image.fromarray(np.array(data, dtype=np.uint8).reshape(height, width, 3))


def case(model_type, fields, size, seed):
    entry = {"modelType": model_type, "fields": fields, "from": size, "seed": seed}
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        (folder / "config.json").write_text(json.dumps({"model_type": model_type}))
        (folder / "preprocessor_config.json").write_text(json.dumps(fields))
        try:
            processor = AutoImageProcessor.from_pretrained(folder)
            pixels = processor(picture(*size, seed), return_tensors="np")["pixel_values"][0]
        except Exception as error:
            return entry | {"error": type(error).__name__}
    assert pixels.shape[0] == 3
    bytes_ = np.ascontiguousarray(pixels.astype(np.float32)).tobytes()
    return entry | {"shape": list(pixels.shape[1:]), "sha256": hashlib.sha256(bytes_).hexdigest()[:16]}


def main(out):
    cases, seed = [], 1
    for type_ in TYPES:
        for change in CHANGES:
            seed += 2
            cases.append(case("clip", {"image_processor_type": type_, **change}, [61, 83], seed))
    for model_type in CONFIGS:
        for change in [{}, {"size": {"shortest_edge": 48}, "crop_size": 48}]:
            seed += 2
            cases.append(case(model_type, change, [61, 83], seed))
    for type_ in ["CLIPFeatureExtractor", "ViTFeatureExtractor", "BitImageProcessorFast", "ConvNextImageProcessor"]:
        field = "feature_extractor_type" if type_.endswith("Extractor") else "image_processor_type"
        seed += 2
        cases.append(case("clip", {field: type_}, [61, 83], seed))
    lines = ",\n".join(json.dumps(entry) for entry in cases)
    (out / "processors.json").write_text(f"[\n{lines}\n]\n")
    print(len(cases), "cases,", sum("error" in entry for entry in cases), "refused by the reference")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
