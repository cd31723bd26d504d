"""Writes tests/golden/images/pictures.json: small picture files of many kinds and orientations, with Pillow's pixels.

Each is there as base64 with the digest of `ImageOps.exif_transpose(picture).convert("RGB")`, or as one that must be refused
because the decoder of packages/commlm/src/images would get its colours wrong.
Run from the repository root with pillow==13.0.0 and numpy==2.4.6: python3 tools/golden/pillow_pictures.py
"""

import base64
import hashlib
import io
import json
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import PIL
from PIL import Image, ImageOps

assert PIL.__version__ == "13.0.0", PIL.__version__
warnings.simplefilter("ignore")
OUT = Path("tests/golden/images/pictures.json")
WIDTH, HEIGHT = 12, 8
y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
RGB = np.stack([x * 255 // WIDTH, y * 255 // HEIGHT, (x + 2 * y) * 255 // (WIDTH + 2 * HEIGHT)], -1).astype(np.uint8)
BASE = Image.fromarray(RGB)
GREY = BASE.convert("L")
ALPHA = Image.fromarray(np.tile(np.linspace(0, 255, WIDTH).astype(np.uint8), (HEIGHT, 1)))
CMYK = Image.merge("CMYK", (*BASE.split(), ALPHA))
PALETTE = BASE.quantize(16)
ORIENTATION = 0x0112
SHORT, LONG, RATIONAL = 3, 4, 5


def saved(image: Image.Image, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


# Orientations: EXIF as the bytes that each container carries.


def exif(*entries: tuple, order: str = "<", end: bool = True) -> bytes:
    """Entries are (tag, type, count, four bytes)."""
    body = (b"II" if order == "<" else b"MM") + struct.pack(order + "HLH", 42, 8, len(entries))
    for tag, kind, count, value in entries:
        body += struct.pack(order + "HHL", tag, kind, count) + value
    return body + (struct.pack(order + "L", 0) if end else b"")


def short(value: int, order: str = "<") -> bytes:
    return struct.pack(order + "HH", value, 0)


def turned(value: int, order: str = "<") -> tuple:
    return (ORIENTATION, SHORT, 1, short(value, order))


def xmp(value: int) -> bytes:
    return b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="%d"/></x:xmpmeta>' % value


EXIFS = {
    **{f"orientation {value}": exif(turned(value)) for value in (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 65535)},
    "big-endian": exif(turned(6, ">"), order=">"),
    "as a long": exif((ORIENTATION, LONG, 1, struct.pack("<L", 6))),
    "as a byte": exif((ORIENTATION, 1, 1, b"\6\0\0\0")),
    "as a text": exif((ORIENTATION, 2, 2, b"6\0\0\0")),
    "without a value": exif((ORIENTATION, SHORT, 0, short(6))),
    "of an unknown type": exif((ORIENTATION, 99, 1, short(6))),
    "named twice": exif(turned(6), turned(3)),
    "behind another tag": exif((0x010F, 2, 3, b"ab\0\0"), turned(8)),
    "without an end": exif(turned(6), end=False),
    "cut in the value": exif(turned(6))[:-8],
    "cut in the next tag": exif(turned(5), (0x010F, 2, 200, struct.pack("<L", 9999)))[:-2],
    "pointing nowhere": b"II*\0" + struct.pack("<L", 99999),
    "empty": b"",
}


def jpeg(*segments: tuple[int, bytes]) -> bytes:
    plain = saved(BASE, "JPEG", quality=90, subsampling=0)
    added = b"".join(b"\xff" + bytes([marker]) + struct.pack(">H", len(body) + 2) + body for marker, body in segments)
    return plain[:2] + added + plain[2:]


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(before: bytes = b"", behind: bytes = b"") -> bytes:
    plain = saved(BASE, "PNG")
    pixels, end = plain.index(b"IDAT") - 4, plain.index(b"IEND") - 4
    return plain[:pixels] + before + plain[pixels:end] + behind + plain[end:]


def raw_profile(body: bytes) -> bytes:
    text = f"\nexif\n{len(body):8}\n{body.hex()}\n".encode()
    return chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(text))


def orientations() -> dict[str, bytes]:
    files = {}
    head = b"Exif\0\0"
    for name, body in EXIFS.items():
        files[f"{name}.jpg"] = jpeg((0xE1, head + body))
        if body:
            files[f"{name}.png"] = png(chunk(b"eXIf", body))
            files[f"{name}.webp"] = saved(BASE, "WEBP", lossless=True, exif=head + body)
    for value in range(10):
        files[f"orientation {value}.tif"] = saved(BASE, "TIFF", tiffinfo={ORIENTATION: value})
    for value in (5, 6):
        files[f"orientation {value}, lzw.tif"] = saved(BASE, "TIFF", tiffinfo={ORIENTATION: value}, compression="tiff_lzw")
    six, three = exif(turned(6)), exif(turned(3))
    ns = b"http://ns.adobe.com/xap/1.0/\0"
    files |= {
        "no tag but a second segment with one.jpg": jpeg((0xE1, head + exif((0x010F, 2, 3, b"ab\0\0"))), (0xE1, head + six)),
        "two segments.jpg": jpeg((0xE1, head + six), (0xE1, head + three)),
        "head twice.jpg": jpeg((0xE1, head + head + six)),
        "in another segment.jpg": jpeg((0xE2, head + six)),
        "xmp alone.jpg": jpeg((0xE1, ns + xmp(6))),
        "xmp against exif.jpg": jpeg((0xE1, head + three), (0xE1, ns + xmp(6))),
        "behind the pixels.png": png(behind=chunk(b"eXIf", six)),
        "two chunks.png": png(chunk(b"eXIf", six) + chunk(b"eXIf", three)),
        "as a raw profile.png": png(raw_profile(head + six)),
        "xmp alone.png": png(chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp(6))),
        "xmp alone.webp": saved(BASE, "WEBP", lossless=True, xmp=xmp(6)),
        "head left out.webp": saved(BASE, "WEBP", lossless=True, exif=six),
    }
    return files


# Kinds of colours. A TIFF is written by hand where Pillow cannot.


def tiff(photometric: int, samples: np.ndarray, tags: dict[int, tuple] | None = None, data: bytes | None = None, compression: int = 1) -> bytes:
    """One strip; `samples` are the pixels as they lie in the file, unless `data` is."""
    count = samples.shape[2] if samples.ndim == 3 else 1
    data = samples.tobytes() if data is None else data
    entries = {
        256: (SHORT, [WIDTH]),
        257: (SHORT, [HEIGHT]),
        258: (SHORT, [samples.dtype.itemsize * 8] * count),
        259: (SHORT, [compression]),
        262: (SHORT, [photometric]),
        273: (LONG, [0]),
        277: (SHORT, [count]),
        278: (SHORT, [HEIGHT]),
        279: (LONG, [len(data)]),
        **(tags or {}),
    }
    far = 8 + 2 + 12 * len(entries) + 4
    codes = {1: "B", SHORT: "H", LONG: "L"}
    bodies = {tag: struct.pack(f"<{len(values)}{codes[kind]}", *values) for tag, (kind, values) in entries.items()}
    bodies[273] = struct.pack("<L", far + sum(len(body) for body in bodies.values() if len(body) > 4))
    directory, outside = b"", b""
    for tag in sorted(entries):
        kind, values = entries[tag]
        body = bodies[tag]
        place = body.ljust(4, b"\0") if len(body) <= 4 else struct.pack("<L", far + len(outside))
        directory += struct.pack("<HHL", tag, kind, len(values)) + place
        outside += body if len(body) > 4 else b""
    return b"II" + struct.pack("<HLH", 42, 8, len(entries)) + directory + struct.pack("<L", 0) + outside + data


def gif(local: bool, transparent: int | None) -> bytes:
    """A canvas of 8 x 6 with a frame of 4 x 3 in it, its palette of four colours global or local."""
    tables = [bytes(seed * (i + 3) * (c + 1) % 256 for i in range(4) for c in range(3)) for seed in (17, 41)]
    control = b"" if transparent is None else b"\x21\xf9\x04" + struct.pack("<BHBB", 1, 0, transparent, 0)
    frame = b"\x2c" + struct.pack("<HHHHB", 2, 1, 4, 3, 0x81 if local else 0) + (tables[1] if local else b"")
    # Codes of three bits: clear (4) before each pixel keeps them so, then the end (5).
    codes = [code for i in range(12) for code in (4, i * 7 // 3 % 4)] + [5]
    bits = "".join(f"{code:03b}"[::-1] for code in codes)
    bits += "0" * (-len(bits) % 8)
    data = bytes(int(bits[i : i + 8][::-1], 2) for i in range(0, len(bits), 8))
    head = b"GIF89a" + struct.pack("<HHBBB", 8, 6, 0x81, 2, 0) + tables[0]
    return head + control + frame + b"\x02" + bytes([len(data)]) + data + b"\0\x3b"


def kinds() -> dict[str, bytes]:
    grey, cmyk, ycc = np.asarray(GREY), np.asarray(CMYK), np.asarray(BASE.convert("YCbCr"))
    bits = np.packbits((grey > 100).astype(np.uint8), axis=1)
    colours = (SHORT, [i * 257 for i in range(256)] + [(255 - i) * 257 for i in range(256)] + [i * 3 % 256 * 257 for i in range(256)])
    fractions = {339: (SHORT, [3])}
    one_bit = {258: (SHORT, [1])}
    units = b""
    for top in range(0, HEIGHT, 2):
        for left in range(0, WIDTH, 2):
            block = ycc[top : top + 2, left : left + 2]
            units += block[..., 0].tobytes() + bytes([int(block[..., 1].mean()), int(block[..., 2].mean())])
    units = zlib.compress(units)
    inks = saved(CMYK, "JPEG", quality=95)
    at = inks.index(b"Adobe") - 4
    length = struct.unpack(">H", inks[at + 2 : at + 4])[0]
    files = {
        "cmyk.jpg": inks,
        "cmyk without Adobe's segment.jpg": inks[:at] + inks[at + 2 + length :],
        "rgb kept.jpg": saved(BASE, "JPEG", quality=95, keep_rgb=True),
        "frame within the canvas.gif": gif(False, None),
        "transparent frame within the canvas.gif": gif(False, 1),
        "frame with a palette of its own.gif": gif(True, None),
        "transparent frame with a palette of its own.gif": gif(True, 3),
        "transparent entry.gif": saved(PALETTE, "GIF", transparency=3),
        "animated.webp": saved(BASE, "WEBP", save_all=True, lossless=True, append_images=[ImageOps.mirror(BASE)]),
        "animated.png": saved(BASE, "PNG", save_all=True, append_images=[ImageOps.mirror(BASE)]),
        "alpha.webp": saved(Image.merge("RGBA", (*BASE.split(), ALPHA)), "WEBP", lossless=True, exact=True),
        "transparent colour.png": saved(BASE, "PNG", transparency=(0, 0, 0)),
        "transparent entries.png": saved(PALETTE, "PNG", transparency=bytes(range(0, 160, 10))),
        "two pages.tif": saved(BASE, "TIFF", save_all=True, append_images=[ImageOps.mirror(BASE)]),
        "big.tif": saved(BASE, "TIFF", big_tiff=True),
        "lab.tif": saved(Image.merge("LAB", BASE.split()), "TIFF"),
        "jpeg ycbcr.tif": saved(BASE.convert("YCbCr"), "TIFF", compression="jpeg"),
        "white is zero.tif": tiff(0, grey),
        "white is zero, one bit.tif": tiff(0, bits, one_bit),
        "black is zero, one bit.tif": tiff(1, bits, one_bit),
        "palette.tif": tiff(3, grey, {320: colours}),
        "rgb of 16 bits.tif": tiff(2, RGB.astype("<u2") * 257 + 90 * (RGB % 2)),
        "rgb and alpha.tif": tiff(2, np.asarray(Image.merge("RGBA", (*BASE.split(), ALPHA))), {338: (SHORT, [2])}),
        "cmyk of 16 bits.tif": tiff(5, cmyk.astype("<u2") * 257),
        "fractions of grey.tif": tiff(1, grey.astype("<f4") / 2 - 20, fractions),
        "grey with sign of 32 bits.tif": tiff(1, grey.astype("<i4") * 3 - 200, {339: (SHORT, [2])}),
        "grey with sign of 16 bits.tif": tiff(1, grey.astype("<i2") * 100, {339: (SHORT, [2])}),
        "fractions of rgb.tif": tiff(2, (RGB / 255).astype("<f4"), {339: (SHORT, [3] * 3)}),
        "rgb of 32 bits.tif": tiff(2, RGB.astype("<u4") * 16843009),
        "raw sensor.tif": tiff(32803, grey),
        "ycbcr halved, deflate.tif": tiff(6, ycc, {530: (SHORT, [2, 2])}, data=units, compression=8),
    }
    for name, compression in {"": None, ", lzw": "tiff_lzw", ", deflate": "tiff_adobe_deflate", ", packbits": "packbits"}.items():
        files[f"rgb{name}.tif"] = saved(BASE, "TIFF", compression=compression)
        files[f"cmyk{name}.tif"] = saved(CMYK, "TIFF", compression=compression)
        files[f"ycbcr{name}.tif"] = saved(BASE.convert("YCbCr"), "TIFF", compression=compression)
    return files


REFUSED = ("ycbcr.tif", "ycbcr, ", "lab.tif", "grey with sign of 16", "fractions of rgb", "rgb of 32 bits", "raw sensor")


def record(name: str, data: bytes) -> dict:
    start = {"name": name, "base64": base64.b64encode(data).decode()}
    if name.startswith(REFUSED):
        return {**start, "refused": True}
    with Image.open(io.BytesIO(data)) as opened:
        rgb = ImageOps.exif_transpose(opened).convert("RGB")
    return {**start, "width": rgb.width, "height": rgb.height, "sha256": hashlib.sha256(rgb.tobytes()).hexdigest()[:16]}


if __name__ == "__main__":
    records = [record(name, data) for name, data in {**orientations(), **kinds()}.items()]
    head = f'"generator": "tools/golden/pillow_pictures.py, Pillow {PIL.__version__}"'
    OUT.write_text("{\n" + head + ',\n"pictures": [\n' + ",\n".join(json.dumps(entry) for entry in records) + "\n]\n}\n")
    print(len(records), "pictures,", OUT.stat().st_size, "bytes")
