// Takes the log messages of the vendored library.
#pragma once

#include <mutex>
#include <string>

namespace pyserve {

// It logs through one process-wide callback. Errors go to stderr, and the first one of a load into
// its exception; warnings are worth reading while a file is loaded, later they are noise.
// Thread: any.
class VendorLog {
 public:
  // Makes the library ready to be used, too.
  static VendorLog& instance();

  // Warnings are shown until end_load().
  void begin_load(bool with_warnings);
  // What went wrong since begin_load(), "" = nothing.
  std::string end_load();

  // From here on, failures of this thread's calls are wanted and not worth a line.
  static void expect_failure(bool is_expected);

 private:
  VendorLog();
  void take(bool is_error, bool is_warning, const char* text);

  std::mutex mutex_;
  std::string first_error_;
  bool has_warnings_ = false;
};

}  // namespace pyserve
