"""Golden files for whole models: tiny random checkpoints in their own formats, with pictures, prompts and what comes out.

Run: python3 tools/golden/whole.py tests/golden/whole     (versions: tools/golden/requirements.txt)

Each model gets a folder as its library writes it, and beside those files
  picture.png         what is asked about
  golden.json         messages, the prompt's text and ids, 64 greedy tokens
  golden.safetensors  pixels, vision.hidden.*, visual (behind the projector), hidden.*, logits of the last 8 tokens; f32
"""

import argparse
import io
import json
import pathlib
import shutil

import encoders  # first: it makes torchvision importable
import numpy as np
import sentencepiece
import timm
import torch
from models import randomise
from PIL import Image, ImageDraw
from safetensors.torch import save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import (
    CLIPVisionConfig,
    CLIPVisionModel,
    LlamaConfig,
    LlamaForCausalLM,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
    Qwen2Config,
    SiglipVisionConfig,
    SiglipVisionModel,
)
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil
from torchvision import transforms
from torchvision.transforms.functional import InterpolationMode

QUESTION = "What is this?\nSay it."
CORPUS = [
    "A chat between a curious user and an artificial intelligence assistant. The assistant gives helpful, detailed, "
    "and polite answers to the user's questions. USER: What is this? ASSISTANT: This is a picture of a dog. In: Out: "
    "Where is the red box in the image? It is on the left of the cat, at [0.123,0.456,0.789,1.000]. Question: Answer:"
] * 3

VISION = dict(hidden_size=16, num_hidden_layers=3, num_attention_heads=2, patch_size=8, image_size=32,
              intermediate_size=24, hidden_act="quick_gelu", projection_dim=16)
LLAMA = dict(hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
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


def greedy(model, inputs, vocab_size=None, count=64):
    """The likeliest token of the first `vocab_size`, over and over, whatever ends an answer."""
    embeds = run(model, inputs)["hidden.0"]
    tokens = []
    with torch.no_grad():
        for _ in range(count):
            last = model.model.language_model(inputs_embeds=embeds).last_hidden_state[:, -1:]
            tokens.append(model.lm_head(last)[..., :vocab_size].argmax(-1))
            embeds = torch.cat([embeds, model.get_input_embeddings()(tokens[-1])], 1)
    return torch.cat(tokens, 1)[0].tolist()


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


def sentencepiece_model(vocab_size=330):
    out = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(CORPUS), model_writer=out, vocab_size=vocab_size, model_type="bpe", byte_fallback=True,
        normalization_rule_name="identity", remove_extra_whitespaces=False, hard_vocab_limit=False, num_threads=1,
        minloglevel=2)
    return out.getvalue()


def on_square(image, color):
    """The whole picture in the middle of a square of that colour."""
    side = max(image.size)
    square = Image.new("RGB", (side, side), color)
    square.paste(image, ((side - image.width) // 2, (side - image.height) // 2))
    return square


def prepared(square, size, mean, std):
    """Bicubic to the size, then (x / 255 - mean) / std in f32: what CLIP's processor does with a square."""
    array = np.asarray(square.resize((size, size), Image.Resampling.BICUBIC)).astype(np.float64) * (1 / 255)
    array = (array.astype(np.float32) - np.float32(mean)) / np.float32(std)
    return torch.from_numpy(array.transpose(2, 0, 1)[None].copy())


def reference_model(vocab_size, image_token, seed, **changes):
    """transformers' LLaVA with weights that the authors' layouts hold under other names."""
    config = LlavaConfig(vision_config=CLIPVisionConfig(**VISION), text_config=LlamaConfig(**LLAMA, vocab_size=vocab_size),
                         image_token_index=image_token, image_seq_length=16, **changes)
    model = LlavaForConditionalGeneration._from_config(config, attn_implementation="eager").eval()
    randomise(model, seed)
    return model


def original_names(model, vocab_size):
    """The language model and projector as LLaVA's authors name them."""
    named = {}
    for key, value in model.model.language_model.state_dict().items():
        named[f"model.{key}"] = value
    named["lm_head.weight"] = model.lm_head.weight.data
    for key in ("model.embed_tokens.weight", "lm_head.weight"):
        named[key] = named[key][:vocab_size].clone()
    return named


def tower_folder(folder, model):
    """The picture encoder as a CLIP folder."""
    vision = CLIPVisionModel(CLIPVisionConfig(**VISION))
    vision.load_state_dict(model.model.vision_tower.state_dict())
    vision.save_pretrained(folder)
    CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}).save_pretrained(folder)


def llava_original(folder, seed):
    """LLaVA-1.5 as its authors store it: torch shards, SentencePiece, the tower in a folder of its own, padded pictures."""
    fresh(folder)
    sp = sentencepiece.SentencePieceProcessor(model_proto=(proto := sentencepiece_model()))
    vocab_size = sp.vocab_size()
    # The authors' id for a picture is -200; transformers needs a row for it, which is then cut off.
    model = reference_model(vocab_size + 1, vocab_size, seed)
    weights = original_names(model, vocab_size)
    for i, layer in enumerate((model.model.multi_modal_projector.linear_1, model.model.multi_modal_projector.linear_2)):
        weights[f"model.mm_projector.{2 * i}.weight"] = layer.weight.data
        weights[f"model.mm_projector.{2 * i}.bias"] = layer.bias.data
    (folder / "tokenizer.model").write_bytes(proto)
    (folder / "tokenizer_config.json").write_text(json.dumps({"add_bos_token": True, "legacy": False}))
    config = LlamaConfig(**LLAMA, vocab_size=vocab_size).to_dict() | dict(
        model_type="llava", architectures=["LlavaLlamaForCausalLM"], mm_vision_tower="example/tower", mm_hidden_size=16,
        mm_projector_type="mlp2x_gelu", mm_vision_select_layer=-2, mm_vision_select_feature="patch",
        mm_use_im_start_end=False, mm_use_im_patch_token=False, image_aspect_ratio="pad", tune_mm_mlp_adapter=False)
    (folder / "config.json").write_text(json.dumps(config, indent=1))
    names = sorted(weights)
    shards = {"pytorch_model-00001-of-00002.bin": names[::2], "pytorch_model-00002-of-00002.bin": names[1::2]}
    for name, keys in shards.items():
        torch.save({key: weights[key].clone() for key in keys}, folder / name)
    weight_map = {key: name for name, keys in shards.items() for key in keys}
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    tower_folder(folder / "tower", model)

    image = picture(folder / "picture.png")
    mean, std = CLIPImageProcessorPil.image_mean, CLIPImageProcessorPil.image_std
    pixels = prepared(on_square(image, tuple(int(x * 255) for x in mean)), 32, mean, std)
    system = ("A chat between a curious user and an artificial intelligence assistant. "
              "The assistant gives helpful, detailed, and polite answers to the user's questions.")
    # Each stretch of text between pictures is tokenised alone, and begins with the space that a text begins with.
    ids = [1, *sp.encode(f"{system} USER: "), *[vocab_size] * 16, *sp.encode(f"\n{QUESTION} ASSISTANT:")]
    inputs = {"input_ids": torch.tensor([ids]), "pixel_values": pixels, "attention_mask": torch.ones(1, len(ids)).long()}
    states = run(model, inputs)
    states["logits"] = states["logits"][..., :vocab_size]
    write(folder, {"pixels": pixels} | states,
          {"question": QUESTION, "ids": ids, "greedy": greedy(model, inputs, vocab_size), "visionTowers": ["tower"]})


def shikra(folder, seed):
    """Shikra as its authors publish it: the difference to a Llama, longer by three tokens, and CLIP in a folder of its own."""
    fresh(folder)
    more = ["<im_patch>", "<im_start>", "<im_end>"]
    sp = sentencepiece.SentencePieceProcessor(model_proto=(proto := sentencepiece_model()))
    vocab_size = sp.vocab_size()
    model = reference_model(vocab_size + 3, vocab_size, seed)
    projector = model.model.multi_modal_projector
    # One linear map: what transformers' two layers give without their second one.
    model.model.multi_modal_projector = projector.linear_1
    base = LlamaForCausalLM(LlamaConfig(**LLAMA, vocab_size=vocab_size))
    randomise(base, seed + 1)
    base.save_pretrained(folder / "base")
    weights = original_names(model, vocab_size + 3)
    summed = {}
    for key, value in base.state_dict().items():
        delta = weights[key].clone()
        delta[:len(value)] -= value
        weights[key] = delta
        summed[key] = delta.clone()
        summed[key][:len(value)] += value
    # The reference is what the sum gives, rounding included.
    state = model.state_dict()
    for key, value in summed.items():
        state[key.replace("model.", "model.language_model.", 1)].copy_(value)
    weights["model.mm_projector.weight"] = projector.linear_1.weight.data
    weights["model.mm_projector.bias"] = projector.linear_1.bias.data
    config = LlamaConfig(**LLAMA, vocab_size=vocab_size + 3).to_dict() | dict(
        model_type="shikra", architectures=["ShikraLlamaForCausalLM"], mm_vision_tower="example/tower", mm_hidden_size=16,
        mm_vision_select_layer=-2, mm_use_im_start_end=True, use_mm_proj=True)
    (folder / "config.json").write_text(json.dumps(config, indent=1))
    (folder / "tokenizer.model").write_bytes(proto)
    (folder / "tokenizer_config.json").write_text(json.dumps({"add_bos_token": True, "legacy": True}))
    (folder / "added_tokens.json").write_text(json.dumps({token: vocab_size + i for i, token in enumerate(more)}))
    torch.save({key: value.clone() for key, value in weights.items()}, folder / "pytorch_model.bin")
    tower_folder(folder / "tower", model)

    image = picture(folder / "picture.png", size=(30, 45), seed=4)
    mean, std = CLIPImageProcessorPil.image_mean, CLIPImageProcessorPil.image_std
    pixels = prepared(on_square(image, (255, 255, 255)), 32, mean, std)
    system = ("A chat between a curious user and an artificial intelligence assistant. "
              "The assistant gives helpful, detailed, and polite answers to the user's questions.")
    # The older rule: a space in front of every stretch of text between special tokens.
    question = "Where is the red box?"
    ids = [1, *sp.encode(f"{system} USER: "), vocab_size + 1, *[vocab_size] * 16, vocab_size + 2,
           *sp.encode(f" {question} ASSISTANT:")]
    inputs = {"input_ids": torch.tensor([ids]), "pixel_values": pixels, "attention_mask": torch.ones(1, len(ids)).long()}
    write(folder, {"pixels": pixels} | run(model, inputs),
          {"question": question, "ids": ids, "greedy": greedy(model, inputs), "visionTowers": ["tower"], "base": "base"})


SIGLIP = dict(hidden_size=16, num_hidden_layers=3, num_attention_heads=2, patch_size=8, image_size=32, intermediate_size=24)

# In the manner of Qwen's: turns between markers, pictures in front of the text.
QWEN_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }} "
    "{% for part in message['content'] if part['type'] == 'image' %}<image>\n{% endfor %}"
    "{% for part in message['content'] if part['type'] == 'text' %}{{ part['text'] }}{% endfor %}<|im_end|>{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def byte_level_tokenizer(more, vocab_size=300):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(CORPUS, trainers.BpeTrainer(
        vocab_size=vocab_size, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), special_tokens=["<|endoftext|>"],
        show_progress=False))
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in more])
    return tokenizer


def llava_interleave(folder, seed):
    """LLaVA-Interleave as transformers writes it: SigLIP's last level whole, Qwen2 with tied embeddings."""
    fresh(folder)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=byte_level_tokenizer(["<|im_start|>", "<|im_end|>", "<image>"]), eos_token="<|im_end|>",
        pad_token="<|endoftext|>")
    text = Qwen2Config(hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=4,
                       num_key_value_heads=2, max_position_embeddings=256, vocab_size=len(tokenizer),
                       tie_word_embeddings=True, eos_token_id=tokenizer.eos_token_id, bos_token_id=None, pad_token_id=0)
    config = LlavaConfig(vision_config=SiglipVisionConfig(**SIGLIP, vision_use_head=False), text_config=text,
                         image_token_index=tokenizer.convert_tokens_to_ids("<image>"), image_seq_length=16,
                         vision_feature_layer=-1, vision_feature_select_strategy="full")
    model = LlavaForConditionalGeneration._from_config(config, attn_implementation="eager").eval()
    randomise(model, seed)
    processor = LlavaProcessor(SiglipImageProcessorPil(size={"height": 32, "width": 32}), tokenizer, patch_size=8,
                               vision_feature_select_strategy="full", chat_template=QWEN_TEMPLATE)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    image = picture(folder / "picture.png")
    messages = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": QUESTION}]}]
    text = processor.apply_chat_template(messages, add_generation_prompt=True)
    inputs = processor(images=image, text=text, return_tensors="pt")
    write(folder, {"pixels": inputs["pixel_values"]} | run(model, inputs),
          {"question": QUESTION, "text": text, "ids": inputs["input_ids"][0].tolist(), "greedy": greedy(model, inputs)})


def taken(name, blocks, run):
    """Input of the first block and output of each, under a name, with what `run` gives."""
    states, result = {}, []
    for i, state in enumerate(encoders.hidden_states(blocks, lambda: result.append(run()))):
        states[f"{name}.{i}"] = state
    return states, result[0]


def run_joined(language, visual, ids, place):
    """A language model over embeddings with the visual tokens written at `place`; states, logits and 64 greedy tokens."""
    with torch.no_grad():
        text = language.get_input_embeddings()(torch.tensor([ids]))
        embeds = torch.cat([text[:, :place], visual, text[:, place:]], 1)
        states, output = taken("hidden", list(language.model.layers), lambda: language(inputs_embeds=embeds))
        states["logits"] = output.logits[:, -8:]
        tokens = []
        for _ in range(64):
            last = language(inputs_embeds=embeds).logits[:, -1:].argmax(-1)
            tokens.append(last.item())
            embeds = torch.cat([embeds, language.get_input_embeddings()(last)], 1)
    return states, tokens


def prismatic(folder, seed):
    """A Prismatic run: checkpoint with projector and language model, encoders of timm and the language model's own folder."""
    fresh(folder)
    tokenizer = fast_tokenizer()
    args = dict(embed_dim=16, depth=3, num_heads=2, patch_size=8, img_size=32, num_classes=0)
    towers = {"dino_featurizer": "vit_small_patch14_reg4_dinov2", "siglip_featurizer": "vit_so400m_patch16_siglip_256"}
    image = picture(folder / "picture.png")
    tensors, features = {}, []
    for i, (name, architecture) in enumerate(towers.items()):
        model = encoders.randomise(timm.create_model(architecture, **args), seed + i)
        encoders.save_for_hf(model, folder / name, safe_serialization=True, model_args=args)
        settings = model.pretrained_cfg
        transform = transforms.Compose([
            transforms.Resize((32, 32), interpolation=InterpolationMode.BICUBIC), transforms.ToTensor(),
            transforms.Normalize(settings["mean"], settings["std"])])
        pixels = transform(image)[None]
        states, _ = taken(f"vision.{i}.hidden", list(model.blocks), lambda: model.forward_features(pixels))
        with torch.no_grad():
            features.append(model.get_intermediate_layers(pixels, n={len(model.blocks) - 2})[0])
        tensors |= {f"pixels.{i}": pixels} | states
    config = LlamaConfig(**LLAMA, vocab_size=len(tokenizer))
    config.save_pretrained(folder / "llm")
    tokenizer.save_pretrained(folder / "llm")
    config.vocab_size = 384
    language = LlamaForCausalLM._from_config(config, attn_implementation="eager").eval()
    randomise(language, seed + 2)
    width, hidden = 32, LLAMA["hidden_size"]
    projector = torch.nn.Sequential(torch.nn.Linear(width, 4 * width), torch.nn.GELU(), torch.nn.Linear(4 * width, hidden),
                                    torch.nn.GELU(), torch.nn.Linear(hidden, hidden))
    randomise(projector, seed + 3)
    named = lambda module, prefix: {prefix + key: value.clone() for key, value in module.state_dict().items()}
    (folder / "checkpoints").mkdir()
    torch.save({"model": {"projector": named(projector, "projector."), "llm_backbone": named(language, "llm.")}},
               folder / "checkpoints" / "latest-checkpoint.pt")
    (folder / "config.json").write_text(json.dumps({"model": {
        "type": "prism-dinosiglip+7b", "model_id": "tiny", "vision_backbone_id": "dinosiglip-vit-so-384px",
        "llm_backbone_id": "llama2-7b-pure", "arch_specifier": "no-align+fused-gelu-mlp",
        "image_resize_strategy": "resize-naive", "llm_max_length": 256}, "seed": 7}, indent=1))
    with torch.no_grad():
        tensors["visual"] = projector(torch.cat(features, 2))
    ids = tokenizer(f"In: {QUESTION}\nOut:").input_ids
    states, tokens = run_joined(language, tensors["visual"], ids, 1)
    write(folder, tensors | states, {"question": QUESTION, "ids": ids[:1] + [384] * 16 + ids[1:], "greedy": tokens,
                                     "visionTowers": list(towers), "base": "llm"})


def nanovlm(folder, seed):
    """nanoVLM in its own names: SigLIP, pixel shuffle, a tied Llama whose one table is stored as the head."""
    fresh(folder)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=byte_level_tokenizer([]), eos_token="<|endoftext|>", bos_token="<|endoftext|>",
        pad_token="<|endoftext|>")
    tokenizer.save_pretrained(folder / "lm")
    # As a language model's folder has it; only the tokenizer is read.
    (folder / "lm" / "config.json").write_text('{"model_type": "llama"}\n')
    vision = SiglipVisionModel._from_config(SiglipVisionConfig(**SIGLIP, vision_use_head=False), attn_implementation="eager").eval()
    randomise(vision, seed)
    config = LlamaConfig(**LLAMA, vocab_size=len(tokenizer), tie_word_embeddings=True, rope_theta=100000.0)
    language = LlamaForCausalLM._from_config(config, attn_implementation="eager").eval()
    randomise(language, seed + 1)
    language.tie_weights()
    linear = torch.nn.Linear(64, LLAMA["hidden_size"], bias=False)
    randomise(linear, seed + 2)
    tower = getattr(vision, "vision_model", vision)
    weights = {"MP.proj.weight": linear.weight.data,
               "vision_encoder.patch_embedding.conv.weight": tower.embeddings.patch_embedding.weight,
               "vision_encoder.patch_embedding.conv.bias": tower.embeddings.patch_embedding.bias,
               "vision_encoder.patch_embedding.position_embedding": tower.embeddings.position_embedding.weight[None],
               "decoder.norm.weight": language.model.norm.weight, "decoder.head.weight": language.lm_head.weight,
               "decoder.rotary_embd.inv_freq": language.model.rotary_emb.inv_freq}

    def keep(name, module):
        weights.update({f"{name}.{key}": value for key, value in module.state_dict().items()})

    keep("vision_encoder.layer_norm", tower.post_layernorm)
    for i, block in enumerate(tower.encoder.layers):
        name, attention = f"vision_encoder.blocks.{i}", block.self_attn
        for part, module in (("ln1", block.layer_norm1), ("ln2", block.layer_norm2), ("mlp.fc1", block.mlp.fc1),
                             ("mlp.fc2", block.mlp.fc2), ("attn.out_proj", attention.out_proj)):
            keep(f"{name}.{part}", module)
        for kind in ("weight", "bias"):
            parts = [getattr(projection, kind) for projection in (attention.q_proj, attention.k_proj, attention.v_proj)]
            weights[f"{name}.attn.qkv_proj.{kind}"] = torch.cat(parts)
    for i, block in enumerate(language.model.layers):
        name, attention = f"decoder.blocks.{i}", block.self_attn
        for part, module in (("norm1", block.input_layernorm), ("norm2", block.post_attention_layernorm), ("mlp", block.mlp),
                             ("attn.q_proj", attention.q_proj), ("attn.k_proj", attention.k_proj),
                             ("attn.v_proj", attention.v_proj), ("attn.out_proj", attention.o_proj)):
            keep(f"{name}.{part}", module)
    save_file({key: value.detach().clone().contiguous() for key, value in weights.items()}, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(dict(
        vit_hidden_dim=16, vit_inter_dim=24, vit_patch_size=8, vit_img_size=32, vit_n_heads=2, vit_dropout=0.0, vit_n_blocks=3,
        vit_ln_eps=1e-6, vit_cls_flag=False, vit_model_type="google/siglip-base-patch16-224", lm_hidden_dim=LLAMA["hidden_size"],
        lm_inter_dim=LLAMA["intermediate_size"], lm_rms_eps=1e-5, lm_re_base=100000, lm_max_position_embeddings=256,
        lm_vocab_size=len(tokenizer), lm_n_heads=4, lm_n_kv_heads=2, lm_dropout=0.0, lm_n_blocks=2, lm_attn_scaling=1.0,
        lm_use_tokens=False, lm_tie_weights=True, lm_tokenizer="HuggingFaceTB/cosmo2-tokenizer", mp_pixel_shuffle_factor=2),
        indent=1))
    image = picture(folder / "picture.png")
    pixels = transforms.Compose([transforms.Resize((32, 32)), transforms.ToTensor()])(image)[None]
    states, output = taken("vision.hidden", list(tower.encoder.layers), lambda: vision(pixels))
    with torch.no_grad():
        # Each 2 x 2 square of neighbours becomes one token, its channels in reading order.
        grid = output.last_hidden_state.view(1, 2, 2, 2, 2, 16).permute(0, 1, 3, 2, 4, 5).reshape(1, 4, 64)
        states["visual"] = linear(grid)
    ids = tokenizer(f"Question: {QUESTION} Answer:").input_ids
    joined, tokens = run_joined(language, states["visual"], ids, 0)
    write(folder, {"pixels": pixels} | states | joined,
          {"question": QUESTION, "ids": [len(tokenizer)] * 4 + ids, "greedy": tokens, "base": "lm"})


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("names", nargs="*", help="only these")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    cases = {
        "llava": lambda folder: llava(folder, seed=50),
        "llava-layers": lambda folder: llava(folder, seed=51, vision_feature_layer=[-3, -2], multimodal_projector_bias=False),
        "llava-original": lambda folder: llava_original(folder, seed=52),
        "shikra": lambda folder: shikra(folder, seed=53),
        "llava-interleave": lambda folder: llava_interleave(folder, seed=54),
        "prismatic": lambda folder: prismatic(folder, seed=55),
        "nanovlm": lambda folder: nanovlm(folder, seed=60),
    }
    for name in arguments.names or cases:
        cases[name](arguments.out / name)


if __name__ == "__main__":
    main()
