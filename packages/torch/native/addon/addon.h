// The private header of the addon: what its parts share. Each part is one file and hands out its entries:
//
//   errors.cpp    exceptions of C++ as exceptions of JavaScript
//   handles.cpp   tensors as numbers, and the host memory that V8 hears of
//   values.cpp    JavaScript values to what an operator takes, and back
//   dispatch.cpp  every registered operator, called by its schema name
//   tensors.cpp   what a tensor is, its bytes out and in
//   autograd.cpp  gradients
//   random.cpp    generators of random numbers
//   machine.cpp   threads, memory, versions, the accelerator
//
// ../addon.cpp is the module; ../int8.cpp, two operators of our own, needs nothing from here.
//
// A tensor crosses the boundary as a number: its slot in this environment's table and the slot's generation, so that
// a stale id is found out and never touches freed memory. Conversions follow the operator's own schema. One addon may
// be loaded by several worker threads: everything lives in instance data, nothing in globals.
//
// JavaScript can run in the middle of an entry: a getter, when an element of an argument is read; a setter on a
// prototype, when a result is put together. It may dispose tensors, resolve operators and resize buffers. So whatever is
// used across such a place is held by value or never moves, and a pointer into a buffer is taken last.
#pragma once

#include <ATen/core/Generator.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/ivalue.h>
#include <node_api.h>

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

namespace commtorch {

// ---------------------------------------------------------------------------------------------- environment

struct Slot {
  at::Tensor tensor;
  const void* storage = nullptr;  // what this handle is counted under in Env::storages, or null
  uint32_t generation = 1;
  bool live = false;
};

// The types of arguments and returns that a schema can name.
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

Env& dataOf(napi_env env);

// ---------------------------------------------------------------------------------------------- errors

struct PendingException {};  // a JavaScript exception is already set

[[noreturn]] void throwType(napi_env env, const std::string& message);

// Throws where a call of Node-API failed.
void check(napi_env env, napi_status status);

// Sets the exception of JavaScript for the C++ exception that is being handled.
void translateException(napi_env env);

// Runs the body of an entry; what it throws becomes an exception of JavaScript.
template <class Body>
napi_value guarded(napi_env env, Body body) {
  try {
    return body();
  } catch (...) {
    translateException(env);
    return nullptr;
  }
}

// ---------------------------------------------------------------------------------------------- handles

// A new handle of the tensor.
double registerTensor(napi_env env, Env& e, at::Tensor tensor);

// A handle as JavaScript sees it; null for an undefined tensor.
napi_value wrapTensor(napi_env env, Env& e, at::Tensor tensor);

// The live slot of an id, or null. The pointer is good until a handle is made.
Slot* findSlot(Env& e, double id);

// ---------------------------------------------------------------------------------------------- arguments

constexpr size_t kMaxArgs = 96;
struct Args {
  size_t count = kMaxArgs;
  napi_value values[kMaxArgs];
};

// Reads the arguments of an entry; throws where there are fewer than it needs.
void readArgs(napi_env env, napi_callback_info info, Args& args, const char* who, size_t wanted);

struct Where {  // names the argument in an error, without cost when all is well
  const char* op;
  const char* arg;
};

[[noreturn]] void wrongType(napi_env env, const Where& where, const char* wanted, napi_value got);

napi_valuetype typeOf(napi_env env, napi_value value);
bool isNullish(napi_env env, napi_value value);
bool isNull(napi_env env, napi_value value);

at::Tensor getTensor(napi_env env, Env& e, napi_value value, const Where& where);
std::vector<at::Tensor> getTensors(napi_env env, Env& e, napi_value value, const Where& where, bool allowNull);
int64_t getInt(napi_env env, napi_value value, const Where& where);
std::vector<int64_t> getInts(napi_env env, napi_value value, const Where& where);
double getDouble(napi_env env, napi_value value, const Where& where);
bool getBool(napi_env env, napi_value value, const Where& where);
std::string getString(napi_env env, napi_value value, const Where& where);
at::ScalarType getDType(napi_env env, napi_value value, const Where& where);
at::Generator getGenerator(napi_env env, Env& e, napi_value value, const Where& where);

// Length of an array, and one of its elements; a getter may run.
uint32_t arrayLength(napi_env env, napi_value value, const Where& where, const char* wanted);
napi_value element(napi_env env, napi_value array, uint32_t i);

// An operator's argument, by what its schema says of it.
c10::IValue convert(napi_env env, Env& e, const ArgSpec& spec, napi_value value, const Where& where);

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

// ---------------------------------------------------------------------------------------------- results

napi_value undefined(napi_env env);
napi_value boolean(napi_env env, bool value);
napi_value number(napi_env env, double value);
napi_value str(napi_env env, const std::string& text);
void set(napi_env env, napi_value object, const char* key, napi_value value);

const char* dtypeName(at::ScalarType type);

// What an operator returned.
napi_value fromIValue(napi_env env, Env& e, c10::IValue&& value);

// ---------------------------------------------------------------------------------------------- entries

// A function of the module.
struct Entry {
  const char* name;
  napi_callback callback;
};
using Entries = std::span<const Entry>;

Entries dispatchEntries();
Entries handleEntries();
Entries tensorEntries();
Entries autogradEntries();
Entries randomEntries();
Entries machineEntries();

}  // namespace commtorch
