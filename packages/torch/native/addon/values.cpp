// Values of JavaScript as an operator's arguments, and what it returns as values of JavaScript.
#include "addon.h"

#include <cmath>
#include <cstdlib>
#include <stdexcept>

namespace commtorch {
// ----------------------------------------------------------------------------------------------- arguments

napi_valuetype typeOf(napi_env env, napi_value value) {
  napi_valuetype type = napi_undefined;
  napi_typeof(env, value, &type);
  return type;
}

namespace {

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

}  // namespace

void wrongType(napi_env env, const Where& where, const char* wanted, napi_value got) {
  throwType(env, std::string(where.op) + ": argument \"" + where.arg + "\" must be " + wanted + ", got " +
                     typeName(env, got));
}

bool isNullish(napi_env env, napi_value value) {
  const napi_valuetype type = typeOf(env, value);
  return type == napi_null || type == napi_undefined;
}

// In a list only null stands for no tensor: the holes of a sparse array, which may claim billions, are undefined.
bool isNull(napi_env env, napi_value value) {
  return typeOf(env, value) == napi_null;
}

void readArgs(napi_env env, napi_callback_info info, Args& args, const char* who, size_t wanted) {
  check(env, napi_get_cb_info(env, info, &args.count, args.values, nullptr, nullptr));
  if (args.count < wanted)
    throwType(env, std::string(who) + ": expected " + std::to_string(wanted) + " arguments, got " + std::to_string(args.count));
  if (args.count > kMaxArgs) throwType(env, std::string(who) + ": too many arguments");
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

std::vector<int64_t> getInts(napi_env env, napi_value value, const Where& where) {
  const uint32_t length = arrayLength(env, value, where, "an array of integers");
  std::vector<int64_t> out;  // grown as it is read: a sparse array may claim billions
  for (uint32_t i = 0; i < length; i++) out.push_back(getInt(env, element(env, value, i), where));
  return out;
}

namespace {

struct DTypeName {
  const char* name;
  at::ScalarType type;
};

constexpr DTypeName kDTypes[] = {
    {"f32", at::kFloat},  {"bf16", at::kBFloat16}, {"f16", at::kHalf}, {"f64", at::kDouble}, {"i64", at::kLong},
    {"i32", at::kInt},    {"i16", at::kShort},     {"i8", at::kChar},  {"u8", at::kByte},    {"bool", at::kBool},
    {"c64", at::kComplexFloat}, {"c128", at::kComplexDouble}};

}  // namespace

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

namespace {

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

template <class T, class Convert>
c10::IValue listOf(napi_env env, napi_value value, const Where& where, const char* wanted, Convert convert) {
  const uint32_t length = arrayLength(env, value, where, wanted);
  c10::List<T> list;  // grown as it is read: a sparse array may claim billions
  for (uint32_t i = 0; i < length; i++) list.push_back(convert(element(env, value, i)));
  return list;
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

}  // namespace

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

// ----------------------------------------------------------------------------------------------- results

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

napi_value number(napi_env env, double value) {
  napi_value out;
  check(env, napi_create_double(env, value, &out));
  return out;
}

napi_value str(napi_env env, const std::string& s) {
  napi_value out;
  check(env, napi_create_string_utf8(env, s.data(), s.size(), &out));
  return out;
}

void set(napi_env env, napi_value object, const char* key, napi_value value) {
  check(env, napi_set_named_property(env, object, key, value));
}

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

}  // namespace commtorch
