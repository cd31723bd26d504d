"""LoRA adapters that part a tied head from its embedding, and one beside which LLaVA's trainer left a projector.

Run: python3 tools/golden/lora_tied.py tests/golden     (after whole.py; writes tests/golden/lora-tied; transformers 5.24.0, peft 0.21.2)

`base` ties its head. `logits.safetensors` has, under the name of each adapter, the logits of the ids 3, 1, 4, 1, 5 of the
model as it was trained, the adapter beside the weights. (peft's own merge of a tied head adds the change to the embedding
as well.) `untied` says that its head is tied but stores another. `llava` is an adapter under the original LLaVA's names for
the model in whole/llava, and `llava.merged.safetensors` has the tensors as that model names them.
"""

import pathlib
import shutil
import sys
import warnings

sys.modules["torchvision"] = None

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

IDS = torch.tensor([[3, 1, 4, 1, 5]])
warnings.filterwarnings("ignore")


def logits(model):
    with torch.no_grad():
        return model.eval()(IDS).logits.float()


def randomise(model, seed):
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.3)


def case(out, name, seed, **options):
    folder = out / name
    adapted = get_peft_model(AutoModelForCausalLM.from_pretrained(out / "base"), LoraConfig(r=2, lora_alpha=4, **options))
    randomise(adapted, seed)
    adapted.save_pretrained(folder)
    (folder / "README.md").unlink(missing_ok=True)
    again = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(out / "base"), folder)
    assert torch.equal(logits(adapted), logits(again)), name
    print(name, sorted(load_file(folder / "adapter_model.safetensors")))
    return {name: logits(again)}


def untied(out):
    folder = out / "untied"
    shutil.copytree(out / "base", folder)
    weights = load_file(folder / "model.safetensors")
    generator = torch.Generator().manual_seed(9)
    weights["lm_head.weight"] = torch.randn(weights["model.embed_tokens.weight"].shape, generator=generator) * 0.1
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    return {"untied": logits(AutoModelForCausalLM.from_pretrained(folder))}


def llava(out, golden):
    """The factors of two layers and the projector, under the names that the original trainer gives them."""
    folder = out / "llava"
    folder.mkdir()
    base = load_file(golden / "whole/llava/model.safetensors")
    generator = torch.Generator().manual_seed(11)
    draw = lambda *shape: torch.randn(*shape, generator=generator) * 0.2
    factors, merged, projector = {}, {}, {}
    for module in ["layers.0.self_attn.q_proj", "layers.1.mlp.down_proj"]:
        key = next(key for key in base if key.endswith(f"language_model.model.{module}.weight") or key.endswith(f"language_model.{module}.weight"))
        rows, columns = base[key].shape
        a, b = draw(2, columns), draw(rows, 2)
        factors |= {f"base_model.model.model.{module}.lora_A.weight": a, f"base_model.model.model.{module}.lora_B.weight": b}
        merged[key] = base[key] + (8 / 2) * (b @ a)
    for i, layer in [(0, "linear_1"), (2, "linear_2")]:
        for part in ["weight", "bias"]:
            key = next(key for key in base if key.endswith(f"multi_modal_projector.{layer}.{part}"))
            projector[f"base_model.model.model.mm_projector.{i}.{part}"] = merged[key] = draw(*base[key].shape)
    config = LoraConfig(r=2, lora_alpha=8, target_modules=["q_proj", "down_proj"])
    config.save_pretrained(folder)
    save_file(factors, folder / "adapter_model.safetensors", {"format": "pt"})
    torch.save(projector, folder / "non_lora_trainables.bin")
    save_file(merged, out / "llava.merged.safetensors")


def main(golden):
    out = golden / "lora-tied"
    shutil.rmtree(out, ignore_errors=True)
    torch.manual_seed(0)
    config = LlamaConfig(vocab_size=24, hidden_size=16, intermediate_size=24, num_hidden_layers=1, num_attention_heads=2,
                         num_key_value_heads=1, max_position_embeddings=32, tie_word_embeddings=True)
    LlamaForCausalLM(config).save_pretrained(out / "base")
    save_file({
        **untied(out),
        **case(out, "head", 1, target_modules=["lm_head"]),
        **case(out, "table", 2, target_modules=["embed_tokens"]),
        **case(out, "both", 3, target_modules=["embed_tokens", "lm_head"], ensure_weight_tying=True),
        **case(out, "saved-head", 4, target_modules=["q_proj"], modules_to_save=["lm_head"]),
        **case(out, "saved-table", 5, target_modules=["q_proj"], modules_to_save=["embed_tokens"]),
        # peft heeds fan_in_fan_out for GPT-2's matrices alone; q_proj is square here, so that the shape does not tell.
        **case(out, "fan-in", 6, target_modules=["q_proj"], fan_in_fan_out=True),
    }, out / "logits.safetensors")
    llava(out, golden)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
