#include "llama/process/vendor_log.h"

#include <cstdio>
#include <utility>

#include "llama.h"

namespace pyserve {
namespace {

thread_local bool is_failure_expected = false;

// Lines look like "function: what happened\n".
std::string without_function(std::string line) {
  line.erase(line.find_last_not_of(" \n") + 1);
  const size_t colon = line.find(": ");
  return colon == std::string::npos ? line : line.substr(colon + 2);
}

}  // namespace

VendorLog& VendorLog::instance() {
  static VendorLog log;
  return log;
}

VendorLog::VendorLog() {
  llama_log_set(
      [](ggml_log_level level, const char* text, void* self) {
        static_cast<VendorLog*>(self)->take(level == GGML_LOG_LEVEL_ERROR,
                                            level == GGML_LOG_LEVEL_WARN, text);
      },
      this);
  // NOTE: without this an assertion starts a debugger to print a backtrace.
  ggml_set_abort_callback([](const char* text) { std::fprintf(stderr, "%s\n", text); });
  llama_backend_init();
}

void VendorLog::begin_load(bool with_warnings) {
  std::lock_guard lock(mutex_);
  first_error_.clear();
  has_warnings_ = with_warnings;
}

std::string VendorLog::end_load() {
  std::lock_guard lock(mutex_);
  has_warnings_ = false;
  return std::exchange(first_error_, {});
}

void VendorLog::expect_failure(bool is_expected) { is_failure_expected = is_expected; }

void VendorLog::take(bool is_error, bool is_warning, const char* text) {
  if (is_failure_expected) return;
  std::lock_guard lock(mutex_);
  if (is_error || (has_warnings_ && is_warning)) std::fputs(text, stderr);
  if (is_error && first_error_.empty()) first_error_ = without_function(text);
}

}  // namespace pyserve
