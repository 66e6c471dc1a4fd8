#include "ollm/hub/address.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>
#include <vector>

#include "ollm/base/json_cursor.h"
#include "ollm/base/text_form.h"
#include "ollm/hub/cache.h"

namespace ollm::hub {
namespace {

constexpr std::array<std::string_view, 2> kHosts = {"huggingface.co", "hf.co"};
// What else has an address of two parts there.
constexpr std::array<std::string_view, 7> kOtherKinds = {
    "datasets", "spaces", "docs", "papers", "collections", "blog", "buckets"};
constexpr std::array<std::string_view, 6> kPagesOfARevision = {"tree", "blob",   "resolve",
                                                               "raw",  "commit", "commits"};

template <std::size_t Size>
bool is_one_of(std::string_view text, const std::array<std::string_view, Size>& list) {
  return std::find(list.begin(), list.end(), text) != list.end();
}

// An address cut at its borders; nothing where it has a scheme that is not of the web.
struct Parts {
  std::string_view scheme;  // with "://", or nothing
  std::string_view host;    // without user and port
  std::string_view behind;  // from the slash on
};

std::optional<Parts> split(std::string_view text) {
  Parts out;
  if (const std::size_t mark = text.find("://"); mark != std::string_view::npos) {
    const std::string scheme = lower(text.substr(0, mark));
    if (scheme != "http" && scheme != "https") return std::nullopt;
    out.scheme = text.substr(0, mark + 3);
    text.remove_prefix(mark + 3);
  }
  const std::size_t end = std::min(text.find_first_of("/?#"), text.size());
  out.behind = text.substr(end);
  out.host = text.substr(0, end);
  if (const std::size_t at = out.host.rfind('@'); at != std::string_view::npos)
    out.host.remove_prefix(at + 1);
  out.host = out.host.substr(0, out.host.find(':'));
  return out;
}

bool is_hub(std::string_view host, const io::Environment& environment) {
  std::string name = lower(host);
  if (name.starts_with("www.")) name.erase(0, 4);
  if (is_one_of(name, kHosts)) return true;
  const auto endpoint = environment.find_filled("HF_ENDPOINT");
  if (!endpoint) return false;
  const auto parts = split(*endpoint);
  return parts && !parts->host.empty() && lower(parts->host) == name;
}

// The parts of a path between slashes, decoded; empty ones left out.
std::vector<std::string> path_parts(std::string_view path) {
  std::vector<std::string> out;
  path = path.substr(0, path.find_first_of("?#"));
  for (std::size_t begin = 0; begin < path.size();) {
    const std::size_t slash = std::min(path.find('/', begin), path.size());
    if (slash > begin) out.push_back(percent_decoded(path.substr(begin, slash - begin)));
    begin = slash + 1;
  }
  return out;
}

// The revision of the page that `parts` go on with behind the model's name.
std::optional<std::string> revision_of(const std::vector<std::string>& parts, std::size_t at) {
  if (at + 1 >= parts.size() || !is_one_of(parts[at], kPagesOfARevision)) return std::nullopt;
  std::string revision = parts[at + 1];
  if (revision == "refs" && at + 3 < parts.size())
    revision = fmt::format("refs/{}/{}", parts[at + 2], parts[at + 3]);
  if (revision == "main") return std::nullopt;
  return revision;
}

}  // namespace

std::string percent_decoded(std::string_view text) {
  std::string out;
  for (std::size_t at = 0; at < text.size(); ++at) {
    unsigned char byte = 0;
    if (text[at] == '%' && at + 2 < text.size()) {
      const char* digits = text.data() + at + 1;
      const auto [stop, failed] = std::from_chars(digits, digits + 2, byte, 16);
      if (failed == std::errc() && stop == digits + 2) {
        out += static_cast<char>(byte);
        at += 2;
        continue;
      }
    }
    out += text[at];
  }
  return out;
}

Result<std::optional<Address>> parse_address(std::string_view text,
                                             const io::Environment& environment) {
  const auto address = split(text);
  // Without a scheme a host alone is a name like any other.
  if (!address || !is_hub(address->host, environment) ||
      (address->scheme.empty() && address->behind.empty()))
    return std::optional<Address>();
  Address out;
  out.shown = fmt::format("{}{}{}", address->scheme, address->host, address->behind);
  const auto no_model = [&](std::string_view why) {
    return fail(
        ErrorKind::invalid_argument,
        fmt::format("{} {}; a model's is https://huggingface.co/ORG/NAME, or ORG/NAME alone",
                    quote_name(out.shown), why));
  };
  std::vector<std::string> parts = path_parts(address->behind);
  if (parts.size() >= 2 && parts[0] == "api" && parts[1] == "models")
    parts.erase(parts.begin(), parts.begin() + 2);
  if (parts.empty()) return no_model("is the hub's front page");
  if (is_one_of(parts[0], kOtherKinds))
    return no_model(fmt::format("is of the hub's {}, not of its models", parts[0]));

  const bool one_word = parts.size() == 1 || is_one_of(parts[1], kPagesOfARevision);
  out.repo_id = one_word ? parts[0] : fmt::format("{}/{}", parts[0], parts[1]);
  if (out.repo_id.ends_with(".git")) out.repo_id.erase(out.repo_id.size() - 4);
  out.revision = revision_of(parts, one_word ? 1 : 2);
  if (const std::size_t at = out.repo_id.find('@'); at != std::string::npos) {
    if (!out.revision) out.revision = out.repo_id.substr(at + 1);
    out.repo_id.erase(at);
  }
  if (!is_repository_id(out.repo_id)) return no_model("names no model");
  if (out.revision && !is_revision(*out.revision)) return no_model("names no revision");
  return std::optional<Address>(std::move(out));
}

}  // namespace ollm::hub
