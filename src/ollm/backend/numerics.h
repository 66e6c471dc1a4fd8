// Which machines compute the same bits, as a name, and of which version of the code: what stored
// keys and values are found by, beside what they were computed from. Leaves to others: the order of
// additions itself (docs/decisions/same-bits.md).
#pragma once

#include <cstdint>
#include <string>

#include "ollm/backend/backend.h"

namespace ollm::backend {

/// To be raised by every commit after which some logits or some keys and values have other bits on
/// some machine, whatever folder the cause stands in: stored KV of an earlier version is not found
/// any more. tests/laws/numerics.txt holds hashes of results beside this number, and its test fails
/// where they differ; what it cannot see (a shape that none of its models has) is for who changes
/// it to know.
inline constexpr std::uint64_t kNumericsVersion = 1;

/// The numeric class of a table in a mode on this machine: equal names, equal bits. Of vdpbf16ps
/// that is "fma16" where this machine's instruction was tried and is as it is documented, else its
/// own name with the vendor ("vdpbf16ps intel").
std::string numeric_class_name(const Options& options);

/// Whether the vdpbf16ps of this machine gives the bits of the two fused steps that it is
/// documented as; tried on first use, in a few milliseconds. False where the machine lacks it.
bool vdpbf16ps_is_as_documented();

/// Dot products on which `vdpbf16ps_is_as_documented` looks, and how many of them differ.
struct Vdpbf16psTrial {
  std::size_t products = 0;
  std::size_t differing = 0;
};
Vdpbf16psTrial try_vdpbf16ps();

}  // namespace ollm::backend
