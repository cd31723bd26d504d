// The machine: threads, memory, versions, the accelerator.
#include "addon.h"

#include <ATen/Context.h>
#include <ATen/DeviceAccelerator.h>
#include <ATen/MapAllocator.h>
#include <ATen/Parallel.h>
#include <ATen/Version.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <torch/version.h>

#ifdef __GLIBC__
#include <malloc.h>
#endif
#ifndef _WIN32
#include <sys/mman.h>
#include <unistd.h>
#endif

#include <algorithm>

namespace commtorch {
namespace {

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

Entries machineEntries() {
  static const Entry entries[] = {
      {"setNumThreads", setNumThreads}, {"numThreads", numThreads}, {"setDeterministic", setDeterministic},
      {"reuseFreedMemory", reuseFreedMemory}, {"forgetPages", forgetPages}, {"versionInfo", versionInfo},
      {"synchronize", synchronize}, {"emptyCache", emptyCache}, {"deviceMemory", deviceMemory}};
  return entries;
}

}  // namespace commtorch
