// The one exception type that leaves the engine, and the codes that cross to Python.
#pragma once

#include <cstdint>
#include <map>
#include <stdexcept>
#include <string>
#include <utility>

namespace pyserve {

enum class ErrorCode {
  kInvalidRequest,         // the request cannot be served as it is
  kContextLengthExceeded,  // details: n_prompt_tokens, n_ctx
  kModelLoad,              // the model file is missing, damaged or not supported
  kQueueFull,              // too many requests wait
  kDeadlineExceeded,       // details: waited_ms, deadline_ms
  kCancelled,              // by the caller or by stop()
  kUnavailable,            // the engine has been stopped
  kNumeric,                // NaN, infinity, or every token is banned
  kInternal,               // a defect of ours or of the vendor's
};

// An error as data. `details` holds counts and limits, never text of a prompt.
struct ErrorInfo {
  ErrorCode code = ErrorCode::kInternal;
  std::string message;
  std::string param;  // the request field, "" = none
  std::map<std::string, int64_t> details;
};

class EngineError : public std::runtime_error {
 public:
  explicit EngineError(ErrorInfo info) : std::runtime_error(info.message), info_(std::move(info)) {}
  EngineError(ErrorCode code, std::string message)
      : EngineError(ErrorInfo{code, std::move(message), {}, {}}) {}

  const ErrorInfo& info() const { return info_; }

 private:
  ErrorInfo info_;
};

}  // namespace pyserve
