// Names of signals, and the signals of names.
#pragma once

#include <csignal>
#include <string>
#include <string_view>
#include <utility>

namespace pyserve {

// Those that end a program for what it has done, or that others end it with.
inline constexpr std::pair<std::string_view, int> kSignals[] = {
    {"SIGILL", SIGILL},   {"SIGFPE", SIGFPE},   {"SIGBUS", SIGBUS},  {"SIGSEGV", SIGSEGV},
    {"SIGABRT", SIGABRT}, {"SIGKILL", SIGKILL}, {"SIGALRM", SIGALRM}};

// "signal 7" for one without a name here.
inline std::string signal_name(int number) {
  for (const auto& [name, known] : kSignals) {
    if (known == number) return std::string(name);
  }
  return "signal " + std::to_string(number);
}

// 0: there is none here of that name.
inline int signal_named(std::string_view name) {
  for (const auto& [known, number] : kSignals) {
    if (known == name) return number;
  }
  return 0;
}

}  // namespace pyserve
