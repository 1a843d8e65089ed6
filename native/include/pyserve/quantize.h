// `pyserve quantize`: writes a model with smaller weights.
#pragma once

#include <string>

namespace pyserve {

struct QuantizeOptions {
  std::string type;  // llama.cpp's name: Q4_K_M, Q8_0, ...
  int n_threads = 1;
  // Weights that are quantized already lose more than those of the original would.
  bool allow_requantize = false;
};

// Reads the model at `path_in` and writes it to `path_out`, which is overwritten.
// Takes minutes for large models. Thread: any, one at a time.
// Throws EngineError: kInvalidRequest for an unknown type, kModelLoad for what cannot be read,
// quantized or written.
void quantize_model(const std::string& path_in, const std::string& path_out,
                    const QuantizeOptions& options);

}  // namespace pyserve
