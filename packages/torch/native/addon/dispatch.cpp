// Every registered operator, called by its schema name.
#include "addon.h"

#include <torch/version.h>

#include <algorithm>
#include <sstream>

namespace commtorch {
namespace {

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

}  // namespace

Entries dispatchEntries() {
  static const Entry entries[] = {
      {"resolve", resolveOp}, {"call", callOp}, {"schemas", listSchemas}};
  return entries;
}

}  // namespace commtorch
