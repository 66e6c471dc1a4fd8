#include "ollm/server/gate.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <utility>

#include "ollm/base/json_cursor.h"
#include "ollm/base/text_form.h"
#include "ollm/server/limits.h"

namespace ollm::server {
namespace {

bool can_be_key(std::string_view text) {
  return !text.empty() && text.size() <= ServerLimits::kKeyBytes &&
         std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c <= '~'; });
}

// All bytes are looked at, whichever differ.
bool equal(const Digest& a, const Digest& b) {
  volatile std::uint8_t difference = 0;
  for (std::size_t i = 0; i < a.bytes.size(); ++i)
    difference = static_cast<std::uint8_t>(difference | (a.bytes[i] ^ b.bytes[i]));
  return difference == 0;
}

Result<void> read_keys(const std::string& path, std::vector<Digest>& out) {
  struct stat found{};
  if (::stat(path.c_str(), &found) != 0) {
    return fail(errno == ENOENT ? ErrorKind::not_found : ErrorKind::io,
                fmt::format("--api-key-file {}: {}", path, std::strerror(errno)));
  }
  constexpr mode_t kOthers = 0077;
  if (S_ISREG(found.st_mode) && (found.st_mode & kOthers) != 0) {
    return fail(ErrorKind::invalid_argument,
                fmt::format("--api-key-file {}: others may read it; chmod 600 it", path));
  }
  std::ifstream file(path);
  if (!file) return fail(ErrorKind::io, fmt::format("--api-key-file {}: cannot be read", path));
  const std::size_t before = out.size();
  std::size_t number = 0;
  for (std::string line; std::getline(file, line);) {
    ++number;
    const std::string_view key = trimmed_line(line);
    if (key.empty() || key.starts_with('#')) continue;
    if (!can_be_key(key)) {  // not told: it may be one, with a slip in it
      return fail(ErrorKind::invalid_argument,
                  fmt::format("--api-key-file {}: line {} is no key: expected 1 to {} visible "
                              "characters of ASCII",
                              path, number, ServerLimits::kKeyBytes));
    }
    if (out.size() == ServerLimits::kKeys) {
      return fail(ErrorKind::invalid_argument,
                  fmt::format("--api-key-file {}: more than {} keys", path, ServerLimits::kKeys));
    }
    out.push_back(sha256(key));
  }
  if (out.size() == before)
    return fail(ErrorKind::invalid_argument,
                fmt::format("--api-key-file {}: there is no key in it", path));
  return {};
}

// "localhost" of "localhost:8000", "[::1]" of "[::1]:8000"; nothing where that is no port.
std::optional<std::string> without_port(std::string_view host) {
  const std::size_t bracket = host.rfind(']');
  const std::size_t colon = host.rfind(':');
  if (colon == std::string_view::npos || (bracket != std::string_view::npos && colon < bracket))
    return lower(host);
  const std::string_view port = host.substr(colon + 1);
  if (port.size() > 5 ||
      !std::all_of(port.begin(), port.end(), [](char c) { return c >= '0' && c <= '9'; }))
    return std::nullopt;
  return lower(host.substr(0, colon));
}

bool is_address(const std::string& host) {
  in_addr four{};
  in6_addr six{};
  if (::inet_pton(AF_INET, host.c_str(), &four) == 1) return true;
  if (!host.starts_with('[') || !host.ends_with(']')) return false;
  return ::inet_pton(AF_INET6, host.substr(1, host.size() - 2).c_str(), &six) == 1;
}

}  // namespace

Result<void> ApiKeys::load(std::string_view from_environment, const std::string& file) {
  std::vector<Digest> keys;
  if (!from_environment.empty()) {
    if (!can_be_key(from_environment)) {
      return fail(ErrorKind::invalid_argument,
                  fmt::format("OLLM_API_KEY: expected 1 to {} visible characters of ASCII",
                              ServerLimits::kKeyBytes));
    }
    keys.push_back(sha256(from_environment));
  }
  if (!file.empty()) OLLM_TRY_VOID(read_keys(file, keys));
  const std::lock_guard lock(mutex_);
  keys_ = std::move(keys);
  return {};
}

void ApiKeys::replace_by(const ApiKeys& other) {
  std::vector<Digest> keys;
  {
    const std::lock_guard lock(other.mutex_);
    keys = other.keys_;
  }
  const std::lock_guard lock(mutex_);
  keys_ = std::move(keys);
}

bool ApiKeys::empty() const { return size() == 0; }

std::size_t ApiKeys::size() const {
  const std::lock_guard lock(mutex_);
  return keys_.size();
}

std::optional<std::string> ApiKeys::owner_of(const HttpRequest& request) const {
  const std::lock_guard lock(mutex_);
  if (keys_.empty()) return std::string();
  const std::string* given = request.field("authorization");
  constexpr std::string_view kScheme = "bearer ";
  std::string_view key;
  if (given != nullptr && lower(std::string_view(*given).substr(0, kScheme.size())) == kScheme)
    key = trimmed_line(std::string_view(*given).substr(kScheme.size()));
  const Digest digest = sha256(key);
  bool known = false;
  for (const Digest& one : keys_) known = equal(one, digest) || known;
  if (!known) return std::nullopt;
  return digest.hex();
}

AllowedHosts::AllowedHosts(std::string_view listens_at, std::vector<std::string> more,
                           bool any_address)
    : names_{"localhost", "127.0.0.1", "[::1]"}, any_address_(any_address) {
  more.emplace_back(listens_at);
  for (const std::string& name : more) {
    if (name.empty()) continue;
    names_.push_back(lower(name));
    if (name.find(':') != std::string::npos && !name.starts_with('['))
      names_.push_back("[" + lower(name) + "]");
  }
}

bool AllowedHosts::has(std::string_view host) const {
  const std::optional<std::string> name = without_port(host);
  if (!name) return false;
  if (std::find(names_.begin(), names_.end(), *name) != names_.end()) return true;
  return any_address_ && is_address(*name);
}

bool AllowedHosts::has_origin(std::string_view origin) const {
  for (const std::string_view scheme : {"http://", "https://"})
    if (origin.starts_with(scheme)) return has(origin.substr(scheme.size()));
  return false;
}

}  // namespace ollm::server
