// Tensors as numbers, and the host memory behind them, of which V8 hears.
#include "addon.h"

#include <ATen/MapAllocator.h>

#include <cmath>
#include <cstdlib>
#include <stdexcept>

namespace commtorch {
namespace {

constexpr double kGenerationUnit = 67108864.0;  // 2^26 slots, 2^26 generations: ids stay exact in a double
constexpr int64_t kReportBytes = 4 << 20;       // tell V8 about host memory in steps of 4 MiB

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

}  // namespace

Env& dataOf(napi_env env) {
  void* data = nullptr;
  napi_get_instance_data(env, &data);
  return *static_cast<Env*>(data);
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

namespace {

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

}  // namespace

Entries handleEntries() {
  static const Entry entries[] = {
      {"release", release}, {"releaseMany", releaseMany}, {"memoryStats", memoryStats}};
  return entries;
}

}  // namespace commtorch
