#include "ollm/plan/reference.h"

#include <fmt/format.h>

#include <algorithm>

#include "ollm/base/json_cursor.h"
#include "ollm/base/text_form.h"
#include "ollm/hub/address.h"
#include "ollm/io/environment.h"

namespace ollm {
namespace {

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

// "C:\models" and "C:/models": a path, though it has the form of a scheme.
bool has_drive(std::string_view text) {
  return text.size() >= 4 && is_letter(text[0]) && text[1] == ':' &&
         (text[2] == '/' || text[2] == '\\');
}

bool looks_local(std::string_view text) {
  return text.starts_with('/') || text.starts_with("./") || text.starts_with("../") ||
         text.starts_with('~') || has_drive(text);
}

std::string with_dashes(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '/' || c == ':') {
      out += "--";
    } else {
      out += c;
    }
  }
  return out;
}

// "file://localhost/x" is "file:///x".
std::string_view without_this_host(std::string_view rest) {
  constexpr std::string_view kHost = "localhost";
  if (lower(rest.substr(0, kHost.size() + 1)) == "localhost/") rest.remove_prefix(kHost.size());
  return rest;
}

struct Split {
  std::optional<std::string> scheme;
  std::string_view rest;
};

Result<Split> split_scheme(std::string_view text) {
  if (const std::size_t mark = text.find("://"); mark != std::string_view::npos) {
    if (mark == 0) {
      return fail(
          ErrorKind::invalid_argument,
          fmt::format("model reference {}: there is no scheme before '://'", quote_name(text)));
    }
    return Split{lower(text.substr(0, mark)), text.substr(mark + 3)};
  }
  if (const std::size_t colon = text.find(':'); colon != std::string_view::npos) {
    const std::string scheme = lower(text.substr(0, colon));
    if ((scheme == "hf" || scheme == "path") && !has_drive(text))
      return Split{scheme, text.substr(colon + 1)};
  }
  return Split{std::nullopt, text};
}

Result<ModelReference> as_path(ModelReference reference, std::string_view text,
                               const io::Environment& environment, io::SystemCalls& calls) {
  if (text.empty()) {
    return fail(ErrorKind::invalid_argument,
                fmt::format("model reference {}: the path is empty", quote_name(reference.raw)));
  }
  reference.local_path = io::resolve_links(io::absolute_path(text, environment), calls);
  reference.identifier = reference.local_path->string();
  return reference;
}

}  // namespace

bool ModelReference::is_huggingface_reference() const {
  if (scheme) return *scheme == "hf";
  return identifier.find('/') != std::string::npos && identifier.find(' ') == std::string::npos;
}

std::string ModelReference::materialization_name() const {
  std::string name = with_dashes(identifier);
  if (revision) name += "--" + with_dashes(*revision);
  return name;
}

namespace plan {

Result<ModelReference> parse_reference(std::string_view text, const io::Environment& environment,
                                       io::SystemCalls& calls) {
  const std::string_view trim = trimmed(text);
  if (trim.empty()) return fail(ErrorKind::invalid_argument, "the model reference is blank");
  if (trim.size() > kMaxReferenceBytes) {
    return fail(ErrorKind::invalid_argument,
                fmt::format("the model reference has {} bytes; at most {} are taken", trim.size(),
                            kMaxReferenceBytes));
  }
  // It goes into messages, paths and JSON; none of them wants a line break or a NUL.
  if (std::any_of(trim.begin(), trim.end(),
                  [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; })) {
    return fail(ErrorKind::invalid_argument, "the model reference has control characters");
  }
  ModelReference reference;
  reference.raw = trim;
  OLLM_TRY(Split split, split_scheme(trim));
  reference.scheme = std::move(split.scheme);
  if (reference.scheme == "path") {
    return as_path(std::move(reference), split.rest, environment, calls);
  }
  if (reference.scheme == "file") {
    const std::string path = hub::percent_decoded(without_this_host(split.rest));
    return as_path(std::move(reference), path, environment, calls);
  }
  if (!reference.scheme &&
      (looks_local(trim) || io::is_directory(io::absolute_path(trim, environment), calls))) {
    return as_path(std::move(reference), trim, environment, calls);
  }
  OLLM_TRY(auto address, hub::parse_address(trim, environment));
  if (address) {
    reference.raw = std::move(address->shown);
    reference.scheme = "hf";
    reference.identifier = std::move(address->repo_id);
    reference.revision = std::move(address->revision);
    return reference;
  }
  reference.identifier = split.rest;
  if (const std::size_t at = split.rest.find('@'); at != std::string_view::npos) {
    reference.identifier = split.rest.substr(0, at);
    reference.revision = std::string(split.rest.substr(at + 1));
    if (reference.identifier.empty() || reference.revision->empty()) {
      return fail(
          ErrorKind::invalid_argument,
          fmt::format("model reference {}: expected <reference>@<revision>", quote_name(trim)));
    }
  }
  if (reference.identifier.empty()) {
    return fail(
        ErrorKind::invalid_argument,
        fmt::format("model reference {}: there is no name behind the scheme", quote_name(trim)));
  }
  return reference;
}

}  // namespace plan
}  // namespace ollm
