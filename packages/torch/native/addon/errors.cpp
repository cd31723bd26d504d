// Errors: exceptions of C++ as exceptions of JavaScript.
#include "addon.h"

#include <algorithm>
#include <exception>

namespace commtorch {
namespace {

// The first line of the message: no C++ back trace, no list of all backends that a missing kernel exists for.
std::string firstLine(const std::string& text) {
  std::string out = text.substr(0, std::min(text.find('\n'), text.find(" This could be because the operator doesn't exist for this backend")));
  while (!out.empty() && (out.back() == '\n' || out.back() == ' ')) out.pop_back();
  return out;
}

}  // namespace

void throwType(napi_env env, const std::string& message) {
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

void translateException(napi_env env) {
  try {
    throw;
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
}

}  // namespace commtorch
