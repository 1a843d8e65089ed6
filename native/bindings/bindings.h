// What each binding file registers; module.cc calls them all.
#pragma once

#include <pybind11/pybind11.h>

#include <string>

#include "pyserve/error.h"
#include "pyserve/request.h"

namespace pyserve {

void register_errors(pybind11::module_& module);
void register_request(pybind11::module_& module);
void register_quantize(pybind11::module_& module);
void register_prompt_template(pybind11::module_& module);
void register_engine(pybind11::module_& module);
void register_kernels(pybind11::module_& module);

// A tuple for a delta of text alone: id, text, tokens. A dict for every other event, as
// msgspec.convert() takes it.
pybind11::object to_python(const Event& event);

// The string clients see for `code`; the names of pyserve.errors.
const char* code_name(ErrorCode code);

// Messages may quote bytes of files that are no UTF-8; those become U+FFFD.
pybind11::str readable(const std::string& text);

}  // namespace pyserve
