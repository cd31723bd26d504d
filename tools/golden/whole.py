"""Golden files for whole models: tiny random checkpoints in their own formats, with pictures, prompts and what comes out.

Run: python3 tools/golden/whole.py tests/golden/whole     (versions: tools/golden/requirements.txt)

Each model gets a folder as its library writes it, and beside those files
  picture.png         what is asked about
  golden.json         messages, the prompt's text and ids, 64 greedy tokens
  golden.safetensors  pixels, vision.hidden.*, visual (behind the projector), hidden.*, logits of the last 8 tokens; f32
"""

import argparse
import json
import pathlib
import shutil
import sys

sys.modules["torchvision"] = None  # the Pillow processors are the reference for pixels

import torch
from models import randomise
from PIL import Image, ImageDraw
from safetensors.torch import save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, processors, trainers
from transformers import (
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
)
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

QUESTION = "What is this?\nSay it."
CORPUS = [
    "A chat between a curious user and an artificial intelligence assistant. The assistant gives helpful, detailed, "
    "and polite answers to the user's questions. USER: What is this? ASSISTANT: This is a picture of a dog. In: Out: "
    "Where is the red box in the image? It is on the left of the cat, at [0.123,0.456,0.789,1.000]. Question: Answer:"
] * 3

VISION = dict(hidden_size=16, num_hidden_layers=3, num_attention_heads=2, patch_size=8, image_size=32,
              intermediate_size=24, hidden_act="quick_gelu", projection_dim=16)
LLAMA = dict(hidden_size=24, intermediate_size=32, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
             max_position_embeddings=256, rms_norm_eps=1e-5, pad_token_id=0, bos_token_id=1, eos_token_id=2)

# In the manner of LLaVA's own: roles in capitals, pictures first, texts behind.
LLAVA_TEMPLATE = (
    "{% for message in messages %}{{ message['role'].upper() }}: "
    "{% for part in message['content'] if part['type'] == 'image' %}<image>\n{% endfor %}"
    "{% for part in message['content'] if part['type'] == 'text' %}{{ part['text'] }} {% endfor %}{% endfor %}"
    "{% if add_generation_prompt %}ASSISTANT:{% endif %}"
)


def picture(path, size=(45, 30), seed=3):
    """A picture with edges and gradients, wider than high."""
    image = Image.new("RGB", size)
    draw = ImageDraw.Draw(image)
    for y in range(size[1]):
        for x in range(size[0]):
            image.putpixel((x, y), ((x * 5 + seed * 40) % 256, (y * 8) % 256, (x * y + seed) % 256))
    draw.ellipse((8, 5, 28, 24), fill=(230, 40, 60))
    draw.rectangle((30, 12, 41, 27), fill=(20, 90, 220))
    image.save(path)
    return image


def llama_tokenizer(vocab_size=320, more=()):
    """A tokenizer of Llama's kind: pieces with U+2581, bytes for what is unknown, <s> in front."""
    special = ["<unk>", "<s>", "</s>"]
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    alphabet = [f"<0x{byte:02X}>" for byte in range(256)]
    trainer = trainers.BpeTrainer(vocab_size=vocab_size - 256, special_tokens=special, show_progress=False)
    tokenizer.train_from_iterator(CORPUS, trainer)
    trained = json.loads(tokenizer.to_str())
    pieces = [piece for piece, _ in sorted(trained["model"]["vocab"].items(), key=lambda item: item[1])]
    pieces = special + alphabet + [piece for piece in pieces if piece not in special]
    trained["model"]["vocab"] = {piece: i for i, piece in enumerate(pieces)}
    tokenizer = Tokenizer.from_str(json.dumps(trained))
    tokenizer.decoder = decoders.Sequence([
        decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", 1)])
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in more])
    return tokenizer


def fast_tokenizer(more=()):
    return PreTrainedTokenizerFast(
        tokenizer_object=llama_tokenizer(more=more), bos_token="<s>", eos_token="</s>", unk_token="<unk>", pad_token="<unk>")


def run(model, inputs):
    """Every hidden state of both towers, the visual tokens and the logits, from one forward pass."""
    vision = model.model.vision_tower
    vision = getattr(vision, "vision_model", vision)
    language = model.model.language_model
    states = {}

    def keep(name):
        return lambda module, args, output: states.__setitem__(name, output[0] if isinstance(output, tuple) else output)

    def entering(name):
        return lambda module, args, kwargs: states.__setitem__(name, args[0] if args else kwargs["hidden_states"])

    hooks = [model.model.multi_modal_projector.register_forward_hook(keep("visual"))]
    for prefix, layers in (("vision.hidden", vision.encoder.layers), ("hidden", language.layers)):
        hooks.append(layers[0].register_forward_pre_hook(entering(f"{prefix}.0"), with_kwargs=True))
        hooks += [layer.register_forward_hook(keep(f"{prefix}.{i + 1}")) for i, layer in enumerate(layers)]
    with torch.no_grad():
        states["logits"] = model(**inputs).logits[:, -8:]
    for hook in hooks:
        hook.remove()
    return states


def greedy(model, inputs, count=64):
    with torch.no_grad():
        return model.generate(**inputs, max_new_tokens=count, min_new_tokens=count, do_sample=False,
                              eos_token_id=None)[0, inputs["input_ids"].shape[1]:].tolist()


def write(folder, tensors, facts):
    save_file({name: value.detach().float().contiguous() for name, value in tensors.items()}, folder / "golden.safetensors")
    (folder / "golden.json").write_text(json.dumps(facts, indent=1, ensure_ascii=False) + "\n")
    print(f"{folder.name}: {sum(file.stat().st_size for file in folder.rglob('*') if file.is_file()) / 1024:.0f} KiB")


def fresh(folder):
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def llava(folder, seed, **changes):
    """LLaVA-1.5 as transformers writes it: CLIP, two-layer projector, Llama."""
    fresh(folder)
    tokenizer = fast_tokenizer(more=["<image>"])
    config = LlavaConfig(vision_config=CLIPVisionConfig(**VISION), text_config=LlamaConfig(**LLAMA, vocab_size=len(tokenizer) + 7),
                         image_token_index=tokenizer.convert_tokens_to_ids("<image>"), image_seq_length=16, **changes)
    model = LlavaForConditionalGeneration._from_config(config, attn_implementation="eager").eval()
    randomise(model, seed)
    image_processor = CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    processor = LlavaProcessor(image_processor, tokenizer, patch_size=8, vision_feature_select_strategy="default",
                               chat_template=LLAVA_TEMPLATE, num_additional_image_tokens=1)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    image = picture(folder / "picture.png")
    messages = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": QUESTION}]}]
    text = processor.apply_chat_template(messages, add_generation_prompt=True)
    inputs = processor(images=image, text=text, return_tensors="pt")
    write(folder, {"pixels": inputs["pixel_values"]} | run(model, inputs),
          {"question": QUESTION, "text": text, "ids": inputs["input_ids"][0].tolist(), "greedy": greedy(model, inputs)})
    return model, tokenizer


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=pathlib.Path)
    out = parser.parse_args().out
    torch.set_num_threads(1)
    llava(out / "llava", seed=50)
    llava(out / "llava-layers", seed=51, vision_feature_layer=[-3, -2], multimodal_projector_bias=False)


if __name__ == "__main__":
    main()
