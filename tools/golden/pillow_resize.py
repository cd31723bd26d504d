"""Writes tests/golden/images: what Pillow 13.0.0 decodes, resizes and prepares, for the tests of packages/commlm/src/images.

Pictures to resize are made by a formula that the tests repeat, so only digests are stored.
Run from the repository root with pillow==13.0.0 and numpy==2.4.6: python3 tools/golden/pillow_resize.py
The version matters: Pillow 13 changed the order of the passes of resize for some sizes.
"""

import hashlib
import io
import json
from pathlib import Path

import numpy as np
import PIL
from PIL import Image, ImageOps

assert PIL.__version__ == "13.0.0", PIL.__version__
OUT = Path("tests/golden/images")
FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
CLIP_MEAN, CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]


def picture(width: int, height: int, seed: int) -> Image.Image:
    """Even seeds: noise of 0 and 255 (most overshoot); odd seeds: noise over all bytes."""
    state = np.uint32(seed)
    count = width * height * 3
    out = np.empty(count, np.uint8)
    with np.errstate(over="ignore"):
        for i in range(count):
            state = state * np.uint32(1664525) + np.uint32(1013904223)
            out[i] = state >> np.uint32(24)
    if seed % 2 == 0:
        out = np.where(out > 127, 255, 0).astype(np.uint8)
    return Image.fromarray(out.reshape(height, width, 3))


def resize_cases() -> list[dict]:
    sizes = [(1, 1), (2, 3), (5, 1), (7, 7), (16, 9), (31, 33), (64, 48), (97, 120), (160, 100), (211, 37), (37, 211), (60, 101), (2, 400), (300, 301)]
    targets = [(1, 1), (2, 5), (14, 14), (33, 31), (64, 48), (112, 112), (150, 40), (45, 61), (224, 224)]
    cases = []
    for number, (width, height) in enumerate(sizes):
        source = picture(width, height, number + 1)
        for target in targets:
            for name, resample in FILTERS.items():
                cases.append(
                    {
                        "from": [width, height],
                        "seed": number + 1,
                        "to": list(target),
                        "filter": name,
                        "sha256": digest(source.resize(target, resample).tobytes()),
                    }
                )
    return cases


def normalize(image: Image.Image, mean, std) -> np.ndarray:
    """What the transformers library does with a resized picture: rescale in f64, normalise in f32, channels first."""
    scaled = (np.asarray(image).astype(np.float64) * (1 / 255)).astype(np.float32)
    out = (scaled - np.array(mean, np.float32)) / np.array(std, np.float32)
    return np.ascontiguousarray(out.transpose(2, 0, 1))


def pad(image: Image.Image, color) -> Image.Image:
    width, height = image.size
    if width == height:
        return image
    side = max(width, height)
    canvas = Image.new("RGB", (side, side), color)
    canvas.paste(image, ((side - width) // 2, (side - height) // 2))
    return canvas


def crop(image: Image.Image, short_side: int, size: int) -> Image.Image:
    width, height = image.size
    short, long = sorted(image.size)
    other = int(short_side * long / short)
    image = image.resize((short_side, other) if width <= height else (other, short_side), FILTERS["bicubic"])
    left, top = (image.width - size) // 2, (image.height - size) // 2
    return image.crop((left, top, left + size, top + size))


def prepare_cases() -> list[dict]:
    cases = []
    for number, size in enumerate([(120, 97), (97, 120), (64, 64), (33, 100), (41, 40)]):
        image = picture(*size, number + 1)
        for fit in ("pad", "crop", "stretch"):
            if fit == "pad":
                color, mean, std = ((255, 255, 255), CLIP_MEAN, CLIP_STD) if number % 2 else ((122, 116, 104), IMAGENET_MEAN, IMAGENET_STD)
                square, short_side = pad(image, color).resize((56, 56), FILTERS["bicubic"]), None
            elif fit == "crop":
                color, mean, std = None, IMAGENET_MEAN, IMAGENET_STD
                short_side = 64 if number % 2 else 56
                square = crop(image, short_side, 56)
            else:
                color, mean, std, short_side = None, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5), None
                square = image.resize((56, 56), FILTERS["bicubic"])
            cases.append(
                {
                    "from": list(size),
                    "seed": number + 1,
                    "config": {
                        "size": 56,
                        "fit": fit,
                        "shortSide": short_side,
                        "padColor": color,
                        "resample": "bicubic",
                        "mean": mean,
                        "std": std,
                    },
                    "sha256": digest(normalize(square, mean, std).astype("<f4").tobytes()),
                }
            )
    return cases


def smooth(width: int, height: int) -> Image.Image:
    y, x = np.mgrid[0:height, 0:width]
    planes = [x * 255 / width, y * 255 / height, (x + 2 * y) * 255 / (width + 2 * height)]
    return Image.fromarray(np.stack(planes, -1).astype(np.uint8))


def decode_files() -> list[dict]:
    base = smooth(40, 30)
    alpha = Image.fromarray(np.tile(np.linspace(0, 255, 40).astype(np.uint8), (30, 1)))
    exif = Image.Exif()
    exif[0x0112] = 6
    files: dict[str, tuple[Image.Image, dict]] = {
        "rgb.png": (base, {}),
        "grey.png": (base.convert("L"), {}),
        "bilevel.png": (base.convert("1"), {}),
        "palette.png": (base.quantize(16), {}),
        "palette-alpha.png": (base.quantize(16), {"transparency": 3}),
        "alpha.png": (Image.merge("RGBA", (*base.split(), alpha)), {}),
        "grey-alpha.png": (Image.merge("LA", (base.convert("L"), alpha)), {}),
        "rgb.jpg": (base, {"quality": 90, "subsampling": 0}),
        "subsampled.jpg": (base, {"quality": 75}),
        "grey.jpg": (base.convert("L"), {"quality": 90}),
        "progressive.jpg": (base, {"quality": 80, "progressive": True}),
        "orientation.jpg": (base, {"quality": 90, "exif": exif}),
        "cmyk.jpg": (Image.merge("CMYK", (*base.split(), alpha)), {"quality": 90}),
        "rgb.webp": (base, {"lossless": True}),
        "cmyk.tiff": (Image.merge("CMYK", (*base.split(), alpha)), {}),
        "rgb.tiff": (base, {}),
    }
    records = []
    for name, (image, options) in files.items():
        buffer = io.BytesIO()
        image.save(buffer, format={"jpg": "JPEG", "tiff": "TIFF"}.get(name.split(".")[1], name.split(".")[1].upper()), **options)
        (OUT / name).write_bytes(buffer.getvalue())
    frames = [base.quantize(8), base.transpose(Image.Transpose.FLIP_LEFT_RIGHT).quantize(8)]
    frames[0].save(OUT / "animated.gif", save_all=True, append_images=frames[1:], duration=100)
    # 16 bits a channel cannot be written as RGB by Pillow, so the PNG is made by hand from its three chunks.
    (OUT / "rgb16.png").write_bytes(png16(base))
    for path in sorted(OUT.iterdir()):
        if path.suffix == ".json":
            continue
        with Image.open(path) as opened:
            rgb = ImageOps.exif_transpose(opened).convert("RGB")
        records.append({"file": path.name, "width": rgb.width, "height": rgb.height, "sha256": digest(rgb.tobytes())})
    return records


def png16(image: Image.Image) -> bytes:
    import struct
    import zlib

    samples = np.asarray(image).astype(">u2") * 257 + 90 * (np.asarray(image) % 2)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in samples)

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", image.width, image.height, 16, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


if __name__ == "__main__":
    OUT.mkdir(parents=True, exist_ok=True)
    golden = {
        "generator": f"tools/golden/pillow_resize.py, Pillow {PIL.__version__}",
        "decode": decode_files(),
        "prepare": prepare_cases(),
        "resize": resize_cases(),
    }
    lines = ",\n".join(
        f'"{key}": ' + (json.dumps(value) if isinstance(value, str) else "[\n" + ",\n".join(json.dumps(v) for v in value) + "\n]")
        for key, value in golden.items()
    )
    (OUT / "pillow.json").write_text("{\n" + lines + "\n}\n")
