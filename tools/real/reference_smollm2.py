"""What transformers gives for chats: python reference_smollm2.py FOLDER OUT   (FOLDER as smollm2.py writes it)

OUT/<n>.safetensors holds for chat n, whose prompt the folder's template renders and to which 64 greedy tokens are added,
  ids         i64[T], prompt and tokens
  hidden.<i>  hidden states of all T positions: 0 the embeddings, i the output of block i; f32[1, T, 576]
  logits      f32[1, T, 49152]
  int8.logits the same with the linear layers rounded to 8 bits a row, all else in f32
OUT/reference.json: the chats with their text, number of ids and answer, `lead` (the smallest distance of a chosen token's logit
to the next one), and what transformers itself loses in f32 (against f64) and in coarser formats (against f32): the largest
difference of hidden states and of logits, relative to the largest value of a level, and how many of the tokens turn.
"""

import json
import pathlib
import sys

# Not needed here, and its import fails where it does not fit the installed torch.
sys.modules["torchvision"] = None

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig
from transformers.models.llama.modeling_llama import LlamaRMSNorm

NUM_TOKENS = 64

CHATS = [
    [{"role": "user", "content": "What is the capital of France, and which river runs through it?"}],
    [{"role": "system", "content": "You answer in short sentences."},
     {"role": "user", "content": "Why does the moon change its shape in the course of a month?"}],
    [{"role": "user", "content": "Write a Python function that counts the vowels of a word."}],
    [{"role": "user", "content": "I have 12 apples and give 5 away."},
     {"role": "assistant", "content": "You have 7 apples left."},
     {"role": "user", "content": "Then I buy 3 more. How many are there now?"}],
    [{"role": "user", "content": "Übersetze ins Englische: „Der Hund schläft unter dem alten Baum.“ 日本語でも。"}],
]


def run(model, ids):
    # transformers' own list has the last one behind the final norm only.
    states = []
    layers = model.model.layers
    hooks = [layers[0].register_forward_pre_hook(lambda module, args: states.append(args[0]))]
    hooks += [layer.register_forward_hook(lambda module, args, output: states.append(output)) for layer in layers]
    with torch.no_grad():
        logits = model(ids[None], use_cache=False).logits
    for hook in hooks:
        hook.remove()
    return {f"hidden.{i}": state for i, state in enumerate(states)} | {"logits": logits}


def loss(found, expected, prompt_length):
    def largest(names):
        return max(float((found[name].double() - expected[name].double()).abs().max() / expected[name].double().abs().max())
                   for name in names)

    chosen = found["logits"][0, prompt_length - 1:-1].argmax(-1)
    return {
        "hidden": largest([name for name in expected if name.startswith("hidden.")]),
        "logits": largest(["logits"]),
        "turned": int((chosen != expected["ids"][prompt_length:]).sum()),
    }


def in_f64(model):
    """The model in f64 throughout: transformers' RMSNorm computes in f32 whatever it is given."""
    def norm(self, x):
        return self.weight * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.variance_epsilon))

    for module in model.modules():
        if isinstance(module, LlamaRMSNorm):
            module.forward = norm.__get__(module)
    return model.double()


def round_rows(model):
    """Linear layers to -127..127 a row; the scale, the largest value over 127, is rounded up to bf16. The head is the embedding and stays."""
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Linear) and name != "lm_head":
            weight = module.weight.data
            scale = weight.abs().amax(1, keepdim=True) / 127
            low = scale.bfloat16()
            # The next bf16 where rounding went down.
            up = (low.view(torch.int16) + (low.float() < scale)).view(torch.bfloat16).float()
            # Times the reciprocal, as is usual: a division would round other halves.
            module.weight.data = (weight * (1 / up)).round().clamp(-127, 127) * up
    return model


if __name__ == "__main__":
    folder, out = sys.argv[1], pathlib.Path(sys.argv[2])
    load = lambda dtype=torch.float32: AutoModelForCausalLM.from_pretrained(folder, dtype=dtype).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    # Ids by the file itself: transformers may put a tokenizer of its own in the place of a named class.
    encoder = Tokenizer.from_file(f"{folder}/tokenizer.json")
    model = load()
    greedy = GenerationConfig(max_new_tokens=NUM_TOKENS, do_sample=False, eos_token_id=None, pad_token_id=0)
    model.generation_config = GenerationConfig()
    chats, exact = [], []
    for number, messages in enumerate(CHATS):
        text = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
        prompt = torch.tensor(encoder.encode(text, add_special_tokens=False).ids)
        with torch.no_grad():
            ids = model.generate(prompt[None], generation_config=greedy)[0]
        states = run(model, ids)
        best = states["logits"][0, len(prompt) - 1:-1].topk(2)
        assert torch.equal(best.indices[:, 0], ids[len(prompt):]), "generate and the whole pass disagree"
        chats.append({
            "messages": messages, "text": text, "prompt_length": len(prompt),
            "answer": encoder.decode(ids[len(prompt):].tolist()),
            "lead": float((best.values[:, 0] - best.values[:, 1]).min()),
        })
        exact.append({"ids": ids} | states)
        print(f"transformers: chat {number + 1} of {len(CHATS)}", file=sys.stderr)

    # One other model at a time: each takes half a gigabyte or more.
    others = {
        "f64": lambda: in_f64(load()),
        "bf16": lambda: load(torch.bfloat16),
        "int8": lambda: round_rows(load()),
        "int8_bf16": lambda: round_rows(load()).bfloat16(),
    }
    for key, make in others.items():
        print(f"transformers: the same chats in {key.replace('_', ' with ')}", file=sys.stderr)
        other = make()
        for chat, states in zip(chats, exact):
            found = run(other, states["ids"])
            chat.setdefault("lost", {})[key] = loss(found, states, chat["prompt_length"])
            if key == "int8":
                states["int8.logits"] = found["logits"]
        del other
    for number, states in enumerate(exact):
        save_file({name: value.contiguous() for name, value in states.items()}, out / f"{number}.safetensors")
    (out / "reference.json").write_text(json.dumps(chats, ensure_ascii=False, indent=1) + "\n")
