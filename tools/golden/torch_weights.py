"""Tiny state dicts in every way that checkpoints of torch are published: `torch_weights.py <out>` (torch 2.13.0, safetensors 0.8.0).

One state dict as safetensors, as a single torch file (zip and older format), in shards, and below the keys that trainers
put around it.
"""

import json
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file


def state_dict() -> dict[str, torch.Tensor]:
    torch.manual_seed(7)
    tied = torch.randn(6, 4)
    return {
        "model.embed_tokens.weight": tied,
        "model.layers.0.mlp.up_proj.weight": torch.randn(5, 4).to(torch.bfloat16),
        # Not contiguous: stored as a view of its transpose.
        "model.layers.0.mlp.down_proj.weight": torch.randn(5, 4).t(),
        "model.norm.weight": torch.ones(4, dtype=torch.float16),
        "lm_head.weight": tied,
    }


def save(out: Path, folder: str, name: str, value: object, **options: object) -> None:
    (out / folder).mkdir(parents=True, exist_ok=True)
    torch.save(value, out / folder / name, **options)


def main(out: Path) -> None:
    weights = state_dict()
    out.mkdir(parents=True, exist_ok=True)
    save_file({key: value.contiguous().clone() for key, value in weights.items()}, out / "expected.safetensors")
    save(out, "single", "pytorch_model.bin", weights)
    save(out, "legacy", "pytorch_model.bin", weights, _use_new_zipfile_serialization=False)
    save(out, "trainer", "checkpoint.pth", {"epoch": 3, "model": weights, "optimizer": {"state": {0: torch.zeros(2)}}})
    save(out, "lightning", "last.pt", {"state_dict": weights, "hyper_parameters": {"lr": 0.1}})
    save(out, "two-states", "checkpoint.pth", {"model": weights, "state_dict": weights})
    parts = {"llm": {key: value for key, value in weights.items()}, "projector": {"0.weight": torch.ones(2, 2)}}
    save(out, "parts", "latest.pt", {"model": parts})
    save(out, "no-tensors", "pytorch_model.bin", {"epoch": 3})
    shards = [list(weights)[:3], list(weights)[3:]]
    names = [f"pytorch_model-0000{i + 1}-of-00002.bin" for i in range(2)]
    for name, keys in zip(names, shards):
        save(out, "sharded", name, {key: weights[key] for key in keys})
    weight_map = {key: name for name, keys in zip(names, shards) for key in keys}
    index = {"metadata": {"total_size": 0}, "weight_map": weight_map}
    (out / "sharded" / "pytorch_model.bin.index.json").write_text(json.dumps(index, indent=2) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
