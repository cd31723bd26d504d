#!/usr/bin/env python3
"""Writes packages/torch/testdata: reference numbers of PyTorch and transformers, and safetensors files from Python.

    python3 -m pip install torch==2.13.0 transformers==5.23.0 safetensors==0.8.0
    python3 tools/golden/torch_reference.py

Inputs are never stored: both sides make them by `wave(shape, phase)`, so that the file stays small and readable.
"""
import json
import math
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import nn

OUT = Path(__file__).resolve().parents[2] / "packages" / "torch" / "testdata"


def wave(shape, phase=0.0, dtype=torch.float32):
    """sin(0.37 i + phase) in row-major order, computed in double precision."""
    count = math.prod(shape)
    values = [math.sin(0.37 * i + phase) for i in range(count)]
    return torch.tensor(values, dtype=torch.float64).reshape(shape).to(dtype)


def flat(tensor):
    return {"shape": list(tensor.shape), "values": tensor.detach().to(torch.float64).flatten().tolist()}


def initialisers():
    torch.manual_seed(7)
    linear = nn.Linear(3, 4)
    conv = nn.Conv2d(4, 6, (2, 3), groups=2)
    embedding = nn.Embedding(6, 4, padding_idx=1)
    xavier = nn.init.xavier_uniform_(torch.empty(5, 3), gain=2.0)
    trunc = nn.init.trunc_normal_(torch.empty(64), mean=0.01, std=0.02, a=-0.02, b=0.03)
    return {
        "linear.weight": flat(linear.weight),
        "linear.bias": flat(linear.bias),
        "conv.weight": flat(conv.weight),
        "conv.bias": flat(conv.bias),
        "embedding.weight": flat(embedding.weight),
        "xavier": flat(xavier),
        "trunc": flat(trunc),
    }


def functional():
    x = wave((2, 3, 4))
    image = wave((1, 2, 7, 9), 0.5)
    logits, targets = wave((5, 4), 1.0), torch.tensor([0, 3, -100, 2, 1])
    q, k, v = wave((1, 4, 3, 2)), wave((1, 2, 5, 2), 0.2), wave((1, 2, 5, 2), 0.4)
    mask = torch.tensor([[True, True, False, True, False]]).expand(3, 5)
    mean, var = wave((2,), 0.1), wave((2,), 1.0).abs()
    results = {
        "layerNorm": F.layer_norm(x, (4,), wave((4,), 2), wave((4,), 3), 1e-5),
        "rmsNorm": F.rms_norm(x, (4,), wave((4,), 2), 1e-6),
        "gelu": F.gelu(x),
        "geluTanh": F.gelu(x, approximate="tanh"),
        "silu": F.silu(x),
        "softmax": F.softmax(x, 1),
        "logSoftmax": F.log_softmax(x, -1),
        "attentionGrouped": F.scaled_dot_product_attention(q, k, v, enable_gqa=True),
        "attentionMask": F.scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=0.3, enable_gqa=True),
        "attentionCausal": F.scaled_dot_product_attention(q, k[:, :, :3], v[:, :, :3], is_causal=True, enable_gqa=True),
        "crossEntropy": F.cross_entropy(logits, targets),
        "crossEntropySum": F.cross_entropy(logits, targets, reduction="sum", label_smoothing=0.1),
        "crossEntropyNone": F.cross_entropy(logits, targets, reduction="none", weight=wave((4,), 1).abs()),
        "conv2d": F.conv2d(image, wave((4, 1, 3, 3)), wave((4,), 2), stride=2, padding=(1, 0), groups=2),
        "bicubic": F.interpolate(image, (5, 12), mode="bicubic", align_corners=False),
        "bicubicAntialias": F.interpolate(image, (3, 4), mode="bicubic", antialias=True, align_corners=False),
        "bilinear": F.interpolate(image, (5, 12), mode="bilinear", align_corners=True),
        "bilinearAntialias": F.interpolate(image, (3, 4), mode="bilinear", antialias=True, align_corners=False),
        "nearest": F.interpolate(image, (5, 12), mode="nearest"),
        "normalize": F.normalize(x, dim=1),
        "padReflect": F.pad(image, (2, 1, 1, 3), mode="reflect"),
        "padConstant": F.pad(image, (1, -2, 0, 1), value=0.5),
        "batchNorm": F.batch_norm(image, mean, var, wave((2,), 2), wave((2,), 3), training=True, momentum=0.3),
    }
    results["batchNormMean"], results["batchNormVar"] = mean, var
    return {name: flat(value) for name, value in results.items()}


def adamw():
    """Five steps over two groups, the gradient of parameter p at step t being wave(shape, p + t)."""
    shapes = [(3, 2), (5,), ()]
    params = [nn.Parameter(wave(shape, i)) for i, shape in enumerate(shapes)]
    groups = [{"params": params[:2]}, {"params": params[2:], "lr": 3e-2, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=1e-2, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.1, fused=True)
    steps = []
    for t in range(5):
        for i, p in enumerate(params):
            # The second parameter has no gradient at the first step.
            p.grad = None if t == 0 and i == 1 else wave(p.shape, i + t)
        optimizer.step()
        steps.append([flat(p) for p in params])
    state = [{key: flat(value) for key, value in optimizer.state[p].items()} for p in params]
    return {"steps": steps, "state": state}


def adamw_master():
    """bf16 weights with an f32 master copy: the step is taken on the copy, the weights are its rounding."""
    weight = wave((4, 3), dtype=torch.bfloat16)
    master = nn.Parameter(weight.float())
    optimizer = torch.optim.AdamW([master], lr=1e-3, weight_decay=0.1, fused=True)
    for t in range(5):
        master.grad = wave((4, 3), t, torch.bfloat16).float()
        optimizer.step()
    return {"master": flat(master), "weight": flat(master.detach().bfloat16())}


def clipping():
    params = [nn.Parameter(torch.zeros(shape)) for shape in [(3, 2), (5,)]]
    for i, p in enumerate(params):
        p.grad = wave(p.shape, i)
    norm = nn.utils.clip_grad_norm_(params, 0.7)
    return {"norm": norm.item(), "grads": [flat(p.grad) for p in params]}


def schedules():
    from transformers import get_cosine_schedule_with_warmup, get_linear_schedule_with_warmup

    def factors(make):
        optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
        scheduler = make(optimizer, num_warmup_steps=3, num_training_steps=10)
        values = []
        for _ in range(11):
            values.append(scheduler.get_last_lr()[0])
            optimizer.step()
            scheduler.step()
        return values

    return {"cosine": factors(get_cosine_schedule_with_warmup), "linear": factors(get_linear_schedule_with_warmup)}


def random_numbers():
    torch.manual_seed(42)
    return {"rand": flat(torch.rand(4)), "randint": torch.randint(0, 1000, (4,)).tolist()}


def safetensors_file():
    tensors = {
        "f64": wave((2, 2), dtype=torch.float64),
        "f32": wave((2, 3)),
        "f16": wave((3,), 1, torch.float16),
        "bf16": wave((5,), 2, torch.bfloat16),
        "i64": torch.tensor([[-(2**62), 2**62 + 1]]),
        "i32": torch.tensor([-(2**31), 7], dtype=torch.int32),
        "i16": torch.tensor([-(2**15), 7, 8], dtype=torch.int16),
        "i8": torch.tensor([-128, 127, 3], dtype=torch.int8),
        "u8": torch.tensor([0, 255, 9], dtype=torch.uint8),
        "bool": torch.tensor([True, False, True]),
        "scalar": torch.tensor(2.5),
        "empty": torch.zeros(0, 4),
        "f8": torch.tensor([1.0, 2.0]).to(torch.float8_e4m3fn),
        "nämé \"quoted\"": torch.tensor([1.0]),
    }
    save_file(tensors, OUT / "python.safetensors", metadata={"note": "ünï"})


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    reference = {
        "torch": torch.__version__.split("+")[0],
        "init": initialisers(),
        "functional": functional(),
        "adamw": adamw(),
        "adamwMaster": adamw_master(),
        "clipping": clipping(),
        "schedules": schedules(),
        "random": random_numbers(),
    }
    (OUT / "torch-reference.json").write_text(json.dumps(reference, separators=(",", ":")) + "\n")
    safetensors_file()


if __name__ == "__main__":
    main()
