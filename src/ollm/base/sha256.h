// SHA-256 of bytes that come piece by piece: what names content. Leaves to others: checksums
// against accidents, which are faster.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace ollm {

/// A SHA-256, its bytes in order.
struct Digest {
  std::array<std::uint8_t, 32> bytes{};

  /// 64 lower-case digits.
  std::string hex() const;

  friend auto operator<=>(const Digest&, const Digest&) = default;
};

/// Collects bytes; moves, never copies.
class Sha256 {
 public:
  Sha256();
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;
  ~Sha256();

  Sha256& add(std::span<const std::byte> bytes);
  Sha256& add(std::string_view bytes);
  /// Eight bytes, the lowest first.
  Sha256& add(std::uint64_t number);
  Sha256& add(const Digest& digest);

  /// Of all that was added; begins anew.
  Digest finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Of one text.
Digest sha256(std::string_view bytes);

}  // namespace ollm
