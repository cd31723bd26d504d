"""Golden files for tests/parity/language: tiny random language models with tokenizers in each family's real structure.

Run: python3 tools/golden/language.py tests/golden/language [case ...]
Versions: torch 2.13.0, transformers 5.24.0, tokenizers 0.23.3, sentencepiece 0.2.3, jinja2 3.1.

Each case is a model folder as transformers writes it (weights stored in bf16, as published ones are) with
  golden.safetensors  input.ids, f32.hidden.<i>, f32.logits (of the last positions), input.cotangent.logits, grad.*,
                      greedy.prompt, greedy.tokens (64 tokens of `generate`, with its cache)
  text.json           texts with ids and decoded text, and chats as apply_chat_template renders and encodes them
Templates are written for this file in the manner of the published ones; none is copied.
"""

import argparse
import io
import json
import pathlib
import shutil
import sys

sys.modules["torchvision"] = None

import sentencepiece as spm
import torch
import transformers
from safetensors.torch import load_file, save_file
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoTokenizer, GenerationConfig

CORPUS = [
    "Is there a dog in the image? please answer yes or no.",
    "The answer is yes. The answer is no, there are 12 red apples.",
    "A red horse [0.123,0.456,0.789,0.900] and a blue bicycle stand in front of the house.",
    "How many ducks are there? The answer is 7.",
    "Can you point out the yellow cat in the image? It's next to the window, I'll show you.",
    "Das ist ein schöner Tag für die Größe der Häuser.",
    "def area(width, height):\n    return width * height\n",
    "Question: what is the weather like? Answer: it is raining in 2024.",
] * 4

TEXTS = [
    "Is there a dog in the image?",
    "  two spaces before, and after  ",
    "The answer is 1234567, isn't it? I'LL SEE.",
    "naïve café, Größe; 图像里有一只狗。 🐕‍🦺 e\u0301",
    "line one\n\n  line two\r\n\ttabbed    end\n",
    "def area(w, h):\n        return w*h  # ok\n",
    "x",
    "a  b   c    d",
]

QWEN_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
LLAMA3_SPLIT = QWEN_SPLIT.replace(r"|\p{N}|", r"|\p{N}{1,3}|")

USER = {"role": "user", "content": "Is there a dog? "}
CHATS = [
    [USER],
    [{"role": "system", "content": "You look at pictures."}, USER],
    [USER, {"role": "assistant", "content": " Yes, 2 dogs.\n"}, {"role": "user", "content": "Where?\nTell me."}],
]

CHATML = """{%- for message in messages %}
    {%- if loop.first and message['role'] != 'system' %}
        {{- '<|im_start|>system\\nYou are a helpful assistant.<|im_end|>\\n' }}
    {%- endif %}
    {{- '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
{%- endif %}
"""

# Qwen3's manner: tools, a search from the end, thoughts that are dropped from earlier answers, an empty thought on demand.
THINKING = """{%- if tools %}
    {{- '<|im_start|>system\\n# Tools\\n' }}
    {%- for tool in tools %}
        {{- tool | tojson }}
    {%- endfor %}
    {{- '<|im_end|>\\n' }}
{%- elif messages[0].role == 'system' %}
    {{- '<|im_start|>system\\n' + messages[0].content + '<|im_end|>\\n' }}
{%- endif %}
{%- set ns = namespace(searching=true, last=messages|length - 1) %}
{%- for message in messages[::-1] %}
    {%- set index = (messages|length - 1) - loop.index0 %}
    {%- if ns.searching and message.role == 'user' and message.content is string and not message.content.startswith('<tool>') %}
        {%- set ns.searching = false %}
        {%- set ns.last = index %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- if message.role == 'user' or (message.role == 'system' and not loop.first) %}
        {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}
    {%- elif message.role == 'assistant' %}
        {%- set content = message.content %}
        {%- set thought = '' %}
        {%- if message.thought is defined and message.thought is not none %}
            {%- set thought = message.thought %}
        {%- elif '</think>' in content %}
            {%- set thought = content.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') %}
            {%- set content = content.split('</think>')[-1].lstrip('\\n') %}
        {%- endif %}
        {%- if loop.index0 > ns.last and (loop.last or thought) %}
            {{- '<|im_start|>assistant\\n<think>\\n' + thought.strip('\\n') + '\\n</think>\\n\\n' + content }}
        {%- else %}
            {{- '<|im_start|>assistant\\n' + content }}
        {%- endif %}
        {{- '<|im_end|>\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\\n\\n</think>\\n\\n' }}
    {%- endif %}
{%- endif %}
"""

INST = """{% if messages[0]['role'] == 'system' %}{% set rest = messages[1:] %}{% set opening = '<<SYS>>\\n' + messages[0]['content'] | trim + '\\n<</SYS>>\\n\\n' %}{% else %}{% set rest = messages %}{% set opening = '' %}{% endif %}
{% for message in rest %}
    {% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}
        {{ raise_exception('Roles have to alternate.') }}
    {% endif %}
    {% if message['role'] == 'user' %}
{{ bos_token + '[INST] ' + (opening if loop.first else '') + message['content'] | trim + ' [/INST]' }}
    {%- else %}
{{ ' ' + message['content'] | trim + ' ' + eos_token }}
    {%- endif %}
{% endfor %}"""

# Mistral v0.3's manner: the control tokens are tokens, a system text goes into the last question.
MISTRAL = """{%- if messages[0]["role"] == "system" %}
    {%- set system = messages[0]["content"] %}
    {%- set rest = messages[1:] %}
{%- else %}
    {%- set rest = messages %}
{%- endif %}
{{- bos_token }}
{%- for message in rest %}
    {%- if message["role"] == "user" %}
        {%- if loop.last and system is defined %}
            {{- "[INST] " + system + "\\n\\n" + message["content"] + "[/INST]" }}
        {%- else %}
            {{- "[INST] " + message["content"] + "[/INST]" }}
        {%- endif %}
    {%- elif message["role"] == "assistant" %}
        {{- " " + message["content"]|trim + eos_token }}
    {%- else %}
        {{- raise_exception("Only user and assistant take part.") }}
    {%- endif %}
{%- endfor %}
"""

LLAMA3 = """{{- bos_token }}
{%- if not date_string is defined %}
    {%- if strftime_now is defined %}
        {%- set date_string = strftime_now("%d %b %Y") %}
    {%- else %}
        {%- set date_string = "26 Jul 2024" %}
    {%- endif %}
{%- endif %}
{%- if not tools is defined %}
    {%- set tools = none %}
{%- endif %}
{%- if messages[0]['role'] == 'system' %}
    {%- set system_message = messages[0]['content']|trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system_message = "" %}
{%- endif %}
{{- "<|start_header_id|>system<|end_header_id|>\\n\\n" }}
{%- if tools is not none %}
    {{- "Environment: ipython\\n" }}
{%- endif %}
{{- "Today is " + date_string + ".\\n\\n" + system_message + "<|eot_id|>" }}
{%- for message in messages %}
    {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' + message['content'] | trim + '<|eot_id|>' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}
{%- endif %}
"""

VICUNA = """{% if messages[0]['role'] == 'system' %}{{ messages[0]['content'] }}{% set rest = messages[1:] %}{% else %}A chat between a user and an assistant.{% set rest = messages %}{% endif %}
{%- for message in rest -%}
    {%- if message['role'] == 'user' -%}
        {{ ' USER: ' + message['content'] | trim }}
    {%- else -%}
        {{ ' ASSISTANT: ' + message['content'] | trim + eos_token }}
    {%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}{{ ' ASSISTANT:' }}{%- endif -%}
"""

GEMMA = """{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('There is no system role.') }}{% endif %}{% for message in messages %}{% if (message['role'] == 'assistant') %}{% set role = 'model' %}{% else %}{% set role = message['role'] %}{% endif %}{{ '<start_of_turn>' + role + '\\n' + message['content'] | trim + '<end_of_turn>\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<start_of_turn>model\\n' }}{% endif %}"""


# --------------------------------------------------------------------------------------------------------- tokenizers

def write_json(path, value):
    path.write_text(json.dumps(value, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def byte_level(folder, *, pre, special, normalizer=None, post=None, plain=(), size=300, ignore_merges=False, config=None):
    """Byte-level BPE with all 256 letters; `special` tokens come after the vocabulary, `plain` added tokens after those."""
    tokenizer = Tokenizer(models.BPE(ignore_merges=ignore_merges))
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(
        CORPUS, trainers.BpeTrainer(vocab_size=size, show_progress=False, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in special])
    tokenizer.add_tokens([AddedToken(token, special=False, normalized=True) for token in plain])
    if post is not None:
        tokenizer.post_processor = post(tokenizer)
    tokenizer.save(str(folder / "tokenizer.json"))
    write_json(folder / "tokenizer_config.json", config)


def split(pattern):
    return pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(pattern), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


def qwen(folder, template=CHATML, plain=()):
    byte_level(folder, pre=split(QWEN_SPLIT), normalizer=normalizers.NFC(), plain=plain,
               special=["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
               config={"add_bos_token": False, "add_prefix_space": False, "bos_token": None, "eos_token": "<|im_end|>",
                       "pad_token": "<|endoftext|>", "unk_token": None, "errors": "replace", "model_max_length": 131072,
                       "clean_up_tokenization_spaces": False, "split_special_tokens": False,
                       "tokenizer_class": "Qwen2Tokenizer", "chat_template": template})


def qwen3(folder):
    qwen(folder, THINKING, ["<think>", "</think>", "<tool_call>"])


def llama3(folder):
    begin = "<|begin_of_text|>"
    post = lambda t: processors.Sequence([
        processors.ByteLevel(trim_offsets=True),
        processors.TemplateProcessing(single=f"{begin} $A", pair=f"{begin} $A {begin}:1 $B:1", special_tokens=[(begin, t.token_to_id(begin))])])
    byte_level(folder, pre=split(LLAMA3_SPLIT), post=post, ignore_merges=True,
               special=[begin, "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"],
               config={"bos_token": begin, "eos_token": "<|eot_id|>", "clean_up_tokenization_spaces": True,
                       "model_input_names": ["input_ids", "attention_mask"], "model_max_length": 131072,
                       "tokenizer_class": "PreTrainedTokenizerFast", "chat_template": LLAMA3})


def smollm2(folder):
    pre = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)])
    byte_level(folder, pre=pre, special=["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
               config={"add_prefix_space": False, "bos_token": "<|im_start|>", "eos_token": "<|im_end|>", "pad_token": "<|im_end|>",
                       "unk_token": "<|endoftext|>", "vocab_size": 49152, "model_max_length": 8192,
                       "clean_up_tokenization_spaces": False, "tokenizer_class": "GPT2Tokenizer", "chat_template": CHATML})


def phi2(folder):
    spaces = [" " * n for n in range(8, 1, -1)] + ["\t" * n for n in range(4, 1, -1)]
    byte_level(folder, pre=pre_tokenizers.ByteLevel(add_prefix_space=False), special=["<|endoftext|>"], plain=spaces,
               post=lambda t: processors.ByteLevel(trim_offsets=True),
               config={"add_bos_token": False, "add_prefix_space": False, "bos_token": "<|endoftext|>", "eos_token": "<|endoftext|>",
                       "unk_token": "<|endoftext|>", "clean_up_tokenization_spaces": True, "model_max_length": 2048,
                       "tokenizer_class": "CodeGenTokenizer"})


def sentencepiece_model(folder, *, prefix=True, ids=(0, 1, 2, -1), symbols=()):
    unk, bos, eos, pad = ids
    out = io.BytesIO()
    spm.SentencePieceTrainer.train(
        sentence_iterator=iter(CORPUS), model_writer=out, model_type="bpe", vocab_size=350, byte_fallback=True,
        add_dummy_prefix=prefix, remove_extra_whitespaces=False, normalization_rule_name="identity", split_digits=True,
        allow_whitespace_only_pieces=True, unk_id=unk, bos_id=bos, eos_id=eos, pad_id=pad, character_coverage=0.99,
        control_symbols=list(symbols), num_threads=1, minloglevel=2, hard_vocab_limit=False,
        unk_surface=" \u2047 ")
    (folder / "tokenizer.model").write_bytes(out.getvalue())


def sentencepiece(folder, *, name="LlamaTokenizer", legacy=None, template=None, keep_model=True, with_json=True, symbols=(),
                  prefix=True, ids=(0, 1, 2, -1), pad="<unk>", specials=("<s>", "</s>", "<unk>")):
    sentencepiece_model(folder, prefix=prefix, ids=ids, symbols=symbols)
    bos, eos, unk = specials
    config = {"add_bos_token": True, "add_eos_token": False, "bos_token": bos, "eos_token": eos, "unk_token": unk, "pad_token": pad,
              "clean_up_tokenization_spaces": False, "model_max_length": 4096, "sp_model_kwargs": {}, "tokenizer_class": name}
    config |= {} if legacy is None else {"legacy": legacy}
    config |= {} if template is None else {"chat_template": template}
    write_json(folder / "tokenizer_config.json", config)
    if with_json:
        AutoTokenizer.from_pretrained(folder).backend_tokenizer.save(str(folder / "tokenizer.json"))
    if not keep_model:
        (folder / "tokenizer.model").unlink()


# -------------------------------------------------------------------------------------------------------------- models

SMALL = dict(hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
             max_position_embeddings=128, rms_norm_eps=1e-5)


def rope(kind="default", theta=10000.0, **more):
    return dict(rope_type=kind, rope_theta=theta, **more)


CASES = {
    "qwen2": dict(type="Qwen2", tokenizer=qwen, config=dict(rope_parameters=rope(theta=1e6)), grads=("q_proj.bias", "norm")),
    "qwen2.5-yarn-tied": dict(
        type="Qwen2", tokenizer=qwen, grads=("k_proj.weight", "v_proj.bias"),
        config=dict(tie_word_embeddings=True, max_position_embeddings=32, head_dim=16,
                    rope_parameters=rope("yarn", 1e4, factor=4.0, original_max_position_embeddings=32))),
    "qwen2-window": dict(type="Qwen2", tokenizer=qwen, grads=("q_proj.bias",),
                         config=dict(use_sliding_window=True, sliding_window=12, max_window_layers=1)),
    "qwen3": dict(type="Qwen3", tokenizer=qwen3, grads=("q_norm", "k_norm", "input_layernorm"),
                  config=dict(head_dim=16, tie_word_embeddings=True, rope_parameters=rope(theta=1e6))),
    "mistral-v0.1": dict(type="Mistral", grads=("q_proj.weight", "norm"), config=dict(sliding_window=16),
                         tokenizer=lambda f: sentencepiece(f, legacy=True, template=INST, pad=None)),
    "mistral-v0.3": dict(type="Mistral", grads=("norm",), config=dict(sliding_window=None, rope_parameters=rope(theta=1e6)),
                         tokenizer=lambda f: sentencepiece(f, legacy=False, template=MISTRAL, pad=None, symbols=("[INST]", "[/INST]"))),
    "smollm2": dict(type="Llama", tokenizer=smollm2, grads=("norm",),
                    config=dict(tie_word_embeddings=True, rope_parameters=rope(theta=1e5))),
    "llama-3.1": dict(type="Llama", tokenizer=llama3, grads=("norm",), eos=["<|eot_id|>", "<|end_of_text|>"],
                      config=dict(rope_parameters=rope("llama3", 5e5, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
                                                       original_max_position_embeddings=32))),
    "llama-dynamic": dict(type="Llama", tokenizer=llama3, grads=("norm",), config=dict(rope_parameters=rope("dynamic", factor=2.0))),
    "llama-2": dict(type="Llama", grads=("norm",), config=dict(num_key_value_heads=4),
                    tokenizer=lambda f: sentencepiece(f, legacy=False, template=INST)),
    "vicuna-v1.1": dict(type="Llama", sentencepiece=True, grads=("norm",), config=dict(num_key_value_heads=4),
                        tokenizer=lambda f: sentencepiece(f, with_json=False)),
    "vicuna-v1.5": dict(type="Llama", grads=("norm",), config=dict(num_key_value_heads=4),
                        tokenizer=lambda f: sentencepiece(f, legacy=False, with_json=False, template=VICUNA)),
    "vicuna-v1.5-json": dict(type="Llama", grads=("norm",),
                             config=dict(num_key_value_heads=4, rope_parameters=rope("linear", factor=4.0)),
                             tokenizer=lambda f: sentencepiece(f, legacy=False, keep_model=False, template=VICUNA)),
    "phi-2": dict(type="Phi", tokenizer=phi2, grads=("q_proj.bias", "dense.bias", "fc1.bias", "layernorm", "lm_head.bias"),
                  config=dict(head_dim=None, num_key_value_heads=4, hidden_size=40, intermediate_size=48,
                              rope_parameters=rope(partial_rotary_factor=0.4))),
    "gemma-2": dict(
        type="Gemma2", grads=("norm", "q_proj"), chats=[CHATS[0], CHATS[2]],
        config=dict(head_dim=16, sliding_window=12, query_pre_attn_scalar=24, attn_logit_softcapping=2.0, final_logit_softcapping=3.0),
        tokenizer=lambda f: sentencepiece(f, name="GemmaTokenizer", prefix=False, ids=(3, 2, 1, 0), pad="<pad>", template=GEMMA,
                                          specials=("<bos>", "<eos>", "<unk>"), symbols=("<start_of_turn>", "<end_of_turn>"))),
}


def randomise(model, seed):
    """Weights of ordinary size, exact in bf16, so that the stored ones are those of the reference run."""
    generator = torch.Generator().manual_seed(seed)
    # A tied head sees the token itself best: small embeddings leave the layers a say.
    embed = 0.4 if model.config.tie_word_embeddings else 2
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            draw = torch.randn(parameter.shape, generator=generator)
            is_scale = parameter.ndim == 1 and "norm" in name and name.endswith("weight")
            value = (0.0 if "Gemma" in type(model).__name__ else 1.0) + 0.2 * draw if is_scale else (
                draw * (0.2 if parameter.ndim == 1 else parameter[0].numel() ** -0.5 * (embed if "embed" in name else 1)))
            parameter.copy_(value.bfloat16().float())


def forward(model, embeds):
    states = []
    first = lambda output: output[0] if isinstance(output, tuple) else output
    layers = model.model.layers
    hooks = [layer.register_forward_hook(lambda module, args, output: states.append(first(output))) for layer in layers]
    output = model(inputs_embeds=embeds, use_cache=False)
    for hook in hooks:
        hook.remove()
    return [embeds, *states], output.logits


def greedy(model, prompt):
    settings = GenerationConfig(max_new_tokens=64, do_sample=False, eos_token_id=None, pad_token_id=0)
    model.generation_config = GenerationConfig()
    with torch.no_grad():
        tokens = model.generate(prompt, generation_config=settings)[0, prompt.shape[1]:]
        logits = model(torch.cat([prompt[0], tokens])[None], use_cache=False).logits[0, prompt.shape[1] - 1:-1]
    best = logits.topk(2).values
    assert len(tokens) == 64 and torch.equal(logits.argmax(-1), tokens), "generate and the whole pass disagree"
    return tokens, (best[:, 0] - best[:, 1]).min().item()


def write_model(folder, case, vocab_size, eos_ids):
    config_class = getattr(transformers, f"{case['type']}Config")
    settings = {k: v for k, v in (SMALL | {"rope_parameters": rope()} | case["config"]).items() if v is not None or k == "sliding_window"}
    if case["type"] == "Phi":
        settings["layer_norm_eps"] = settings.pop("rms_norm_eps")
    for seed in range(100):
        config = config_class(vocab_size=vocab_size, bos_token_id=1, eos_token_id=eos_ids[0], pad_token_id=None, **settings)
        model = getattr(transformers, f"{case['type']}ForCausalLM")._from_config(config, attn_implementation="eager").eval()
        randomise(model, seed)
        generator = torch.Generator().manual_seed(1000 + seed)
        prompt = torch.randint(3, vocab_size, (1, 10), generator=generator)
        tokens, margin = greedy(model, prompt)
        # No near ties, and no early loop: both would make equal tokens say little.
        if margin > 2e-3 and len(set(tokens.tolist())) > 8:
            break
    else:
        raise SystemExit(f"{folder.name}: no seed gives clear tokens")
    golden = {"greedy.prompt": prompt[0], "greedy.tokens": tokens}
    ids = torch.randint(3, vocab_size, (1, 28), generator=generator)
    embeds = model.get_input_embeddings()(ids).detach().clone().requires_grad_()
    states, logits = forward(model, embeds)
    last = logits[:, -10:]
    cotangent = torch.randn(last.shape, generator=generator).bfloat16().float()
    (last * cotangent).sum().backward()
    golden |= {"input.ids": ids, "f32.logits": last.detach(), "grad.embeds": embeds.grad}
    golden |= {f"f32.hidden.{i}": state.detach() for i, state in enumerate(states)}
    golden |= {"input.cotangent.logits": cotangent.bfloat16()}
    for name, parameter in model.named_parameters():
        if ("layers.1." in name or "layers" not in name) and any(part in name for part in case["grads"]):
            if parameter.ndim == 1 or parameter.numel() <= 2048:
                golden[f"grad.{name}"] = parameter.grad.clone()
    model.generation_config = GenerationConfig(bos_token_id=1, eos_token_id=eos_ids if len(eos_ids) > 1 else eos_ids[0])
    model.bfloat16().save_pretrained(folder)
    save_file({name: value.detach().contiguous().clone() for name, value in golden.items()}, folder / "golden.safetensors")
    return seed, margin


def texts_of_sentencepiece(folder):
    """What the older rule of Llama gives, a space before every text; transformers 5 knows the newer rule only."""
    model = spm.SentencePieceProcessor(model_file=str(folder / "tokenizer.model"))
    encoded = [(text, model.encode(text)) for text in TEXTS]
    return [{"text": text, "ids": [model.bos_id(), *ids], "plain": ids, "decoded": model.decode(ids)} for text, ids in encoded]


def texts_of(tokenizer):
    rows = []
    for text in TEXTS:
        plain = tokenizer(text, add_special_tokens=False)["input_ids"]
        rows.append({"text": text, "ids": tokenizer(text)["input_ids"], "plain": plain,
                     "decoded": tokenizer.decode(plain, clean_up_tokenization_spaces=False)})
    return rows


def chats_of(tokenizer, chats):
    if tokenizer.chat_template is None:
        return []
    rows = []
    for messages in chats:
        for prompt, variables in [(True, {}), (False, {}), (True, {"enable_thinking": False, "date_string": "01 Jan 2026"})]:
            variables = {"date_string": "02 Feb 2025"} | variables
            arguments = dict(add_generation_prompt=prompt, **variables)
            rows.append({"messages": messages, "addGenerationPrompt": prompt, "variables": variables,
                         "text": tokenizer.apply_chat_template(messages, tokenize=False, **arguments),
                         "ids": list(tokenizer.apply_chat_template(messages, tokenize=True, return_dict=False, **arguments))})
    return rows


def write(folder, case):
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    case["tokenizer"](folder)
    # The class of the tokenizer would be taken from config.json, were there one already.
    tokenizer = AutoTokenizer.from_pretrained(folder)
    vocab_size = -(-len(tokenizer) // 8) * 8
    eos = [tokenizer.convert_tokens_to_ids(token) for token in case.get("eos", [tokenizer.eos_token])]
    seed, margin = write_model(folder, case, vocab_size, eos)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    chats = case.get("chats", CHATS)
    if folder.name == "qwen3":
        thought = {"role": "assistant", "content": "<think>\nIt barks.\n</think>\n\nYes."}
        chats = [*chats, [USER, thought], [USER, thought, {"role": "user", "content": "Sure?"}]]
    texts = texts_of_sentencepiece(folder) if case.get("sentencepiece") else texts_of(tokenizer)
    write_json(folder / "text.json", {"texts": texts, "chats": chats_of(tokenizer, chats)})
    size = sum(file.stat().st_size for file in folder.iterdir()) / 1024
    print(f"{folder.name}: {type(tokenizer).__name__}, vocabulary {vocab_size}, seed {seed}, margin {margin:.4f}, {size:.0f} KiB")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("case", nargs="*")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for name in arguments.case or CASES:
        write(arguments.out / name, CASES[name])


if __name__ == "__main__":
    main()
