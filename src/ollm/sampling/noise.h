// Random numbers without a state: each is a function of a seed and of where it is used.
// Leaves to others: what is drawn with them (sampler.h).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace ollm::sampling {

/// Philox4x32-10: ten rounds of multiplication and exchange turn (counter, key) into 128 bits that
/// pass the batteries of TestU01, for any counters, consecutive ones included.
///
/// Source: Salmon, Moraes, Dror and Shaw, "Parallel Random Numbers: As Easy as 1, 2, 3", SC 2011,
/// section 3.3; the constants and the known answers in the test are those of its Random123 library.
constexpr std::array<std::uint32_t, 4> philox4x32(std::array<std::uint32_t, 4> counter,
                                                  std::array<std::uint32_t, 2> key) {
  constexpr std::uint64_t kMultiplier0 = 0xD2511F53;
  constexpr std::uint64_t kMultiplier1 = 0xCD9E8D57;
  constexpr std::uint32_t kWeyl0 = 0x9E3779B9;  // the golden ratio
  constexpr std::uint32_t kWeyl1 = 0xBB67AE85;  // sqrt(3) - 1
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t product0 = kMultiplier0 * counter[0];
    const std::uint64_t product1 = kMultiplier1 * counter[2];
    counter = {static_cast<std::uint32_t>(product1 >> 32) ^ counter[1] ^ key[0],
               static_cast<std::uint32_t>(product1),
               static_cast<std::uint32_t>(product0 >> 32) ^ counter[3] ^ key[1],
               static_cast<std::uint32_t>(product0)};
    key = {key[0] + kWeyl0, key[1] + kWeyl1};
  }
  return counter;
}

/// What a number is for. Numbers of different purposes are independent at the same position.
enum class NoisePurpose : std::uint32_t {
  token = 0,  // the choice of the token at a position
};

/// A number in [0, 1), a multiple of 2^-53, for the token at an absolute position of its sequence.
///
/// A function of the arguments alone, on any machine: neither the batch around a sequence, nor
/// what was drawn before, nor a restart in between can change it.
constexpr double uniform(std::uint64_t seed, std::size_t position, NoisePurpose purpose) {
  const std::uint64_t place = position;
  const std::array<std::uint32_t, 4> bits =
      philox4x32({static_cast<std::uint32_t>(place), static_cast<std::uint32_t>(place >> 32),
                  static_cast<std::uint32_t>(purpose), 0},
                 {static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)});
  const std::uint64_t word = (std::uint64_t{bits[1]} << 32) | bits[0];
  return static_cast<double>(word >> 11) * 0x1p-53;
}

}  // namespace ollm::sampling
