// The ladder of kernels: which instructions the computing is done with.
#pragma once

#include <array>
#include <optional>
#include <span>
#include <string_view>

namespace pyserve {

// A rung needs all features of those below it, and more; but `kAvxVnni`'s own feature is needed by
// no other. `kStock`: the vendored library's kernels alone, and portable ones for the sampling.
enum class Rung { kStock, kAvx2, kAvxVnni, kAvx512Bw, kAvx512Vnni, kAmx, kDotProd, kI8mm };

// From the highest rung down.
#ifdef __aarch64__
inline constexpr std::array kLadder{Rung::kI8mm, Rung::kDotProd, Rung::kStock};
#else
inline constexpr std::array kLadder{Rung::kAmx,     Rung::kAvx512Vnni, Rung::kAvx512Bw,
                                    Rung::kAvxVnni, Rung::kAvx2,       Rung::kStock};
#endif

std::string_view name_of(Rung rung);

// Nullopt: no rung has the name.
std::optional<Rung> rung_named(std::string_view name);

// What the CPU must have for a rung.
std::span<const std::string_view> features_of(Rung rung);

// Whether the CPU has what a rung needs, and the system grants it.
bool can_run(Rung rung);

// REQUIRES: rung is not kStock.
Rung rung_below(Rung rung);

// The rung that kernels of this process are chosen by: kStock until they are installed.
// Thread: any; set while nothing computes.
Rung rung_in_force();
void set_rung_in_force(Rung rung);

}  // namespace pyserve
