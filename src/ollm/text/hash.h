// Hashes of short strings and of numbers for the tables of the tokenizer.
// Leaves the tables to vocabulary.h and merge_table.h. Nothing depends on which hash it is.
#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>

namespace ollm::text {

/// Differs from one process to the next, so that no file can be made whose keys all collide.
std::uint64_t hash_seed();

inline std::uint64_t mix(std::uint64_t a, std::uint64_t b) {
  __extension__ using Wide = unsigned __int128;
  const Wide product = static_cast<Wide>(a) * b;
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}

inline constexpr std::uint64_t kHashOdd1 = 0x9E3779B97F4A7C15;  // 2^64 / golden ratio
inline constexpr std::uint64_t kHashOdd2 = 0xD6E8FEB86659FD93;  // from Evensen's rrxmrrxmsx search

/// Eight bytes at a time by multiply and fold, in the manner of wyhash.
inline std::uint64_t hash_bytes(std::string_view bytes, std::uint64_t seed) {
  std::uint64_t state = seed ^ mix(bytes.size() ^ kHashOdd1, kHashOdd2);
  const char* at = bytes.data();
  std::size_t left = bytes.size();
  while (left >= 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, at, 8);
    state = mix(state ^ word, kHashOdd1 ^ seed);
    at += 8;
    left -= 8;
  }
  if (left > 0) {
    std::uint64_t word = 0;
    std::memcpy(&word, at, left);
    state = mix(state ^ word, kHashOdd1 ^ seed);
  }
  return mix(state, kHashOdd2);
}

inline std::uint64_t hash_number(std::uint64_t number, std::uint64_t seed) {
  return mix(number ^ seed, kHashOdd1);
}

}  // namespace ollm::text
