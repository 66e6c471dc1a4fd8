#include "ollm/openai/batch_row.h"

#include <fmt/format.h>

#include <utility>

#include "ollm/base/callback.h"
#include "ollm/base/json_cursor.h"
#include "ollm/base/json_reader.h"
#include "ollm/base/sha256.h"
#include "ollm/openai/canonical.h"
#include "ollm/openai/found.h"

namespace ollm::openai {
namespace {

// As deep as a body may nest, inside the row.
constexpr JsonLimits kRowLimits{.size_bytes = BodyLimits::kRowBytes,
                                .depth = BodyLimits::kDepth + 1,
                                .keys_per_object = BodyLimits::kKeysPerObject};

// How deep a row is looked into for its custom_id, where it is refused for its depth or the like.
constexpr std::size_t kScannedDepth = 1000;

// Walks over the members of an object; `take` gets each key, and says whether it took the value.
bool walk_object(JsonCursor& cursor, FunctionRef<Result<bool>(std::string_view)> take) {
  if (!cursor.take('{')) return false;
  for (bool first = true;; first = false) {
    const Result<bool> more = cursor.more('}', first);
    if (!more.ok()) return false;
    if (!*more) return true;
    const Result<std::string_view> key = cursor.key();
    if (!key.ok()) return false;
    const Result<bool> taken = take(*key);
    if (!taken.ok()) return false;
    if (!*taken && !cursor.skip_value(kScannedDepth).ok()) return false;
  }
}

const Json* member(const Json& row, std::string_view name) {
  const auto found = row.find(name);
  return found == row.end() ? nullptr : &*found;
}

void read_request_of(const Json& row, BatchRow& out) {
  const Json* method = member(row, "method");
  const Json* url = member(row, "url");
  const Json* body = member(row, "body");
  const auto route = url != nullptr && url->is_string()
                         ? find_route(url->get_ref<const std::string&>())
                         : std::nullopt;
  if (method == nullptr || *method != "POST") {
    out.refused = unexpected("method", "the text 'POST'", method != nullptr ? *method : Json());
  } else if (!route) {
    out.refused = unexpected(
        "url", fmt::format("'{}' or '{}'", path_of(Route::chat), path_of(Route::completions)),
        url != nullptr ? *url : Json(), kInvalidValue);
  } else if (body == nullptr || !body->is_object()) {
    out.refused = unexpected("body", "an object", body != nullptr ? *body : Json());
  } else {
    out.route = *route;
    out.body = *body;
    const Digest digest = sha256(*out.custom_id + canonical_json(out.body));
    for (std::size_t i = 0; i < sizeof out.seed; ++i) out.seed = out.seed << 8 | digest.bytes[i];
  }
}

// What can be told of a row that is JSON by its grammar, although no values can be made of it.
struct Scanned {
  std::optional<std::string> custom_id;
  std::string_view body;  // as it was written
};

Scanned scan_row(std::string_view row) {
  std::string text(row);  // strings are decoded in it, and every place stays
  blank_byte_order_mark(text);
  if (!check_utf8(text).ok()) return {};
  JsonCursor cursor(text);
  Scanned found;
  std::size_t named = 0;
  const bool whole = walk_object(cursor, [&](std::string_view key) -> Result<bool> {
    if (key == "custom_id" && cursor.peek() == '"') {
      OLLM_TRY(const std::string_view name, cursor.string("a text"));
      found.custom_id = name;
      ++named;
      return true;
    }
    if (key != "body") return false;
    cursor.peek();
    const std::size_t begin = cursor.position();
    OLLM_TRY_VOID(cursor.skip_value(kScannedDepth));
    found.body = row.substr(begin, cursor.position() - begin);
    return true;
  });
  if (!whole || named != 1 || cursor.peek() != '\0' || cursor.position() != text.size()) return {};
  return found;
}

std::string line_of(const BatchRow& row, Json response, Json error) {
  const Json line = {{"id", row.id},
                     {"custom_id", row.custom_id ? Json(*row.custom_id) : Json()},
                     {"response", std::move(response)},
                     {"error", std::move(error)}};
  return line.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace

std::string row_id(std::string_view digest_hex) {
  constexpr std::size_t kDigits = 16;
  return fmt::format("batch_{}", digest_hex.substr(0, kDigits));
}

BatchRow read_batch_row(std::string_view row) {
  BatchRow out;
  Result<Json> parsed = parse_json(row, "row", kRowLimits);
  if (!parsed.ok()) {
    out.id = row_id(sha256(row).hex());
    out.problem = parsed.error().message;
    const Scanned scanned = scan_row(row);
    out.custom_id = scanned.custom_id;
    if (!out.custom_id) return out;
    Json body;
    out.refused = parse_body(scanned.body, body);  // as the server would refuse it
    if (!out.refused) out.refused = refuse("", out.problem);
    return out;
  }
  out.id = row_id(sha256(canonical_json(*parsed)).hex());
  if (!parsed->is_object()) {
    out.problem = fmt::format("expected an object, found {}", describe_value(*parsed));
    return out;
  }
  const Json* custom_id = member(*parsed, "custom_id");
  if (custom_id == nullptr || !custom_id->is_string()) {
    out.problem = fmt::format("custom_id: expected a text, found {}",
                              custom_id != nullptr ? describe_value(*custom_id) : "nothing");
    return out;
  }
  out.custom_id = custom_id->get<std::string>();
  read_request_of(*parsed, out);
  return out;
}

BatchRow too_long_row(std::string_view digest_hex) {
  BatchRow out;
  out.id = row_id(digest_hex);
  out.problem = fmt::format("longer than {} bytes, the limit of a row", BodyLimits::kRowBytes);
  return out;
}

std::string answer_line(const BatchRow& row, int status, std::string_view body) {
  constexpr std::string_view kNoBody = "null";
  constexpr std::string_view kEnd = R"(},"error":null})";
  std::string line = line_of(row,
                             {{"status_code", status},
                              {"request_id", "req_" + row.id.substr(row.id.find('_') + 1)},
                              {"body", nullptr}},
                             nullptr);
  // As text: a long one would take many times as much as values.
  line.replace(line.size() - kEnd.size() - kNoBody.size(), kNoBody.size(), body);
  return line;
}

std::string problem_line(const BatchRow& row, std::size_t number) {
  return line_of(
      row, nullptr,
      {{"code", "invalid_row"}, {"message", fmt::format("row {}: {}", number, row.problem)}});
}

namespace {

Result<bool> not_an_answer() { return fail(ErrorKind::corrupt, "no answer"); }

// A text into `out`, or null.
Result<bool> take_text(JsonCursor& cursor, std::optional<std::string>& out) {
  if (cursor.word("null")) return true;
  OLLM_TRY(const std::string_view text, cursor.string("a text"));
  out = text;
  return true;
}

Result<bool> take_response(JsonCursor& cursor, AnswerHead& head) {
  if (cursor.word("null")) return true;
  const bool whole = walk_object(cursor, [&](std::string_view key) -> Result<bool> {
    if (key == "status_code") {
      OLLM_TRY(const std::uint64_t status, cursor.natural("a status"));
      if (status < 100 || status > 599) return not_an_answer();
      head.status = static_cast<int>(status);
      return true;
    }
    if (key != "body" || cursor.peek() != '{') return false;
    const bool body = walk_object(cursor, [&](std::string_view name) -> Result<bool> {
      if (name != "system_fingerprint") return false;
      std::optional<std::string> text;
      OLLM_TRY_VOID(take_text(cursor, text));
      head.system_fingerprint = text.value_or("");
      return true;
    });
    return body ? Result<bool>(true) : not_an_answer();
  });
  return whole && head.status ? Result<bool>(true) : not_an_answer();
}

}  // namespace

std::optional<AnswerHead> read_answer_head(std::string& line) {
  if (!check_utf8(line).ok()) return std::nullopt;
  AnswerHead head;
  std::optional<std::string> id;
  JsonCursor cursor(line);
  const bool whole = walk_object(cursor, [&](std::string_view key) -> Result<bool> {
    if (key == "id") return take_text(cursor, id);
    if (key == "custom_id") return take_text(cursor, head.custom_id);
    if (key == "response") return take_response(cursor, head);
    return false;
  });
  if (!whole || !id || cursor.peek() != '\0' || cursor.position() != line.size())
    return std::nullopt;
  head.id = std::move(*id);
  return head;
}

}  // namespace ollm::openai
