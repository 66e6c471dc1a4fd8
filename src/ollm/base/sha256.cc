#include "ollm/base/sha256.h"

#include <openssl/evp.h>

#include "ollm/base/check.h"

namespace ollm {

struct Sha256::State {
  EVP_MD_CTX* context = EVP_MD_CTX_new();

  State() { begin(); }
  ~State() { EVP_MD_CTX_free(context); }
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  void begin() {
    OLLM_CHECK(context != nullptr && EVP_DigestInit_ex(context, EVP_sha256(), nullptr) == 1);
  }
};

Sha256::Sha256() : state_(std::make_unique<State>()) {}
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;
Sha256::~Sha256() = default;

Sha256& Sha256::add(std::span<const std::byte> bytes) {
  OLLM_CHECK(EVP_DigestUpdate(state_->context, bytes.data(), bytes.size()) == 1);
  return *this;
}

Sha256& Sha256::add(std::string_view bytes) {
  return add(std::as_bytes(std::span(bytes.data(), bytes.size())));
}

Sha256& Sha256::add(std::uint64_t number) {
  std::array<std::byte, 8> bytes;
  for (std::byte& byte : bytes) {
    byte = static_cast<std::byte>(number & 0xff);
    number >>= 8;
  }
  return add(bytes);
}

Sha256& Sha256::add(const Digest& digest) { return add(std::as_bytes(std::span(digest.bytes))); }

Digest Sha256::finish() {
  Digest out;
  unsigned size = 0;
  OLLM_CHECK(EVP_DigestFinal_ex(state_->context, out.bytes.data(), &size) == 1);
  OLLM_CHECK(size == out.bytes.size());
  state_->begin();
  return out;
}

Digest sha256(std::string_view bytes) { return Sha256().add(bytes).finish(); }

std::string Digest::hex() const {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string out;
  for (const std::uint8_t byte : bytes) {
    out += kDigits[byte >> 4];
    out += kDigits[byte & 15];
  }
  return out;
}

}  // namespace ollm
