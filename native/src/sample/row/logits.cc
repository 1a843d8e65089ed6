#include "sample/row/logits.h"

namespace pyserve {
namespace {

constexpr float kFloor = -9999.0F;  // stands for "never" in JSON, which has no infinity

}  // namespace

float finite_logprob(double logprob) {
  return logprob > kFloor ? static_cast<float>(logprob) : kFloor;
}

}  // namespace pyserve
