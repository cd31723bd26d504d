// Node-API addon over libtorch: every registered operator by schema name, plus the few entries that are no operators.
//
// The parts lie in addon/, behind the private header addon/addon.h, and are compiled as one unit: most of the time of a
// compiler goes into libtorch's headers, which each unit reads again (12 s in all, 50 s as a unit a part), and a call
// that goes through two parts costs no more than one that stays in its own.
#include "addon/addon.h"

#include "addon/autograd.cpp"
#include "addon/dispatch.cpp"
#include "addon/errors.cpp"
#include "addon/handles.cpp"
#include "addon/machine.cpp"
#include "addon/random.cpp"
#include "addon/tensors.cpp"
#include "addon/values.cpp"

NAPI_MODULE_INIT() {
  using namespace commtorch;
  auto* data = new Env();
  napi_set_instance_data(env, data, [](napi_env, void* pointer, void*) { delete static_cast<Env*>(pointer); }, nullptr);
  for (const Entries& part : {dispatchEntries(), handleEntries(), tensorEntries(), autogradEntries(), randomEntries(), machineEntries()}) {
    for (const Entry& entry : part) {
      napi_value function;
      if (napi_create_function(env, entry.name, NAPI_AUTO_LENGTH, entry.callback, nullptr, &function) != napi_ok) return nullptr;
      if (napi_set_named_property(env, exports, entry.name, function) != napi_ok) return nullptr;
    }
  }
  return exports;
}
