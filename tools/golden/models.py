"""Golden files for tests/parity: tiny random checkpoints as transformers writes them, with inputs, outputs and gradients.

Run: python3 tools/golden/models.py tests/golden/models     (versions: tools/golden/requirements.txt)

Each model gets a folder with `config.json` and `model.safetensors` (save_pretrained) and `golden.safetensors`:
  input.*       pixels, ids, inputs_embeds, cotangent.*
  f32.*         hidden states and logits of the reference in f32, eager attention
  grad.*        gradients of sum(output * cotangent) with respect to the inputs and some weights (named as on disk)
  bf16_error.*  what the reference itself loses in bf16: max |bf16 - f32| / max |f32|
"""

import argparse
import pathlib
import shutil

import torch
from safetensors.torch import save_file
from transformers import (
    CLIPVisionConfig,
    CLIPVisionModel,
    Dinov2Config,
    Dinov2Model,
    Dinov2WithRegistersConfig,
    Dinov2WithRegistersModel,
    LlamaConfig,
    LlamaForCausalLM,
)

VIT = dict(hidden_size=24, num_hidden_layers=2, num_attention_heads=3, patch_size=8)
LLAMA = dict(
    vocab_size=64, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
    max_position_embeddings=64, rms_norm_eps=1e-5, pad_token_id=0, bos_token_id=1, eos_token_id=2,
)


def randomise(model, seed):
    """Weights of ordinary size: the libraries' small initial values would hide mistakes behind the residual stream."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            draw = torch.randn(parameter.shape, generator=generator)
            is_scale = parameter.ndim == 1 and ("norm" in name or "lambda" in name) and name.endswith(("weight", "lambda1"))
            fan_in = parameter[0].numel() if parameter.ndim > 1 else 1
            parameter.copy_(1 + 0.2 * draw if is_scale else draw * (0.2 if parameter.ndim == 1 else fan_in**-0.5))


def hidden_states(model, blocks, run):
    """Input of the first block and raw output of each block, whatever the model itself reports."""
    states = []
    hooks = [blocks[0].register_forward_pre_hook(
        lambda module, args, kwargs: states.append(args[0] if args else kwargs["hidden_states"]), with_kwargs=True)]
    first = lambda output: output[0] if isinstance(output, tuple) else output
    hooks += [block.register_forward_hook(lambda module, args, output: states.append(first(output))) for block in blocks]
    output = run(model)
    for hook in hooks:
        hook.remove()
    return states, output


def weights_by_disk_name(model, folder):
    """Parameters under the names on disk, found by their values; those that are stored joined or split are left out."""
    from safetensors.torch import load_file

    stored = load_file(folder / "model.safetensors")
    by_value = {}
    for name, tensor in stored.items():
        by_value.setdefault((tuple(tensor.shape), tensor.flatten()[0].item()), name)
    named = ((by_value.get((tuple(p.shape), p.detach().flatten()[0].item())), p) for p in model.parameters())
    return {name: parameter for name, parameter in named if name is not None}


def write(folder, model, blocks, run, inputs, grad_input, outputs_of, wanted):
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    model.eval().save_pretrained(folder)
    generator = torch.Generator().manual_seed(7)
    golden = {f"input.{name}": value.clone() for name, value in inputs.items()}

    inputs[grad_input].requires_grad_()
    states, output = hidden_states(model, blocks, lambda m: run(m, inputs))
    outputs = {f"hidden.{i}": state for i, state in enumerate(states)} | outputs_of(output)
    loss = 0
    for name, value in outputs.items():
        golden[f"f32.{name}"] = value.detach().clone()
        if name == f"hidden.{len(states) - 1}" or name == "hidden.1" or not name.startswith("hidden."):
            cotangent = torch.randn(value.shape, generator=generator)
            golden[f"input.cotangent.{name}"] = cotangent
            loss = loss + (value * cotangent).sum()
    loss.backward()
    golden[f"grad.{grad_input}"] = inputs[grad_input].grad.clone()
    for name, parameter in weights_by_disk_name(model, folder).items():
        # The mask token takes no part; a key's bias shifts all scores alike, so that its gradient is rounding noise.
        if any(part in name for part in wanted) and parameter.grad is not None and parameter.grad.abs().max() > 1e-4:
            golden[f"grad.{name}"] = parameter.grad.clone()

    with torch.no_grad():
        model.bfloat16()
        low = {n: v.detach().bfloat16() if v.is_floating_point() else v for n, v in inputs.items()}
        states, output = hidden_states(model, blocks, lambda m: run(m, low))
        for name, value in ({f"hidden.{i}": s for i, s in enumerate(states)} | outputs_of(output)).items():
            exact = golden[f"f32.{name}"]
            golden[f"bf16_error.{name}"] = (value.float() - exact).abs().max() / exact.abs().max()
    save_file({name: value.contiguous() for name, value in golden.items()}, folder / "golden.safetensors")
    print(f"{folder.name}: {sum(file.stat().st_size for file in folder.iterdir()) / 1024:.0f} KiB")


def vision(folder, cls, config, *, side, seed, run=None):
    model = cls._from_config(config, attn_implementation="eager")
    randomise(model, seed)
    pixels = torch.randn(2, 3, *side, generator=torch.Generator().manual_seed(seed + 1))
    layers = next(m for n, m in model.named_modules() if n.endswith(("encoder.layers", "encoder.layer")))
    run = run or (lambda m, inputs: m(inputs["pixels"]))
    wanted = ("patch_embed", "cls_token", "class_embedding", "position", "register", "layers.1.", "layer.1.", "pre_layrnorm")
    write(folder, model, layers, run, {"pixels": pixels}, "pixels",
          lambda out: {"pooled": out.pooler_output} if cls is CLIPVisionModel else {"normed": out.last_hidden_state}, wanted)


def llama(folder, *, seed, **changes):
    config = LlamaConfig(**(LLAMA | changes))
    model = LlamaForCausalLM._from_config(config, attn_implementation="eager")
    randomise(model, seed)
    generator = torch.Generator().manual_seed(seed + 1)
    ids = torch.randint(3, config.vocab_size, (2, 24), generator=generator)
    embeds = model.get_input_embeddings()(ids).detach().clone()
    wanted = ("layers.1.", "model.norm", "lm_head", "embed_tokens")
    write(folder, model, model.model.layers, lambda m, inputs: m(inputs_embeds=inputs["embeds"], use_cache=False),
          {"ids": ids, "embeds": embeds}, "embeds", lambda out: {"logits": out.logits}, wanted)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=pathlib.Path)
    out = parser.parse_args().out
    torch.set_num_threads(1)

    clip = CLIPVisionConfig(**VIT, intermediate_size=48, image_size=32, hidden_act="quick_gelu", projection_dim=16)
    vision(out / "clip", CLIPVisionModel, clip, side=(32, 32), seed=10)
    vision(out / "clip-resized", CLIPVisionModel, clip, side=(40, 40), seed=11,
           run=lambda m, inputs: m(inputs["pixels"], interpolate_pos_encoding=True))
    dino = dict(**VIT, mlp_ratio=2, layerscale_value=1.0)
    vision(out / "dinov2", Dinov2Model, Dinov2Config(**dino, image_size=32), side=(32, 32), seed=20)
    vision(out / "dinov2-resized", Dinov2Model, Dinov2Config(**dino, image_size=56), side=(32, 40), seed=21)
    vision(out / "dinov2-swiglu", Dinov2Model, Dinov2Config(**dino, image_size=32, use_swiglu_ffn=True), side=(32, 32), seed=22)
    vision(out / "dinov2-registers", Dinov2WithRegistersModel,
           Dinov2WithRegistersConfig(**dino, image_size=56, num_register_tokens=4), side=(32, 32), seed=23)
    llama(out / "llama", seed=30)
    llama(out / "llama-gqa-tied", seed=31, num_key_value_heads=2, tie_word_embeddings=True, rope_theta=500000.0)
    llama(out / "llama-rope-llama3", seed=32, num_key_value_heads=2, head_dim=16, attention_bias=True, mlp_bias=True,
          rope_scaling=dict(rope_type="llama3", rope_theta=10000.0, factor=4.0, low_freq_factor=1.0, high_freq_factor=4.0,
                            original_max_position_embeddings=16))
    llama(out / "llama-rope-linear", seed=33, rope_scaling=dict(rope_type="linear", rope_theta=10000.0, factor=2.0))


if __name__ == "__main__":
    main()
