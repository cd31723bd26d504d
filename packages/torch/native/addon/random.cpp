// Generators of random numbers: seeds and states.
#include "addon.h"

#include <ATen/Context.h>

#include <mutex>

namespace commtorch {
namespace {

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

}  // namespace

Entries randomEntries() {
  static const Entry entries[] = {
      {"manualSeed", manualSeed}, {"createGenerator", createGenerator}, {"releaseGenerator", releaseGenerator},
      {"generatorState", generatorState}, {"setGeneratorState", setGeneratorState}};
  return entries;
}

}  // namespace commtorch
