"""LoRA adapters as peft saves them, and the weights of peft's merge_and_unload (transformers, peft 0.21.2).

Run: python3 tools/golden/lora.py tests/golden     (writes tests/golden/lora; reads models/llama and whole/llava)

Each case is a folder with adapter_config.json and the adapter's weights; `<case>.merged.safetensors` beside it has the
tensors that merging changed, as the merged model is saved, and `logits` of the ids 3, 1, 4, 1, 5 where it is a language model.
"""

import pathlib
import shutil
import sys
import tempfile

sys.modules["torchvision"] = None

import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, GPT2Config, GPT2LMHeadModel, LlavaForConditionalGeneration

IDS = torch.tensor([[3, 1, 4, 1, 5]])


def randomise(model, seed):
    """Gives every trained weight a value: an untrained adapter would change nothing."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.requires_grad:
                parameter.copy_(torch.randn(parameter.shape, generator=generator).to(parameter.dtype) * 0.2)


def saved(model):
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        return load_file(pathlib.Path(folder) / "model.safetensors")


def case(out, name, model, seed, torch_file=False, **options):
    folder = out / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    before = saved(model)
    adapted = get_peft_model(model, LoraConfig(**options))
    randomise(adapted, seed)
    adapted.save_pretrained(folder, save_embedding_layers=False)
    (folder / "README.md").unlink(missing_ok=True)
    if torch_file:
        weights = load_file(folder / "adapter_model.safetensors")
        torch.save(weights, folder / "adapter_model.bin")
        (folder / "adapter_model.safetensors").unlink()
    merged = adapted.merge_and_unload()
    after = saved(merged)
    assert before.keys() == after.keys(), before.keys() ^ after.keys()
    tensors = {key: value for key, value in after.items() if not torch.equal(value, before[key])}
    if not isinstance(merged, LlavaForConditionalGeneration):
        with torch.no_grad():
            tensors["logits"] = merged(IDS).logits.float()
    save_file(tensors, out / f"{name}.merged.safetensors")
    print(name, len(tensors), "tensors changed")


def main(golden):
    out = golden / "lora"
    llama = lambda dtype=torch.float32: AutoModelForCausalLM.from_pretrained(golden / "models/llama", dtype=dtype)
    case(out, "llama", llama(), 1, r=4, lora_alpha=8, target_modules=["q_proj", "v_proj", "down_proj"])
    case(out, "llama-bf16", llama(torch.bfloat16), 2, r=4, lora_alpha=16, target_modules="all-linear")
    case(out, "llama-patterns", llama(), 3, torch_file=True, r=4, lora_alpha=8, use_rslora=True,
         target_modules=["q_proj", "o_proj", "embed_tokens"], rank_pattern={"o_proj": 2},
         alpha_pattern={"layers.1.self_attn.q_proj": 3}, modules_to_save=["lm_head", "norm"])
    case(out, "llama-dora", llama(), 4, r=2, lora_alpha=4, use_dora=True, target_modules=["q_proj"])
    torch.manual_seed(5)
    gpt2 = GPT2LMHeadModel(GPT2Config(vocab_size=24, n_positions=16, n_embd=8, n_layer=1, n_head=2))
    shutil.rmtree(out / "gpt2-base", ignore_errors=True)
    gpt2.save_pretrained(out / "gpt2-base")
    case(out, "gpt2", gpt2, 6, r=2, lora_alpha=4, fan_in_fan_out=True, bias="all", target_modules=["c_attn", "c_fc"])
    llava = LlavaForConditionalGeneration.from_pretrained(golden / "whole/llava")
    case(out, "llava", llava, 7, r=2, lora_alpha=6, bias="lora_only", target_modules=["q_proj", "k_proj", "up_proj"],
         modules_to_save=["multi_modal_projector"])


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
