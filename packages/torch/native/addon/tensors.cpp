// What a tensor is: shape, dtype, device; its bytes out and in.
#include "addon.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

#include <cstring>

namespace commtorch {
namespace {

napi_value shapeOf(napi_env env, napi_callback_info info) {
  return withTensor(env, info, "shape", 1, [&](Env&, const at::Tensor& t, Args&) {
    napi_value out;
    const std::vector<int64_t> sizes = t.sizes().vec();
    check(env, napi_create_array_with_length(env, sizes.size(), &out));
    for (size_t i = 0; i < sizes.size(); i++) check(env, napi_set_element(env, out, i, number(env, static_cast<double>(sizes[i]))));
    return out;
  });
}

napi_value dtypeOf(napi_env env, napi_callback_info info) {
  return withTensor(env, info, "dtype", 1, [&](Env&, const at::Tensor& t, Args&) { return str(env, dtypeName(t.scalar_type())); });
}

napi_value deviceOf(napi_env env, napi_callback_info info) {
  return withTensor(env, info, "device", 1, [&](Env&, const at::Tensor& t, Args&) { return str(env, t.device().str()); });
}

// facts(t) -> {contiguous, requiresGrad, leaf, storageBytes, storagePointer, strides, offset} for reports and tests.
napi_value factsOf(napi_env env, napi_callback_info info) {
  return withTensor(env, info, "facts", 1, [&](Env&, const at::Tensor& t, Args&) {
    napi_value out, strides;
    check(env, napi_create_object(env, &out));
    set(env, out, "contiguous", boolean(env, t.is_contiguous()));
    set(env, out, "requiresGrad", boolean(env, t.requires_grad()));
    set(env, out, "leaf", boolean(env, t.is_leaf()));
    set(env, out, "storageBytes", number(env, t.has_storage() ? static_cast<double>(t.storage().nbytes()) : 0));
    set(env, out, "storagePointer", number(env, t.has_storage() ? static_cast<double>(reinterpret_cast<uintptr_t>(t.storage().data())) : 0));
    set(env, out, "offset", number(env, t.has_storage() ? static_cast<double>(t.storage_offset()) : 0));
    const std::vector<int64_t> steps = t.strides().vec();
    check(env, napi_create_array(env, &strides));
    for (size_t i = 0; i < steps.size(); i++) check(env, napi_set_element(env, strides, i, number(env, static_cast<double>(steps[i]))));
    set(env, out, "strides", strides);
    return out;
  });
}

// Memory of a typed array: good until JavaScript runs again.
struct Bytes {
  void* data = nullptr;
  size_t length = 0;
};

Bytes bytesOf(napi_env env, napi_value value, const Where& where) {
  bool is = false;
  napi_is_typedarray(env, value, &is);
  if (is) {
    napi_typedarray_type type;
    size_t count, offset;
    napi_value buffer;
    Bytes out;
    check(env, napi_get_typedarray_info(env, value, &type, &count, &out.data, &buffer, &offset));
    static const size_t sizes[] = {1, 1, 1, 2, 2, 4, 4, 4, 8, 8, 8};
    if (static_cast<size_t>(type) >= sizeof(sizes) / sizeof(sizes[0])) wrongType(env, where, "a typed array", value);
    out.length = count * sizes[type];
    return out;
  }
  wrongType(env, where, "a typed array", value);
}

// fromBytes(typedArray, shape, dtype): a new host tensor holding a copy of the bytes.
napi_value fromBytes(napi_env env, napi_callback_info info) {
  return guarded(env, [&]() -> napi_value {
    Args args;
    readArgs(env, info, args, "fromBytes", 3);
    // Reading the shape may run JavaScript, which may resize or transfer the buffer: the data come last.
    const auto shape = getInts(env, args.values[1], {"fromBytes", "shape"});
    const auto dtype = getDType(env, args.values[2], {"fromBytes", "dtype"});
    int64_t count = 1;
    for (int64_t size : shape) {
      if (size < 0) throwType(env, "fromBytes: a size is negative");
      if (size != 0 && count > (int64_t{1} << 52) / size) throwType(env, "fromBytes: the shape is too large");
      count *= size;
    }
    const Bytes bytes = bytesOf(env, args.values[0], {"fromBytes", "data"});
    if (static_cast<size_t>(count) * c10::elementSize(dtype) != bytes.length)
      throwType(env, "fromBytes: the shape asks for " + std::to_string(count * c10::elementSize(dtype)) + " bytes, the data has " +
                         std::to_string(bytes.length));
    at::Tensor tensor = at::empty(shape, at::TensorOptions().dtype(dtype));
    if (bytes.length) std::memcpy(tensor.data_ptr(), bytes.data, bytes.length);
    return wrapTensor(env, dataOf(env), std::move(tensor));
  });
}

// The elements as they are meant, one after another in host memory; the tensor itself where it is so already.
at::Tensor plainHostCopy(const at::Tensor& t) {
  TORCH_CHECK(t.layout() == at::kStrided, "the tensor is not strided (its layout is ", t.layout(), "); convert it to a dense one first");
  at::Tensor host = t.detach().cpu();
  // Conjugation, negation and zeros without memory are flags that the bytes do not show.
  if (host._is_zerotensor()) host = at::zeros(host.sizes(), host.options());
  host = host.resolve_conj().resolve_neg().contiguous();
  const auto end = static_cast<size_t>(host.storage_offset()) * host.itemsize() + host.nbytes();
  TORCH_CHECK(host.storage().nbytes() >= end, "the storage of the tensor is smaller than the tensor");
  return host;
}

// A buffer that JavaScript makes: Node-API's own function ends the process where there is no memory.
napi_value newArrayBuffer(napi_env env, size_t bytes, void** data) {
  napi_value global, constructor, out;
  const napi_value length = number(env, static_cast<double>(bytes));
  check(env, napi_get_global(env, &global));
  check(env, napi_get_named_property(env, global, "ArrayBuffer", &constructor));
  const napi_status status = napi_new_instance(env, constructor, 1, &length, &out);
  if (status == napi_pending_exception) {
    napi_value error;
    check(env, napi_get_and_clear_last_exception(env, &error));
    napi_throw_error(env, "ERR_TORCH_OOM", ("there is no memory for an ArrayBuffer of " + std::to_string(bytes) + " bytes").c_str());
    throw PendingException{};
  }
  check(env, status);
  size_t made = 0;
  check(env, napi_get_arraybuffer_info(env, out, data, &made));
  if (made != bytes) throwType(env, "the ArrayBuffer has the wrong size");
  return out;
}

// toBytes(t): an ArrayBuffer with a copy of the elements in row-major order, whatever device and strides.
napi_value toBytes(napi_env env, napi_callback_info info) {
  return withTensor(env, info, "toBytes", 1, [&](Env&, const at::Tensor& t, Args&) {
    if (t.is_meta()) throwType(env, "toBytes: a meta tensor has no data");
    const at::Tensor host = plainHostCopy(t);
    void* data = nullptr;
    const napi_value out = newArrayBuffer(env, host.nbytes(), &data);
    if (host.nbytes()) std::memcpy(data, host.data_ptr(), host.nbytes());
    return out;
  });
}

}  // namespace

Entries tensorEntries() {
  static const Entry entries[] = {
      {"shape", shapeOf}, {"dtype", dtypeOf}, {"device", deviceOf}, {"facts", factsOf},
      {"fromBytes", fromBytes}, {"toBytes", toBytes}};
  return entries;
}

}  // namespace commtorch
