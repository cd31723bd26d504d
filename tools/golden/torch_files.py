"""Writes tests/golden/torch-files: files of torch.save in both formats, with their values in expected.json.

Run from the repository root with torch==2.13.0 and numpy: python3 tools/golden/torch_files.py
"""

import json
from collections import Counter, OrderedDict
from pathlib import Path

import numpy as np
import torch

OUT = Path("tests/golden/torch-files")
OUT.mkdir(parents=True, exist_ok=True)
expected = {}


def facts(prefix, value, found):
    if isinstance(value, torch.Tensor):
        data = value.detach()
        found[prefix] = {
            "dtype": str(data.dtype),
            "shape": list(data.shape),
            "values": [str(x) for x in data.contiguous().view(-1).tolist()]
            if data.dtype == torch.int64
            else data.to(torch.float64).reshape(-1).tolist(),
        }
    elif isinstance(value, (dict, list, tuple)):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            facts(f"{prefix}.{key}" if prefix else str(key), item, found)
    return found


def save(name, value, **options):
    torch.save(value, OUT / name, **options)
    expected[name] = facts("", value, {})


def both(name, value):
    save(f"{name}.pt", value)
    save(f"{name}-legacy.pt", value, _use_new_zipfile_serialization=False)


torch.manual_seed(0)
dtypes = ["float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool"]
every = {name: (torch.arange(6).reshape(2, 3) % 2 if name == "bool" else torch.arange(6).reshape(2, 3) - int(name[0] != "u")).to(getattr(torch, name)) for name in dtypes}
every["int64"][0, 0] = -(2**62)
both("dtypes", every)

base = torch.randn(4, 6)
both(
    "layouts",
    OrderedDict(
        base=base, transposed=base.t(), part=base[1:3, 2:5], step=base[:, ::2], row=base[3], expanded=base[:1, :1].expand(3, 2),
        scalar=torch.tensor(2.5), empty=torch.zeros(0, 3), tied=base,
    ),
)

linear = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.LayerNorm(4))
linear[0].weight._is_initialized = True
optimizer = torch.optim.AdamW(linear.parameters(), lr=1e-3)
linear(torch.randn(2, 3)).sum().backward()
optimizer.step()
both(
    "checkpoint",
    {
        "model": {"vision_backbone": linear.state_dict(), "projector": {"projector.0.weight": torch.randn(2, 2)}},
        "parameters": list(linear.parameters()),
        "optimizer": optimizer.state_dict(),
        "epoch": 3,
        "big": 2**80,
        "negative": -(2**40),
        "loss": 0.25,
        "name": "ünï \U0001f418",
        "bytes": b"\x00\xff",
        "flags": [True, False, None],
        "pair": (1, "two"),
        "set": {1, 2},
        "size": torch.Size([2, 3]),
        "dtype": torch.bfloat16,
        "device": torch.device("cuda", 1),
        "counter": Counter(a=2),
        "complex": 1 + 2j,
        "best": np.float64(0.5),
        "__proto__": {"polluted": 1},
    },
)
both("tensor", torch.arange(3.0))
for protocol in (3, 4, 5):
    save(f"protocol-{protocol}.pt", {"w": torch.ones(2), "b": b"ab", "s": {1, 2}, "long": "x" * 300, "fs": frozenset([3])}, pickle_protocol=protocol)



expected["float8.pt"] = {}
torch.save({"x": torch.ones(2).to(torch.float8_e4m3fn), "c": torch.ones(2, dtype=torch.complex64), "ok": torch.ones(1)}, OUT / "float8.pt")


class Evil:
    def __reduce__(self):
        import os

        return os.system, ("touch polluted",)


torch.save({"weight": torch.ones(1), "evil": Evil()}, OUT / "evil.pt")
torch.save({"weight": torch.ones(1), "evil": Evil()}, OUT / "evil-legacy.pt", _use_new_zipfile_serialization=False)
torch.save(linear, OUT / "module.pt")
(OUT / "expected.json").write_text(json.dumps(expected) + "\n")
print(sum(file.stat().st_size for file in OUT.iterdir()), "bytes")
