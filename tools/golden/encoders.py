"""Golden files for tests/parity: tiny random picture encoders as transformers, timm and open_clip write them.

Run: python3 tools/golden/encoders.py tests/golden/encoders     (versions: tools/golden/requirements.txt, transformers 5.24.0)

`picture.png` is shared. Each encoder gets a folder with the files of its library and `golden.safetensors`:
  pixels.picture   the picture as the library's own processor prepares it (Pillow does the resizing), f32[3, S, S]
  f32.hidden.<i>   hidden states of that input: 0 what the first block reads, i the output of block i; f32, eager attention
  f32.normed       the last one behind the final norm, where there is one
  wide.*           the same for random pixels of another grid, where the library resizes its positions
"""

import argparse
import contextlib
import functools
import json
import pathlib
import shutil

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file


def torchvision_without_operators():
    """Lets torchvision's Pillow transforms import where its compiled operators do not fit the installed torch."""
    library = torch.library.Library("torchvision", "DEF")
    names = ("nms qnms roi_align _roi_align_backward roi_pool _roi_pool_backward ps_roi_align _ps_roi_align_backward "
             "ps_roi_pool _ps_roi_pool_backward deform_conv2d _deform_conv2d_backward")
    for name in names.split():
        with contextlib.suppress(RuntimeError):
            library.define(f"{name}(Tensor x) -> Tensor")
    return library


LIBRARY = torchvision_without_operators()

import open_clip  # noqa: E402
import timm  # noqa: E402
import transformers  # noqa: E402
from open_clip.push_to_hf_hub import save_config_for_hf  # noqa: E402
from timm.data import create_transform, resolve_data_config  # noqa: E402
from timm.models import save_for_hf  # noqa: E402

SMALL = dict(hidden_size=24, num_hidden_layers=2, num_attention_heads=3, patch_size=8, image_size=32, intermediate_size=48)
TIMM = dict(embed_dim=24, depth=2, num_heads=3, patch_size=8, img_size=32, num_classes=3)


def picture():
    """Gradients and noise on 61 x 44 pixels: every filter and offset shows."""
    y, x = np.mgrid[0:44, 0:61]
    noise = np.random.default_rng(3).integers(0, 96, (44, 61, 3))
    smooth = np.stack([x * 255 / 60, y * 255 / 43, (x + y) * 255 / 103], -1)
    return Image.fromarray((smooth * 0.62 + noise).clip(0, 255).astype(np.uint8))


def randomise(model, seed):
    """Weights of ordinary size: the libraries' small initial values would hide mistakes behind the residual stream."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            draw = torch.randn(parameter.shape, generator=generator)
            scale = parameter.ndim == 1 and any(word in name for word in ("norm", "ln_", "lambda", "gamma", ".ls"))
            scale = scale and not name.endswith("bias")
            fan_in = parameter[0].numel() if parameter.ndim > 1 else 1
            parameter.copy_(1 + 0.2 * draw if scale else draw * (0.2 if parameter.ndim == 1 else fan_in**-0.5))
    return model.eval()


def hidden_states(blocks, run):
    """Input of the first block and raw output of each block, whatever the model itself reports."""
    states = []
    take = lambda args, kwargs: args[0] if args else kwargs["hidden_states"]
    hooks = [blocks[0].register_forward_pre_hook(lambda m, a, k: states.append(take(a, k)), with_kwargs=True)]
    first = lambda output: output[0] if isinstance(output, tuple) else output
    hooks += [block.register_forward_hook(lambda m, a, output: states.append(first(output))) for block in blocks]
    with torch.no_grad():
        run()
    for hook in hooks:
        hook.remove()
    return [state.clone() for state in states]


def write(folder, pixels, blocks, norm, run, wide=None):
    golden = {"pixels.picture": pixels.float().clone()}
    for prefix, batch in (("f32", pixels[None].float()), ("wide.f32", wide)):
        if batch is None:
            continue
        states = hidden_states(blocks, lambda: run(batch, prefix != "f32"))
        golden |= {f"{prefix}.hidden.{i}": state for i, state in enumerate(states)}
        if norm is not None:
            golden[f"{prefix}.normed"] = norm(states[-1]).detach()
    if wide is not None:
        golden["wide.pixels"] = wide
    save_file({name: value.contiguous() for name, value in golden.items()}, folder / "golden.safetensors")
    for file in folder.iterdir():
        file.chmod(0o644)
    print(f"{folder.name}: {sum(file.stat().st_size for file in folder.iterdir()) / 1024:.0f} KiB")


def fresh(folder):
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def wide_pixels(height, width, seed=5):
    return torch.randn(1, 3, height, width, generator=torch.Generator().manual_seed(seed))


def hugging_face(folder, image, model, processor, seed, *, base=lambda m: m, run=None, wide=None):
    fresh(folder)
    randomise(model, seed).save_pretrained(folder)
    if processor is not None:
        processor.save_pretrained(folder)
        pixels = torch.as_tensor(np.asarray(processor(image, return_tensors="np")["pixel_values"][0]))
    else:
        pixels = torch.randn(3, 32, 32, generator=torch.Generator().manual_seed(seed))
    inner = base(model)
    names = dict(inner.named_modules())
    blocks = next(names[n] for n in ("encoder.layers", "layers", "encoder.layer", "model.layer", "layer") if n in names)
    norm = next(names[n] for n in ("post_layernorm", "layernorm", "norm") if n in names)
    run = run or (lambda batch, other: inner(batch, **(dict(interpolate_pos_encoding=True) if other else {})))
    write(folder, pixels, blocks, norm, run, wide)


def timm_model(folder, image, name, seed, *, data=None, wide=None, weights="safetensors", **args):
    fresh(folder)
    model = randomise(timm.create_model(name, **(TIMM | args)), seed)
    save_for_hf(model, folder, safe_serialization=weights == "safetensors", data_config=data,
                model_args=TIMM | args)
    # What evaluation does with the exported settings.
    settings = json.loads((folder / "config.json").read_text())["pretrained_cfg"]
    transform = create_transform(**resolve_data_config(pretrained_cfg=settings), is_training=False)
    norm = model.norm if not isinstance(model.norm, torch.nn.Identity) else None

    def run(batch, other):
        if other and not model.dynamic_img_size:
            model.set_input_size(img_size=batch.shape[-2:])
        model.forward_features(batch)

    write(folder, transform(image), list(model.blocks), norm, run, wide)


def open_clip_model(folder, image, model_cfg, seed, *, preprocess, trunk=False, weights="safetensors", shrink=None):
    fresh(folder)
    with shrink or contextlib.nullcontext():
        model = open_clip.CustomTextCLIP(**model_cfg) if trunk else open_clip.CLIP(**model_cfg)
    randomise(model, seed)
    open_clip.model.set_model_preprocess_cfg(model, preprocess)
    model.visual.image_mean, model.visual.image_std = preprocess["mean"], preprocess["std"]
    save_config_for_hf(model, folder / "open_clip_config.json", model_cfg)
    state = {key: value.contiguous() for key, value in model.state_dict().items()}
    if weights == "safetensors":
        save_file(state, folder / "open_clip_model.safetensors")
    else:
        torch.save(state, folder / "open_clip_pytorch_model.bin")
    transform = open_clip.image_transform(
        32, is_train=False, mean=preprocess["mean"], std=preprocess["std"],
        resize_mode=preprocess["resize_mode"], interpolation=preprocess["interpolation"])
    visual = model.visual.trunk if trunk else model.visual
    blocks = list(visual.blocks if trunk else visual.transformer.resblocks)
    norm = visual.norm if trunk else visual.ln_post
    write(folder, transform(image), blocks, norm, lambda batch, other: model.visual(batch))


@contextlib.contextmanager
def smaller(**args):
    """open_clip takes timm's architectures by name alone, so their sizes are turned down behind its back."""
    original = timm.create_model
    timm.create_model = functools.partial(original, **args)
    open_clip.timm_model.timm.create_model = timm.create_model
    yield
    timm.create_model = open_clip.timm_model.timm.create_model = original


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=pathlib.Path)
    out = parser.parse_args().out
    torch.set_num_threads(1)
    out.mkdir(parents=True, exist_ok=True)
    picture().save(out / "picture.png")
    image = Image.open(out / "picture.png").convert("RGB")
    hf = functools.partial(hugging_face, image=image)
    from transformers.models.deit.image_processing_pil_deit import DeiTImageProcessorPil
    from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil
    from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

    eager = dict(attn_implementation="eager")
    square = dict(height=32, width=32)
    siglip = transformers.SiglipVisionConfig(**SMALL)
    hf(out / "siglip", model=transformers.SiglipVisionModel._from_config(siglip, **eager),
       processor=SiglipImageProcessorPil(size=square), seed=1, wide=wide_pixels(40, 24))
    rest = transformers.SiglipVisionConfig(**(SMALL | dict(image_size=36)))
    hf(out / "siglip-rest", model=transformers.SiglipVisionModel._from_config(rest, **eager),
       processor=SiglipImageProcessorPil(size=dict(height=36, width=36)), seed=2)
    text = dict(hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2, vocab_size=32)
    whole = transformers.SiglipConfig(text_config=text, vision_config=siglip.to_dict())
    hf(out / "siglip-whole", model=transformers.SiglipModel._from_config(whole, **eager),
       processor=SiglipImageProcessorPil(size=square), seed=3, base=lambda m: m.vision_model)
    vit = transformers.ViTConfig(**SMALL)
    hf(out / "vit", model=transformers.ViTModel._from_config(vit, **eager),
       processor=ViTImageProcessorPil(size=square), seed=4, wide=wide_pixels(40, 24))
    hf(out / "vit-classifier", model=transformers.ViTForImageClassification._from_config(vit, **eager),
       processor=ViTImageProcessorPil(size=square, resample=3), seed=5, base=lambda m: m.vit)
    decoder = dict(decoder_hidden_size=16, decoder_num_attention_heads=2, decoder_num_hidden_layers=1, decoder_intermediate_size=16)
    mae = transformers.ViTMAEForPreTraining._from_config(
        transformers.ViTMAEConfig(**SMALL, **decoder, mask_ratio=0.0, layer_norm_eps=1e-6), **eager)
    # Without masking the shuffled patches come back in order when the noise rises.
    run_mae = lambda batch, other: mae.vit(batch, noise=torch.arange(16.0)[None])
    hf(out / "mae", model=mae, processor=ViTImageProcessorPil(
        size=square, image_mean=[0.485, 0.456, 0.406], image_std=[0.229, 0.224, 0.225]), seed=6, base=lambda m: m.vit, run=run_mae)
    hf(out / "deit", model=transformers.DeiTModel._from_config(transformers.DeiTConfig(**SMALL), **eager),
       processor=DeiTImageProcessorPil(size=dict(height=37, width=37), crop_size=square), seed=7, wide=wide_pixels(40, 24))
    dinov3 = functools.partial(transformers.DINOv3ViTConfig, **SMALL)
    # Its processor has no Pillow form: the pixels are given.
    for name, config in (("dinov3", dinov3(num_register_tokens=4)),
                         ("dinov3-gated", dinov3(use_gated_mlp=True, hidden_act="silu", num_register_tokens=2))):
        model = transformers.DINOv3ViTModel._from_config(config, **eager)
        hf(out / name, model=model, processor=None, seed=8, run=lambda batch, other, m=model: m(batch), wide=wide_pixels(40, 24))

    tm = functools.partial(timm_model, image=image)
    tm(out / "timm-vit", name="vit_tiny_patch16_224", seed=20, wide=wide_pixels(40, 24))
    tm(out / "timm-vit-gap", name="vit_base_patch16_gap_224", seed=21, weights="bin")
    tm(out / "timm-dinov2-registers", name="vit_small_patch14_reg4_dinov2", seed=22, wide=wide_pixels(40, 24))
    tm(out / "timm-dinov2-giant", name="vit_giant_patch14_dinov2", seed=23, mlp_ratio=4.0)
    tm(out / "timm-mae", name="vit_base_patch16_224.mae", seed=24)
    tm(out / "timm-deit3", name="deit3_small_patch16_224", seed=25, wide=wide_pixels(40, 24))
    tm(out / "timm-deit-distilled", name="deit_tiny_distilled_patch16_224", seed=26, data=dict(crop_pct=0.8, crop_mode="squash"))
    tm(out / "timm-clip", name="vit_base_patch16_clip_quickgelu_224", seed=27)
    tm(out / "timm-siglip", name="vit_so400m_patch16_siglip_256", seed=28, num_classes=0)
    tm(out / "timm-eva02", name="eva02_tiny_patch14_224", seed=29)
    tm(out / "timm-eva02-clip", name="eva02_base_patch16_clip_224", seed=30, wide=wide_pixels(40, 24), ref_feat_shape=7)
    tm(out / "timm-eva02-enormous", name="eva02_enormous_patch14_clip_224", seed=31, mlp_ratio=2.0)
    tm(out / "timm-dinov3", name="vit_small_plus_patch16_dinov3_qkvb", seed=32, data=dict(input_size=(3, 32, 32)),
       wide=wide_pixels(40, 24))

    oc = functools.partial(open_clip_model, image=image)
    text_cfg = dict(context_length=8, vocab_size=32, width=16, heads=2, layers=1)
    clip = dict(mean=[0.48145466, 0.4578275, 0.40821073], std=[0.26862954, 0.26130258, 0.27577711],
                interpolation="bicubic", resize_mode="shortest")
    vision_cfg = dict(image_size=32, layers=2, width=24, head_width=8, patch_size=8, mlp_ratio=2.0)
    oc(out / "open-clip", model_cfg=dict(embed_dim=16, vision_cfg=vision_cfg, text_cfg=text_cfg, quick_gelu=True), seed=40,
       preprocess=clip)
    oc(out / "open-clip-bin", model_cfg=dict(embed_dim=16, vision_cfg=vision_cfg | dict(ls_init_value=0.1), text_cfg=text_cfg),
       seed=41, preprocess=clip | dict(interpolation="bilinear"), weights="bin")
    half = dict(mean=[0.5] * 3, std=[0.5] * 3, interpolation="bicubic", resize_mode="squash")
    small = dict(embed_dim=24, depth=2, patch_size=8, img_size=32)
    trunk = dict(image_size=32, timm_model_name="vit_base_patch16_siglip_224", timm_pool="map", timm_proj="none")
    oc(out / "open-clip-siglip", model_cfg=dict(embed_dim=24, vision_cfg=trunk, text_cfg=text_cfg), seed=42, preprocess=half,
       trunk=True, shrink=smaller(**small))
    trunk = dict(image_size=32, timm_model_name="eva02_base_patch16_clip_224", timm_pool="token", timm_proj=None)
    oc(out / "open-clip-eva02", model_cfg=dict(embed_dim=48, vision_cfg=trunk, text_cfg=text_cfg), seed=43, preprocess=clip,
       trunk=True, shrink=smaller(**(small | dict(embed_dim=48, depth=1, mlp_ratio=1.0))))


if __name__ == "__main__":
    main()
