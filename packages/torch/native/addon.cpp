// Node-API addon over libtorch: every registered operator by schema name, plus the few entries that are no operators.
//
// A tensor crosses the boundary as a number: its slot in this environment's table and the slot's generation, so that
// a stale id is found out and never touches freed memory. Conversions follow the operator's own schema. One addon may
// be loaded by several worker threads: everything lives in instance data, nothing in globals.
//
// JavaScript can run in the middle of an entry: a getter, when an element of an argument is read; a setter on a
// prototype, when a result is put together. It may dispose tensors, resolve operators and resize buffers. So whatever is
// used across such a place is held by value or never moves, and a pointer into a buffer is taken last.
#include <ATen/ATen.h>
#include <ATen/DeviceAccelerator.h>
#include <ATen/MapAllocator.h>
#include <ATen/Parallel.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <node_api.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/variable.h>
#include <torch/version.h>

#ifdef __GLIBC__
#include <malloc.h>
#endif
#ifndef _WIN32
#include <sys/mman.h>
#include <unistd.h>
#endif

#include <cmath>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

namespace {

// ---------------------------------------------------------------------------------------------- environment

struct Slot {
  at::Tensor tensor;
  const void* storage = nullptr;  // what this handle is counted under in Env::storages, or null
  uint32_t generation = 1;
  bool live = false;
};

enum class Kind : uint8_t {
  Tensor, Int, Float, Bool, Scalar, String, DType, Layout, Device, MemoryFormat, Generator, List, Unsupported
};

struct ArgSpec {
  Kind kind = Kind::Unsupported;
  Kind element = Kind::Unsupported;  // of a list
  bool optional = false;             // None is a value
  bool elementOptional = false;      // Tensor?[]
  bool hasDefault = false;
  int64_t fixedLength = 0;           // int[2] takes one int for both
  c10::IValue defaultValue;
  std::string name;
};

struct OpEntry {
  c10::OperatorHandle handle;
  std::vector<ArgSpec> args;
  std::vector<int> aliases;  // per return: index of the argument it is, or -1
  std::vector<std::string> returns;
  std::string name;
};

// Host memory that handles refer to: charged once, for as long as one of them lives.
struct StorageCount {
  int64_t handles = 0;
  int64_t bytes = 0;
};

struct Env {
  std::vector<Slot> slots;
  std::vector<uint32_t> freeSlots;
  std::vector<std::unique_ptr<const OpEntry>> ops;  // an entry never moves and lives as long as the environment
  std::unordered_map<std::string, uint32_t> opIndex;
  std::vector<std::optional<at::Generator>> generators;
  std::unordered_map<const void*, StorageCount> storages;
  int64_t live = 0;
  int64_t liveBytes = 0;
  int64_t unreportedBytes = 0;
};

constexpr double kGenerationUnit = 67108864.0;  // 2^26 slots, 2^26 generations: ids stay exact in a double
constexpr int64_t kReportBytes = 4 << 20;       // tell V8 about host memory in steps of 4 MiB

struct PendingException {};  // a JavaScript exception is already set

[[noreturn]] void throwType(napi_env env, const std::string& message) {
  napi_throw_type_error(env, "ERR_INVALID_ARG", message.c_str());
  throw PendingException{};
}

void check(napi_env env, napi_status status) {
  if (status == napi_ok) return;
  bool pending = false;
  napi_is_exception_pending(env, &pending);
  if (!pending) {
    const napi_extended_error_info* info = nullptr;
    napi_get_last_error_info(env, &info);
    napi_throw_error(env, "ERR_NAPI", info && info->error_message ? info->error_message : "Node-API call failed");
  }
  throw PendingException{};
}

Env& dataOf(napi_env env) {
  void* data = nullptr;
  napi_get_instance_data(env, &data);
  return *static_cast<Env*>(data);
}

void reportBytes(napi_env env, Env& e, int64_t delta) {
  e.liveBytes += delta;
  e.unreportedBytes += delta;
  if (std::llabs(e.unreportedBytes) < kReportBytes) return;
  int64_t total = 0;
  napi_adjust_external_memory(env, e.unreportedBytes, &total);
  e.unreportedBytes = 0;
}

// The identity of a host storage that takes memory; null for a device's, and for a mapped file, which the kernel takes back.
const void* ownedStorage(const at::Tensor& tensor) {
  if (!tensor.has_storage() || !tensor.device().is_cpu() || tensor.storage().nbytes() == 0) return nullptr;
  if (at::MapAllocator::fromDataPtr(tensor.storage().data_ptr())) return nullptr;
  return tensor.storage().unsafeGetStorageImpl();
}

void charge(napi_env env, Env& e, Slot& slot) {
  slot.storage = ownedStorage(slot.tensor);
  if (!slot.storage) return;
  StorageCount& count = e.storages[slot.storage];
  if (count.handles++ > 0) return;
  count.bytes = static_cast<int64_t>(slot.tensor.storage().nbytes());
  reportBytes(env, e, count.bytes);
}

void discharge(napi_env env, Env& e, const void* storage) {
  const auto found = e.storages.find(storage);
  if (found == e.storages.end() || --found->second.handles > 0) return;
  reportBytes(env, e, -found->second.bytes);
  e.storages.erase(found);
}

double registerTensor(napi_env env, Env& e, at::Tensor tensor) {
  uint32_t index;
  if (e.freeSlots.empty()) {
    index = static_cast<uint32_t>(e.slots.size());
    if (index >= (1u << 26)) throw std::runtime_error("more than 67 million live tensor handles");
    e.slots.emplace_back();
  } else {
    index = e.freeSlots.back();
    e.freeSlots.pop_back();
  }
  Slot& slot = e.slots[index];
  slot.tensor = std::move(tensor);
  slot.live = true;
  e.live++;
  charge(env, e, slot);
  return static_cast<double>(slot.generation) * kGenerationUnit + index;
}

napi_value number(napi_env env, double value) {
  napi_value out;
  check(env, napi_create_double(env, value, &out));
  return out;
}

napi_value wrapTensor(napi_env env, Env& e, at::Tensor tensor) {
  if (!tensor.defined()) {
    napi_value out;
    napi_get_null(env, &out);
    return out;
  }
  return number(env, registerTensor(env, e, std::move(tensor)));
}

Slot* findSlot(Env& e, double id) {
  if (!(id >= kGenerationUnit) || id > 9007199254740991.0) return nullptr;
  const double generation = std::floor(id / kGenerationUnit);
  const auto index = static_cast<size_t>(id - generation * kGenerationUnit);
  if (index >= e.slots.size()) return nullptr;
  Slot& slot = e.slots[index];
  return slot.live && slot.generation == static_cast<uint32_t>(generation) ? &slot : nullptr;
}

void releaseSlot(napi_env env, Env& e, double id) {
  Slot* slot = findSlot(e, id);
  if (!slot) return;
  const void* storage = slot->storage;
  at::Tensor dropped = std::move(slot->tensor);
  slot->tensor = at::Tensor();
  slot->live = false;
  slot->storage = nullptr;
  slot->generation = slot->generation + 1 < (1u << 26) ? slot->generation + 1 : 1;
  e.live--;
  e.freeSlots.push_back(static_cast<uint32_t>(slot - e.slots.data()));
  if (storage) discharge(env, e, storage);
}

// ---------------------------------------------------------------------------------------------- JS -> IValue

napi_valuetype typeOf(napi_env env, napi_value value) {
  napi_valuetype type = napi_undefined;
  napi_typeof(env, value, &type);
  return type;
}

const char* typeName(napi_env env, napi_value value) {
  bool isArray = false;
  napi_is_array(env, value, &isArray);
  if (isArray) return "an array";
  switch (typeOf(env, value)) {
    case napi_undefined: return "undefined";
    case napi_null: return "null";
    case napi_boolean: return "a boolean";
    case napi_number: return "a number";
    case napi_string: return "a string";
    case napi_bigint: return "a bigint";
    case napi_function: return "a function";
    default: return "an object";
  }
}

struct Where {  // names the argument in an error, without cost when all is well
  const char* op;
  const char* arg;
};

[[noreturn]] void wrongType(napi_env env, const Where& where, const char* wanted, napi_value got) {
  throwType(env, std::string(where.op) + ": argument \"" + where.arg + "\" must be " + wanted + ", got " +
                     typeName(env, got));
}

at::Tensor getTensor(napi_env env, Env& e, napi_value value, const Where& where) {
  double id = 0;
  if (napi_get_value_double(env, value, &id) != napi_ok) wrongType(env, where, "a Tensor", value);
  Slot* slot = findSlot(e, id);
  if (!slot) throwType(env, std::string(where.op) + ": argument \"" + where.arg + "\" is a disposed tensor");
  return slot->tensor;
}

int64_t getInt(napi_env env, napi_value value, const Where& where) {
  const napi_valuetype type = typeOf(env, value);
  if (type == napi_number) {
    double d = 0;
    napi_get_value_double(env, value, &d);
    if (d == std::floor(d) && std::fabs(d) <= 9007199254740991.0) return static_cast<int64_t>(d);
    throwType(env, std::string(where.op) + ": argument \"" + where.arg + "\" must be an integer, got " + std::to_string(d));
  }
  if (type == napi_bigint) {
    int64_t out = 0;
    bool lossless = false;
    napi_get_value_bigint_int64(env, value, &out, &lossless);
    if (lossless) return out;
  }
  wrongType(env, where, "an integer", value);
}

double getDouble(napi_env env, napi_value value, const Where& where) {
  double d = 0;
  if (napi_get_value_double(env, value, &d) != napi_ok) wrongType(env, where, "a number", value);
  return d;
}

bool getBool(napi_env env, napi_value value, const Where& where) {
  bool b = false;
  if (napi_get_value_bool(env, value, &b) != napi_ok) wrongType(env, where, "a boolean", value);
  return b;
}

std::string getString(napi_env env, napi_value value, const Where& where) {
  size_t length = 0;
  if (napi_get_value_string_utf8(env, value, nullptr, 0, &length) != napi_ok) wrongType(env, where, "a string", value);
  std::string out(length, '\0');
  napi_get_value_string_utf8(env, value, out.data(), length + 1, &length);
  return out;
}

// A JavaScript number that is an integer is an integer scalar, as a Python int is; 2.5 is a float scalar.
at::Scalar getScalar(napi_env env, napi_value value, const Where& where) {
  switch (typeOf(env, value)) {
    case napi_number: {
      double d = 0;
      napi_get_value_double(env, value, &d);
      if (d == std::floor(d) && std::fabs(d) <= 9007199254740991.0 && !(d == 0 && std::signbit(d)))
        return at::Scalar(static_cast<int64_t>(d));
      return at::Scalar(d);
    }
    case napi_boolean: return at::Scalar(getBool(env, value, where));
    case napi_bigint: return at::Scalar(getInt(env, value, where));
    default: wrongType(env, where, "a number, bigint or boolean", value);
  }
}

struct DTypeName {
  const char* name;
  at::ScalarType type;
};
constexpr DTypeName kDTypes[] = {
    {"f32", at::kFloat},  {"bf16", at::kBFloat16}, {"f16", at::kHalf}, {"f64", at::kDouble}, {"i64", at::kLong},
    {"i32", at::kInt},    {"i16", at::kShort},     {"i8", at::kChar},  {"u8", at::kByte},    {"bool", at::kBool},
    {"c64", at::kComplexFloat}, {"c128", at::kComplexDouble}};

at::ScalarType getDType(napi_env env, napi_value value, const Where& where) {
  const std::string name = getString(env, value, where);
  for (const auto& d : kDTypes)
    if (name == d.name) return d.type;
  throwType(env, std::string(where.op) + ": argument \"" + where.arg + "\" is no dtype: \"" + name +
                     "\" (one of f64 f32 f16 bf16 i64 i32 i16 i8 u8 bool)");
}

const char* dtypeName(at::ScalarType type) {
  for (const auto& d : kDTypes)
    if (d.type == type) return d.name;
  return c10::toString(type);
}

at::Generator getGenerator(napi_env env, Env& e, napi_value value, const Where& where) {
  const int64_t index = getInt(env, value, where);
  if (index < 0 || static_cast<size_t>(index) >= e.generators.size() || !e.generators[index])
    throwType(env, std::string(where.op) + ": argument \"" + where.arg + "\" is no generator");
  return *e.generators[index];
}

uint32_t arrayLength(napi_env env, napi_value value, const Where& where, const char* wanted) {
  bool isArray = false;
  napi_is_array(env, value, &isArray);
  if (!isArray) wrongType(env, where, wanted, value);
  uint32_t length = 0;
  check(env, napi_get_array_length(env, value, &length));
  return length;
}

napi_value element(napi_env env, napi_value array, uint32_t i) {
  napi_value out;
  check(env, napi_get_element(env, array, i, &out));
  return out;
}

template <class T, class Convert>
c10::IValue listOf(napi_env env, napi_value value, const Where& where, const char* wanted, Convert convert) {
  const uint32_t length = arrayLength(env, value, where, wanted);
  c10::List<T> list;  // grown as it is read: a sparse array may claim billions
  for (uint32_t i = 0; i < length; i++) list.push_back(convert(element(env, value, i)));
  return list;
}

bool isNullish(napi_env env, napi_value value) {
  const napi_valuetype type = typeOf(env, value);
  return type == napi_null || type == napi_undefined;
}

// In a list only null stands for no tensor: the holes of a sparse array, which may claim billions, are undefined.
bool isNull(napi_env env, napi_value value) {
  return typeOf(env, value) == napi_null;
}

c10::IValue convertList(napi_env env, Env& e, const ArgSpec& spec, napi_value value, const Where& where) {
  bool isArray = false;
  napi_is_array(env, value, &isArray);
  if (!isArray && spec.fixedLength > 0 && spec.element == Kind::Int)
    return c10::List<int64_t>(std::vector<int64_t>(spec.fixedLength, getInt(env, value, where)));
  switch (spec.element) {
    case Kind::Tensor:
      if (spec.elementOptional)
        return listOf<std::optional<at::Tensor>>(env, value, where, "an array of Tensors or nulls", [&](napi_value v) {
          return isNull(env, v) ? std::optional<at::Tensor>() : std::optional<at::Tensor>(getTensor(env, e, v, where));
        });
      return listOf<at::Tensor>(env, value, where, "an array of Tensors",
                                [&](napi_value v) { return getTensor(env, e, v, where); });
    case Kind::Int:
      return listOf<int64_t>(env, value, where, "an array of integers", [&](napi_value v) { return getInt(env, v, where); });
    case Kind::Float:
      return listOf<double>(env, value, where, "an array of numbers", [&](napi_value v) { return getDouble(env, v, where); });
    case Kind::Bool:
      return listOf<bool>(env, value, where, "an array of booleans", [&](napi_value v) { return getBool(env, v, where); });
    case Kind::String:
      return listOf<std::string>(env, value, where, "an array of strings",
                                 [&](napi_value v) { return getString(env, v, where); });
    case Kind::Scalar: {
      const uint32_t length = arrayLength(env, value, where, "an array of numbers");
      c10::impl::GenericList list(c10::NumberType::get());
      for (uint32_t i = 0; i < length; i++) list.push_back(c10::IValue(getScalar(env, element(env, value, i), where)));
      return list;
    }
    default: throwType(env, std::string(where.op) + ": argument \"" + where.arg + "\" has a type this addon cannot pass");
  }
}

c10::IValue convert(napi_env env, Env& e, const ArgSpec& spec, napi_value value, const Where& where) {
  switch (spec.kind) {
    case Kind::Tensor: return getTensor(env, e, value, where);
    case Kind::Int: return getInt(env, value, where);
    case Kind::Float: return getDouble(env, value, where);
    case Kind::Bool: return getBool(env, value, where);
    case Kind::Scalar: return getScalar(env, value, where);
    case Kind::String: return getString(env, value, where);
    case Kind::DType: return static_cast<int64_t>(getDType(env, value, where));
    case Kind::Device: {
      const std::string name = getString(env, value, where);
      return c10::Device(name);
    }
    case Kind::Layout: {
      const std::string name = getString(env, value, where);
      if (name != "strided") throwType(env, std::string(where.op) + ": only the layout \"strided\" is supported");
      return static_cast<int64_t>(at::kStrided);
    }
    case Kind::MemoryFormat: {
      const std::string name = getString(env, value, where);
      if (name == "contiguous") return static_cast<int64_t>(at::MemoryFormat::Contiguous);
      if (name == "preserve") return static_cast<int64_t>(at::MemoryFormat::Preserve);
      if (name == "channels_last") return static_cast<int64_t>(at::MemoryFormat::ChannelsLast);
      throwType(env, std::string(where.op) + ": no memory format \"" + name + "\"");
    }
    case Kind::Generator: return getGenerator(env, e, value, where);
    case Kind::List: return convertList(env, e, spec, value, where);
    default: throwType(env, std::string(where.op) + ": argument \"" + where.arg + "\" has a type this addon cannot pass");
  }
}

// ---------------------------------------------------------------------------------------------- IValue -> JS

napi_value fromIValue(napi_env env, Env& e, c10::IValue&& value) {
  napi_value out;
  if (value.isTensor()) return wrapTensor(env, e, std::move(value).toTensor());
  if (value.isNone()) {
    check(env, napi_get_null(env, &out));
  } else if (value.isInt()) {
    const int64_t i = value.toInt();
    if (std::llabs(i) <= 9007199254740991LL) return number(env, static_cast<double>(i));
    check(env, napi_create_bigint_int64(env, i, &out));
  } else if (value.isDouble()) {
    return number(env, value.toDouble());
  } else if (value.isBool()) {
    check(env, napi_get_boolean(env, value.toBool(), &out));
  } else if (value.isString()) {
    const std::string& s = value.toStringRef();
    check(env, napi_create_string_utf8(env, s.data(), s.size(), &out));
  } else if (value.isDevice()) {
    const std::string s = value.toDevice().str();
    check(env, napi_create_string_utf8(env, s.data(), s.size(), &out));
  } else if (value.isList()) {
    auto list = value.toList();
    check(env, napi_create_array_with_length(env, list.size(), &out));
    for (size_t i = 0; i < list.size(); i++)
      check(env, napi_set_element(env, out, static_cast<uint32_t>(i), fromIValue(env, e, c10::IValue(list.get(i)))));
  } else if (value.isTuple()) {
    const auto& elements = value.toTupleRef().elements();
    check(env, napi_create_array_with_length(env, elements.size(), &out));
    for (size_t i = 0; i < elements.size(); i++)
      check(env, napi_set_element(env, out, static_cast<uint32_t>(i), fromIValue(env, e, c10::IValue(elements[i]))));
  } else {
    throw std::runtime_error("the operator returned a value of type " + value.tagKind() + ", which this addon cannot pass");
  }
  return out;
}

// ---------------------------------------------------------------------------------------------- errors

// The first line of the message: no C++ back trace, no list of all backends that a missing kernel exists for.
std::string firstLine(const std::string& text) {
  std::string out = text.substr(0, std::min(text.find('\n'), text.find(" This could be because the operator doesn't exist for this backend")));
  while (!out.empty() && (out.back() == '\n' || out.back() == ' ')) out.pop_back();
  return out;
}

template <class Body>
napi_value guarded(napi_env env, Body body) {
  try {
    return body();
  } catch (const PendingException&) {
  } catch (const c10::OutOfMemoryError& error) {
    napi_throw_error(env, "ERR_TORCH_OOM", firstLine(error.what_without_backtrace()).c_str());
  } catch (const c10::Error& error) {
    const std::string text = firstLine(error.what_without_backtrace());
    const bool oom = text.find("not enough memory") != std::string::npos ||
                     text.find("can't allocate memory") != std::string::npos;
    napi_throw_error(env, oom ? "ERR_TORCH_OOM" : "ERR_TORCH", text.c_str());
  } catch (const std::exception& error) {
    napi_throw_error(env, "ERR_TORCH", firstLine(error.what()).c_str());
  } catch (...) {
    napi_throw_error(env, "ERR_TORCH", "unknown C++ exception");
  }
  return nullptr;
}

constexpr size_t kMaxArgs = 96;
struct Args {
  size_t count = kMaxArgs;
  napi_value values[kMaxArgs];
};
void readArgs(napi_env env, napi_callback_info info, Args& args, const char* who, size_t wanted) {
  check(env, napi_get_cb_info(env, info, &args.count, args.values, nullptr, nullptr));
  if (args.count < wanted)
    throwType(env, std::string(who) + ": expected " + std::to_string(wanted) + " arguments, got " + std::to_string(args.count));
  if (args.count > kMaxArgs) throwType(env, std::string(who) + ": too many arguments");
}

// ---------------------------------------------------------------------------------------------- operators

Kind kindOf(const c10::TypePtr& type) {
  switch (type->kind()) {
    case c10::TypeKind::TensorType: return Kind::Tensor;
    case c10::TypeKind::IntType:
    case c10::TypeKind::SymIntType: return Kind::Int;
    case c10::TypeKind::FloatType:
    case c10::TypeKind::SymFloatType: return Kind::Float;
    case c10::TypeKind::BoolType:
    case c10::TypeKind::SymBoolType: return Kind::Bool;
    case c10::TypeKind::NumberType: return Kind::Scalar;
    case c10::TypeKind::StringType: return Kind::String;
    case c10::TypeKind::ScalarTypeType: return Kind::DType;
    case c10::TypeKind::LayoutType: return Kind::Layout;
    case c10::TypeKind::DeviceObjType: return Kind::Device;
    case c10::TypeKind::MemoryFormatType: return Kind::MemoryFormat;
    case c10::TypeKind::GeneratorType: return Kind::Generator;
    case c10::TypeKind::ListType: return Kind::List;
    default: return Kind::Unsupported;
  }
}

c10::TypePtr unwrapOptional(c10::TypePtr type, bool& optional) {
  if (auto opt = type->cast<c10::OptionalType>()) {
    optional = true;
    return opt->getElementType();
  }
  return type;
}

ArgSpec specOf(const c10::Argument& argument) {
  ArgSpec spec;
  spec.name = argument.name();
  c10::TypePtr type = unwrapOptional(argument.real_type(), spec.optional);
  spec.kind = kindOf(type);
  if (spec.kind == Kind::List) {
    c10::TypePtr inner = unwrapOptional(type->expectRef<c10::ListType>().getElementType(), spec.elementOptional);
    spec.element = kindOf(inner);
  }
  spec.fixedLength = argument.N() ? *argument.N() : 0;
  if (argument.default_value()) {
    spec.hasDefault = true;
    spec.defaultValue = *argument.default_value();
  }
  return spec;
}

std::string kindLabel(const ArgSpec& spec) {
  static const char* names[] = {"Tensor", "int", "float", "bool", "Scalar", "str", "dtype", "layout", "device", "format", "generator", "list", "?"};
  std::string label = spec.kind == Kind::List
                          ? std::string(names[static_cast<int>(spec.element)]) + (spec.elementOptional ? "?" : "") + "[]"
                          : names[static_cast<int>(spec.kind)];
  if (spec.optional) label += "?";
  return label;
}

napi_value str(napi_env env, const std::string& s) {
  napi_value out;
  check(env, napi_create_string_utf8(env, s.data(), s.size(), &out));
  return out;
}

void set(napi_env env, napi_value object, const char* key, napi_value value) {
  check(env, napi_set_named_property(env, object, key, value));
}

// resolve(name) -> {index, schema, args: kinds, names, required, aliases, returns: kinds}
napi_value resolveOp(napi_env env, napi_callback_info info) {
  return guarded(env, [&]() -> napi_value {
    Args args;
    readArgs(env, info, args, "resolve", 1);
    Env& e = dataOf(env);
    const std::string full = getString(env, args.values[0], {"resolve", "name"});
    auto found = e.opIndex.find(full);
    uint32_t index;
    if (found != e.opIndex.end()) {
      index = found->second;
    } else {
      const size_t colons = full.find("::");
      const size_t dot = full.find('.', colons == std::string::npos ? 0 : colons);
      const std::string base = dot == std::string::npos ? full : full.substr(0, dot);
      const std::string overload = dot == std::string::npos ? "" : full.substr(dot + 1);
      auto handle = c10::Dispatcher::singleton().findSchema(c10::OperatorName(base, overload));
      if (!handle) throwType(env, "libtorch " TORCH_VERSION " has no operator \"" + full + "\"");
      auto made = std::make_unique<OpEntry>(OpEntry{*handle, {}, {}, {}, full});
      OpEntry& entry = *made;
      const c10::FunctionSchema& schema = handle->schema();
      for (const auto& argument : schema.arguments()) entry.args.push_back(specOf(argument));
      for (const auto& ret : schema.returns()) {
        entry.returns.push_back(kindLabel(specOf(ret)));
        int alias = -1;
        if (ret.alias_info() && ret.alias_info()->isWrite()) {
          for (size_t i = 0; i < schema.arguments().size(); i++) {
            const auto* info = schema.arguments()[i].alias_info();
            if (info && info->isWrite() && info->beforeSets() == ret.alias_info()->beforeSets()) alias = static_cast<int>(i);
          }
        }
        entry.aliases.push_back(alias);
      }
      index = static_cast<uint32_t>(e.ops.size());
      e.ops.push_back(std::move(made));
      e.opIndex.emplace(full, index);
    }
    const OpEntry& entry = *e.ops[index];
    napi_value out, kinds, names, aliases, returns;
    check(env, napi_create_object(env, &out));
    check(env, napi_create_array(env, &returns));
    for (size_t i = 0; i < entry.returns.size(); i++)
      check(env, napi_set_element(env, returns, i, str(env, entry.returns[i])));
    check(env, napi_create_array(env, &kinds));
    check(env, napi_create_array(env, &names));
    check(env, napi_create_array(env, &aliases));
    int required = 0;
    for (size_t i = 0; i < entry.args.size(); i++) {
      check(env, napi_set_element(env, kinds, i, str(env, kindLabel(entry.args[i]))));
      check(env, napi_set_element(env, names, i, str(env, entry.args[i].name)));
      if (!entry.args[i].hasDefault) required = static_cast<int>(i) + 1;
    }
    for (size_t i = 0; i < entry.aliases.size(); i++)
      check(env, napi_set_element(env, aliases, i, number(env, entry.aliases[i])));
    std::ostringstream schema;
    schema << entry.handle.schema();
    set(env, out, "index", number(env, index));
    set(env, out, "schema", str(env, schema.str()));
    set(env, out, "args", kinds);
    set(env, out, "names", names);
    set(env, out, "required", number(env, required));
    set(env, out, "aliases", aliases);
    set(env, out, "returns", returns);
    return out;
  });
}

// call(index, ...args): what the operator returns; a return that is one of the arguments comes back as undefined.
napi_value callOp(napi_env env, napi_callback_info info) {
  return guarded(env, [&]() -> napi_value {
    Args args;
    readArgs(env, info, args, "call", 1);
    Env& e = dataOf(env);
    uint32_t index = 0;
    if (napi_get_value_uint32(env, args.values[0], &index) != napi_ok || index >= e.ops.size())
      throwType(env, "call: no such operator handle");
    const OpEntry& op = *e.ops[index];
    const size_t given = args.count - 1;
    const size_t wanted = op.args.size();
    if (given > wanted)
      throwType(env, op.name + ": takes " + std::to_string(wanted) + " arguments, got " + std::to_string(given));
    c10::Stack stack;
    stack.reserve(std::max(wanted, op.aliases.size()));
    for (size_t i = 0; i < wanted; i++) {
      const ArgSpec& spec = op.args[i];
      const napi_value value = i < given ? args.values[i + 1] : nullptr;
      const napi_valuetype type = value ? typeOf(env, value) : napi_undefined;
      if (type == napi_undefined) {
        if (spec.hasDefault) {
          stack.push_back(spec.defaultValue);
        } else if (spec.optional) {
          stack.emplace_back();
        } else {
          throwType(env, op.name + ": argument \"" + spec.name + "\" is missing");
        }
      } else if (type == napi_null) {
        if (!spec.optional) throwType(env, op.name + ": argument \"" + spec.name + "\" cannot be null");
        stack.emplace_back();
      } else {
        stack.push_back(convert(env, e, spec, value, {op.name.c_str(), spec.name.c_str()}));
      }
    }
    op.handle.callBoxed(stack);
    const std::vector<int>& aliases = op.aliases;
    napi_value out;
    if (stack.size() == 1) {
      if (!aliases.empty() && aliases[0] >= 0) {
        check(env, napi_get_undefined(env, &out));
        return out;
      }
      return fromIValue(env, e, std::move(stack[0]));
    }
    if (stack.empty()) {
      check(env, napi_get_undefined(env, &out));
      return out;
    }
    check(env, napi_create_array_with_length(env, stack.size(), &out));
    for (size_t i = 0; i < stack.size(); i++) {
      if (i < aliases.size() && aliases[i] >= 0) continue;
      check(env, napi_set_element(env, out, static_cast<uint32_t>(i), fromIValue(env, e, std::move(stack[i]))));
    }
    return out;
  });
}

// schemas(): every registered operator's schema as text, sorted.
napi_value listSchemas(napi_env env, napi_callback_info) {
  return guarded(env, [&]() -> napi_value {
    std::vector<std::string> lines;
    for (const auto& name : c10::Dispatcher::singleton().getAllOpNames()) {
      auto handle = c10::Dispatcher::singleton().findSchema(name);
      if (!handle) continue;
      std::ostringstream text;
      text << handle->schema();
      lines.push_back(text.str());
    }
    std::sort(lines.begin(), lines.end());
    napi_value out;
    check(env, napi_create_array_with_length(env, lines.size(), &out));
    for (size_t i = 0; i < lines.size(); i++) check(env, napi_set_element(env, out, i, str(env, lines[i])));
    return out;
  });
}

// ---------------------------------------------------------------------------------------------- tensors

napi_value undefined(napi_env env) {
  napi_value out;
  napi_get_undefined(env, &out);
  return out;
}

napi_value boolean(napi_env env, bool value) {
  napi_value out;
  check(env, napi_get_boolean(env, value, &out));
  return out;
}

// Most entries take a tensor first: this wraps the common part.
template <class Body>
napi_value withTensor(napi_env env, napi_callback_info info, const char* who, size_t wanted, Body body) {
  return guarded(env, [&]() -> napi_value {
    Args args;
    readArgs(env, info, args, who, wanted);
    Env& e = dataOf(env);
    const at::Tensor tensor = getTensor(env, e, args.values[0], {who, "tensor"});  // a reference of our own
    return body(e, tensor, args);
  });
}

napi_value release(napi_env env, napi_callback_info info) {
  return guarded(env, [&]() -> napi_value {
    Args args;
    readArgs(env, info, args, "release", 1);
    releaseSlot(env, dataOf(env), getDouble(env, args.values[0], {"release", "id"}));
    return undefined(env);
  });
}

napi_value releaseMany(napi_env env, napi_callback_info info) {
  return guarded(env, [&]() -> napi_value {
    Args args;
    readArgs(env, info, args, "releaseMany", 1);
    Env& e = dataOf(env);
    const uint32_t length = arrayLength(env, args.values[0], {"releaseMany", "ids"}, "an array of ids");
    for (uint32_t i = 0; i < length; i++) releaseSlot(env, e, getDouble(env, element(env, args.values[0], i), {"releaseMany", "ids"}));
    return undefined(env);
  });
}

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

std::vector<int64_t> getInts(napi_env env, napi_value value, const Where& where) {
  const uint32_t length = arrayLength(env, value, where, "an array of integers");
  std::vector<int64_t> out;  // grown as it is read: a sparse array may claim billions
  for (uint32_t i = 0; i < length; i++) out.push_back(getInt(env, element(env, value, i), where));
  return out;
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

// ---------------------------------------------------------------------------------------------- autograd

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

std::vector<at::Tensor> getTensors(napi_env env, Env& e, napi_value value, const Where& where, bool allowNull) {
  std::vector<at::Tensor> out;
  if (allowNull && isNullish(env, value)) return out;
  const uint32_t length = arrayLength(env, value, where, "an array of Tensors");
  for (uint32_t i = 0; i < length; i++) {
    napi_value v = element(env, value, i);
    out.push_back(allowNull && isNull(env, v) ? at::Tensor() : getTensor(env, e, v, where));
  }
  return out;
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

// ---------------------------------------------------------------------------------------------- random numbers

napi_value manualSeed(napi_env env, napi_callback_info info) {
  return guarded(env, [&]() -> napi_value {
    Args args;
    readArgs(env, info, args, "manualSeed", 1);
    at::manual_seed(static_cast<uint64_t>(getInt(env, args.values[0], {"manualSeed", "seed"})));
    return undefined(env);
  });
}

// createGenerator(seed, device) -> generator number; seed null hands out the device's default generator.
napi_value createGenerator(napi_env env, napi_callback_info info) {
  return guarded(env, [&]() -> napi_value {
    Args args;
    readArgs(env, info, args, "createGenerator", 2);
    Env& e = dataOf(env);
    const c10::Device device(getString(env, args.values[1], {"createGenerator", "device"}));
    at::Generator base = at::globalContext().defaultGenerator(device);
    if (!isNullish(env, args.values[0])) {
      base = base.clone();
      base.set_current_seed(static_cast<uint64_t>(getInt(env, args.values[0], {"createGenerator", "seed"})));
    }
    e.generators.emplace_back(std::move(base));
    return number(env, static_cast<double>(e.generators.size() - 1));
  });
}

napi_value releaseGenerator(napi_env env, napi_callback_info info) {
  return guarded(env, [&]() -> napi_value {
    Args args;
    readArgs(env, info, args, "releaseGenerator", 1);
    Env& e = dataOf(env);
    const int64_t index = getInt(env, args.values[0], {"releaseGenerator", "generator"});
    if (index >= 0 && static_cast<size_t>(index) < e.generators.size()) e.generators[index].reset();
    return undefined(env);
  });
}

napi_value generatorState(napi_env env, napi_callback_info info) {
  return guarded(env, [&]() -> napi_value {
    Args args;
    readArgs(env, info, args, "generatorState", 1);
    Env& e = dataOf(env);
    at::Generator generator = getGenerator(env, e, args.values[0], {"generatorState", "generator"});
    at::Tensor state;
    {
      std::lock_guard<std::mutex> lock(generator.mutex());
      state = generator.get_state();
    }
    return wrapTensor(env, e, std::move(state));
  });
}

napi_value setGeneratorState(napi_env env, napi_callback_info info) {
  return guarded(env, [&]() -> napi_value {
    Args args;
    readArgs(env, info, args, "setGeneratorState", 2);
    Env& e = dataOf(env);
    at::Generator generator = getGenerator(env, e, args.values[0], {"setGeneratorState", "generator"});
    const at::Tensor state = getTensor(env, e, args.values[1], {"setGeneratorState", "state"});
    std::lock_guard<std::mutex> lock(generator.mutex());
    generator.set_state(state);
    return undefined(env);
  });
}

// ---------------------------------------------------------------------------------------------- machine

napi_value setNumThreads(napi_env env, napi_callback_info info) {
  return guarded(env, [&]() -> napi_value {
    Args args;
    readArgs(env, info, args, "setNumThreads", 1);
    const int64_t count = getInt(env, args.values[0], {"setNumThreads", "count"});
    if (count < 1 || count > 4096) throwType(env, "setNumThreads: the count must lie in 1..4096");
    at::set_num_threads(static_cast<int>(count));
    return undefined(env);
  });
}

napi_value numThreads(napi_env env, napi_callback_info) {
  return guarded(env, [&]() { return number(env, at::get_num_threads()); });
}

// setDeterministic(on): libtorch refuses operators that have no deterministic version.
napi_value setDeterministic(napi_env env, napi_callback_info info) {
  return guarded(env, [&]() -> napi_value {
    Args args;
    readArgs(env, info, args, "setDeterministic", 1);
    at::globalContext().setDeterministicAlgorithms(getBool(env, args.values[0], {"setDeterministic", "on"}), false);
    return undefined(env);
  });
}

// reuseFreedMemory(): keep large freed blocks in the process instead of giving them back to the kernel. glibc returns
// each one at once, and every training step then pays for clearing the same pages again. Other allocators do not.
napi_value reuseFreedMemory(napi_env env, napi_callback_info) {
  return guarded(env, [&]() -> napi_value {
#ifdef __GLIBC__
    mallopt(M_MMAP_THRESHOLD, 32 << 20);
    mallopt(M_TRIM_THRESHOLD, -1);
#endif
    return undefined(env);
  });
}

// forgetPages(t) -> whether t lies in a mapped file: its pages leave this process's resident memory and are read again,
// from the kernel's cache or the disk, when they are next used. What was written into a private map is lost.
napi_value forgetPages(napi_env env, napi_callback_info info) {
  return withTensor(env, info, "forgetPages", 1, [&](Env&, const at::Tensor& t, Args&) {
    if (!t.has_storage() || t.is_meta() || !at::MapAllocator::fromDataPtr(t.storage().data_ptr())) return boolean(env, false);
#ifndef _WIN32
    const auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
    const auto start = reinterpret_cast<uintptr_t>(t.const_data_ptr());
    const auto base = reinterpret_cast<uintptr_t>(t.storage().data());
    // Whole pages only, rounded outwards: what a neighbour loses it reads again.
    const uintptr_t first = std::max(start / page * page, base);
    const uintptr_t end = std::min((start + t.nbytes() + page - 1) / page * page, (base + t.storage().nbytes() + page - 1) / page * page);
    if (t.is_contiguous() && end > first) madvise(reinterpret_cast<void*>(first), end - first, MADV_DONTNEED);
#endif
    return boolean(env, true);
  });
}

napi_value memoryStats(napi_env env, napi_callback_info) {
  return guarded(env, [&]() -> napi_value {
    Env& e = dataOf(env);
    napi_value out;
    check(env, napi_create_object(env, &out));
    set(env, out, "liveTensors", number(env, static_cast<double>(e.live)));
    set(env, out, "hostBytes", number(env, static_cast<double>(e.liveBytes)));
    return out;
  });
}

napi_value versionInfo(napi_env env, napi_callback_info) {
  return guarded(env, [&]() -> napi_value {
    napi_value out;
    check(env, napi_create_object(env, &out));
    set(env, out, "torch", str(env, TORCH_VERSION));
    set(env, out, "config", str(env, at::show_config()));
    set(env, out, "parallel", str(env, at::get_parallel_info()));
    set(env, out, "cpuCapability", str(env, at::get_cpu_capability()));
    set(env, out, "cudaDevices", number(env, at::hasCUDA() ? static_cast<double>(at::detail::getCUDAHooks().deviceCount()) : 0));
    set(env, out, "mps", boolean(env, at::hasMPS()));
    return out;
  });
}

napi_value synchronize(napi_env env, napi_callback_info info) {
  return guarded(env, [&]() -> napi_value {
    Args args;
    readArgs(env, info, args, "synchronize", 1);
    at::accelerator::synchronizeDevice(static_cast<c10::DeviceIndex>(getInt(env, args.values[0], {"synchronize", "device"})));
    return undefined(env);
  });
}

napi_value emptyCache(napi_env env, napi_callback_info) {
  return guarded(env, [&]() -> napi_value {
    if (at::accelerator::getAccelerator(false)) at::accelerator::emptyCache();
    return undefined(env);
  });
}

napi_value deviceMemory(napi_env env, napi_callback_info info) {
  return guarded(env, [&]() -> napi_value {
    Args args;
    readArgs(env, info, args, "deviceMemory", 1);
    const auto stats = at::accelerator::getDeviceStats(static_cast<c10::DeviceIndex>(getInt(env, args.values[0], {"deviceMemory", "device"})));
    const auto& allocated = stats.allocated_bytes[0];
    const auto& reserved = stats.reserved_bytes[0];
    napi_value out;
    check(env, napi_create_object(env, &out));
    set(env, out, "allocated", number(env, static_cast<double>(allocated.current)));
    set(env, out, "peak", number(env, static_cast<double>(allocated.peak)));
    set(env, out, "reserved", number(env, static_cast<double>(reserved.current)));
    return out;
  });
}

}  // namespace

NAPI_MODULE_INIT() {
  auto* data = new Env();
  napi_set_instance_data(env, data, [](napi_env, void* pointer, void*) { delete static_cast<Env*>(pointer); }, nullptr);
  const struct { const char* name; napi_callback callback; } entries[] = {
      {"resolve", resolveOp}, {"call", callOp}, {"schemas", listSchemas}, {"release", release}, {"releaseMany", releaseMany},
      {"shape", shapeOf}, {"dtype", dtypeOf}, {"device", deviceOf}, {"facts", factsOf}, {"fromBytes", fromBytes},
      {"toBytes", toBytes}, {"requiresGrad", requiresGrad}, {"setRequiresGrad", setRequiresGrad}, {"grad", gradOf},
      {"setGrad", setGrad}, {"backward", backward}, {"gradients", gradients}, {"setGradEnabled", setGradEnabled},
      {"isGradEnabled", isGradEnabled}, {"manualSeed", manualSeed}, {"createGenerator", createGenerator},
      {"releaseGenerator", releaseGenerator}, {"generatorState", generatorState}, {"setGeneratorState", setGeneratorState},
      {"setNumThreads", setNumThreads}, {"numThreads", numThreads}, {"setDeterministic", setDeterministic},
      {"reuseFreedMemory", reuseFreedMemory}, {"forgetPages", forgetPages}, {"memoryStats", memoryStats}, {"versionInfo", versionInfo}, {"synchronize", synchronize}, {"emptyCache", emptyCache},
      {"deviceMemory", deviceMemory}};
  for (const auto& entry : entries) {
    napi_value function;
    if (napi_create_function(env, entry.name, NAPI_AUTO_LENGTH, entry.callback, nullptr, &function) != napi_ok) return nullptr;
    if (napi_set_named_property(env, exports, entry.name, function) != napi_ok) return nullptr;
  }
  return exports;
}
