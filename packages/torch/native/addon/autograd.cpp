// Gradients: whether a tensor wants one, what it is, and the two ways to compute it.
#include "addon.h"

#include <torch/csrc/autograd/autograd.h>

namespace commtorch {
namespace {

napi_value requiresGrad(napi_env env, napi_callback_info info) {
  return withTensor(env, info, "requiresGrad", 1, [&](Env&, const at::Tensor& t, Args&) { return boolean(env, t.requires_grad()); });
}

napi_value setRequiresGrad(napi_env env, napi_callback_info info) {
  return withTensor(env, info, "setRequiresGrad", 2, [&](Env&, const at::Tensor& t, Args& args) {
    t.requires_grad_(getBool(env, args.values[1], {"setRequiresGrad", "on"}));
    return undefined(env);
  });
}

napi_value gradOf(napi_env env, napi_callback_info info) {
  return withTensor(env, info, "grad", 1, [&](Env& e, const at::Tensor& t, Args&) { return wrapTensor(env, e, t.grad()); });
}

napi_value setGrad(napi_env env, napi_callback_info info) {
  return withTensor(env, info, "setGrad", 2, [&](Env& e, const at::Tensor& t, Args& args) {
    if (isNullish(env, args.values[1])) {
      t.mutable_grad() = at::Tensor();
    } else {
      at::Tensor grad = getTensor(env, e, args.values[1], {"setGrad", "grad"});
      TORCH_CHECK(!grad.is_same(t), "a tensor cannot be its own gradient");
      TORCH_CHECK(grad.sizes() == t.sizes(), "a gradient must have the shape of its tensor");
      TORCH_CHECK(grad.scalar_type() == t.scalar_type(), "a gradient must have the dtype of its tensor");
      TORCH_CHECK(grad.device() == t.device(), "a gradient must lie on the device of its tensor");
      t.mutable_grad() = std::move(grad);
    }
    return undefined(env);
  });
}

// backward(tensors, grads | null, retainGraph): adds to the `.grad` of the leaves.
napi_value backward(napi_env env, napi_callback_info info) {
  return guarded(env, [&]() -> napi_value {
    Args args;
    readArgs(env, info, args, "backward", 3);
    Env& e = dataOf(env);
    const auto tensors = getTensors(env, e, args.values[0], {"backward", "tensors"}, false);
    const auto grads = getTensors(env, e, args.values[1], {"backward", "grads"}, true);
    torch::autograd::backward(tensors, grads, getBool(env, args.values[2], {"backward", "retainGraph"}));
    return undefined(env);
  });
}

// gradients(outputs, inputs, gradOutputs | null, retainGraph, createGraph): an array, null where unused.
napi_value gradients(napi_env env, napi_callback_info info) {
  return guarded(env, [&]() -> napi_value {
    Args args;
    readArgs(env, info, args, "gradients", 5);
    Env& e = dataOf(env);
    const auto outputs = getTensors(env, e, args.values[0], {"gradients", "outputs"}, false);
    const auto inputs = getTensors(env, e, args.values[1], {"gradients", "inputs"}, false);
    const auto gradOutputs = getTensors(env, e, args.values[2], {"gradients", "gradOutputs"}, true);
    auto grads = torch::autograd::grad(outputs, inputs, gradOutputs, getBool(env, args.values[3], {"gradients", "retainGraph"}),
                                       getBool(env, args.values[4], {"gradients", "createGraph"}), true);
    napi_value out;
    check(env, napi_create_array_with_length(env, grads.size(), &out));
    for (size_t i = 0; i < grads.size(); i++) check(env, napi_set_element(env, out, i, wrapTensor(env, e, grads[i])));
    return out;
  });
}

// setGradEnabled(on) -> what it was. The mode belongs to this thread.
napi_value setGradEnabled(napi_env env, napi_callback_info info) {
  return guarded(env, [&]() -> napi_value {
    Args args;
    readArgs(env, info, args, "setGradEnabled", 1);
    const bool before = c10::GradMode::is_enabled();
    c10::GradMode::set_enabled(getBool(env, args.values[0], {"setGradEnabled", "on"}));
    return boolean(env, before);
  });
}

napi_value isGradEnabled(napi_env env, napi_callback_info) {
  return guarded(env, [&]() { return boolean(env, c10::GradMode::is_enabled()); });
}

}  // namespace

Entries autogradEntries() {
  static const Entry entries[] = {
      {"requiresGrad", requiresGrad}, {"setRequiresGrad", setRequiresGrad}, {"grad", gradOf},
      {"setGrad", setGrad}, {"backward", backward}, {"gradients", gradients},
      {"setGradEnabled", setGradEnabled}, {"isGradEnabled", isGradEnabled}};
  return entries;
}

}  // namespace commtorch
