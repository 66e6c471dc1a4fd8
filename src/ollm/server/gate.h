// Who may ask: API keys, and which pages of a browser. Leaves to others: what may be asked
// (routes.h).
#pragma once

#include <cstddef>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ollm/base/result.h"
#include "ollm/base/sha256.h"
#include "ollm/server/http_message.h"

namespace ollm::server {

/// The keys of a server, by their digests: they cannot be read back, and comparing takes the same
/// time whatever was given. Any thread.
class ApiKeys {
 public:
  /// One key from the environment, empty for none, and a file with one a line; empty lines and
  /// those that begin with # are passed over. Errors: not_found, io; invalid_argument for a file
  /// that others may read, a key that is no text of visible ASCII, too many, or none in the file.
  Result<void> load(std::string_view from_environment, const std::string& file);
  /// From now on those of the other.
  void replace_by(const ApiKeys& other);

  bool empty() const;
  std::size_t size() const;
  /// Who a request is of: the digest of its key in digits; empty where there are no keys at all.
  /// Nothing for a key that is none of ours.
  std::optional<std::string> owner_of(const HttpRequest& request) const;

 private:
  mutable std::mutex mutex_;
  std::vector<Digest> keys_;  // guarded by mutex_
};

/// Names by which this server may be asked for: what else a Host says was made to look like ours
/// (DNS rebinding).
class AllowedHosts {
 public:
  /// `listens_at`: the address that was bound; `more`: names that the operator gives.
  /// `any_address`: every number of an address is ours too, as no name leads to it.
  AllowedHosts(std::string_view listens_at, std::vector<std::string> more, bool any_address);

  /// Of a value of Host: with a port or without.
  bool has(std::string_view host) const;
  /// Of a value of Origin: "http://localhost:3000".
  bool has_origin(std::string_view origin) const;

 private:
  std::vector<std::string> names_;  // lower case
  bool any_address_;
};

}  // namespace ollm::server
