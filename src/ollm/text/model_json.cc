// Vocabulary, merges and options of each kind of model (model_json.h).
// Leaves what a model does with them to model_bpe.cc and its like.
#include "ollm/text/model_json.h"

#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <set>
#include <utility>

#include "ollm/text/serde_number.h"

namespace ollm::text {
namespace {

namespace dom = simdjson::dom;

constexpr std::string_view kWhere = "model";

Error wrong(std::string_view field, std::string_view expected) {
  return fail(ErrorKind::corrupt, fmt::format("model: {}: expected {}", field, expected));
}

// A merge as the file has it: two tokens side by side in one string.
struct RawMerge {
  std::uint32_t begin;
  std::uint32_t middle;
  std::uint32_t end;
};

// The fields of the block, of whatever kind the model turns out to be.
struct ModelFields {
  std::optional<std::string> type;
  bool has_vocab = false;
  bool has_merges = false;
  bool is_list = false;  // of pairs [token, score]
  Vocabulary vocabulary;
  std::vector<double> scores;
  std::string merge_text;
  std::vector<RawMerge> merges;
  std::optional<std::string> unk_token;
  std::optional<std::int64_t> unk_id;
  std::optional<std::string> continuing_subword_prefix;
  std::optional<std::string> end_of_word_suffix;
  std::optional<std::int64_t> max_input_chars_per_word;
  std::optional<double> dropout;
  bool fuse_unk = false;
  bool byte_fallback = false;
  bool ignore_merges = false;
};

Result<void> optional_string(const dom::element& value, std::string_view field,
                             std::optional<std::string>& out) {
  if (value.is_null()) return {};
  std::string_view text;
  if (value.get(text) != simdjson::SUCCESS) return wrong(field, "a string");
  out = std::string(text);
  return {};
}

Result<void> optional_integer(const dom::element& value, std::string_view field,
                              std::optional<std::int64_t>& out) {
  if (value.is_null()) return {};
  std::int64_t number = 0;
  if (value.get(number) != simdjson::SUCCESS) return wrong(field, "an integer");
  out = number;
  return {};
}

Result<void> boolean(const dom::element& value, std::string_view field, bool& out) {
  if (value.is_null()) return {};
  if (value.get(out) != simdjson::SUCCESS) return wrong(field, "true or false");
  return {};
}

Result<void> read_vocab_object(const dom::object& object, ModelFields& out) {
  out.vocabulary.reserve(object.size(), object.size() * 8);
  for (const auto& [token, value] : object) {
    std::int64_t id = 0;
    if (value.get(id) != simdjson::SUCCESS) {
      return fail(ErrorKind::corrupt,
                  fmt::format("model: vocab: the id of '{}' is no integer", token));
    }
    if (auto added = out.vocabulary.add(token, id); !added.ok()) {
      return std::move(added).error().within("model: vocab");
    }
  }
  return {};
}

Result<void> read_vocab_list(const dom::array& array, ModelFields& out) {
  out.vocabulary.reserve(array.size(), array.size() * 8);
  out.scores.reserve(array.size());
  for (const dom::element entry : array) {
    dom::array pair;
    std::string_view token;
    double score = 0;
    if (entry.get(pair) != simdjson::SUCCESS || pair.size() != 2 ||
        pair.at(0).get(token) != simdjson::SUCCESS || pair.at(1).get(score) != simdjson::SUCCESS) {
      return wrong("vocab", "pairs of token and score");
    }
    const auto id = static_cast<std::int64_t>(out.scores.size());
    if (auto added = out.vocabulary.add_or_replace(token, id); !added.ok()) {
      return std::move(added).error().within("model: vocab");
    }
    out.scores.push_back(serde_number(score));
  }
  out.is_list = true;
  return {};
}

void add_merge(std::string_view left, std::string_view right, ModelFields& out) {
  const auto begin = static_cast<std::uint32_t>(out.merge_text.size());
  out.merge_text += left;
  out.merge_text += right;
  const auto middle = begin + static_cast<std::uint32_t>(left.size());
  out.merges.push_back({begin, middle, middle + static_cast<std::uint32_t>(right.size())});
}

Result<void> read_merges(const dom::array& array, ModelFields& out) {
  out.merges.reserve(array.size());
  for (const dom::element entry : array) {
    std::string_view text;
    if (entry.get(text) == simdjson::SUCCESS) {
      if (text.starts_with("#version")) continue;
      const std::size_t space = text.find(' ');
      if (space == std::string_view::npos || text.find(' ', space + 1) != std::string_view::npos) {
        return fail(ErrorKind::corrupt,
                    fmt::format("model: merges: '{}' is not two tokens with a space between",
                                text.substr(0, 80)));
      }
      add_merge(text.substr(0, space), text.substr(space + 1), out);
      continue;
    }
    dom::array pair;
    std::string_view left;
    std::string_view right;
    if (entry.get(pair) != simdjson::SUCCESS || pair.size() != 2 ||
        pair.at(0).get(left) != simdjson::SUCCESS || pair.at(1).get(right) != simdjson::SUCCESS) {
      return wrong("merges", "pairs of tokens");
    }
    add_merge(left, right, out);
  }
  return {};
}

Result<void> read_field(std::string_view key, const dom::element& value, ModelFields& out) {
  if (key == "type") return optional_string(value, key, out.type);
  if (key == "unk_token") return optional_string(value, key, out.unk_token);
  if (key == "unk_id") return optional_integer(value, key, out.unk_id);
  if (key == "continuing_subword_prefix") {
    return optional_string(value, key, out.continuing_subword_prefix);
  }
  if (key == "end_of_word_suffix") return optional_string(value, key, out.end_of_word_suffix);
  if (key == "max_input_chars_per_word") {
    return optional_integer(value, key, out.max_input_chars_per_word);
  }
  if (key == "fuse_unk") return boolean(value, key, out.fuse_unk);
  if (key == "byte_fallback") return boolean(value, key, out.byte_fallback);
  if (key == "ignore_merges") return boolean(value, key, out.ignore_merges);
  if (key == "dropout") {
    if (value.is_null()) return {};
    double dropout = 0;
    if (value.get(dropout) != simdjson::SUCCESS) return wrong(key, "a number");
    out.dropout = dropout;
    return {};
  }
  if (key == "vocab") {
    out.has_vocab = true;
    dom::array list;
    if (value.get(list) == simdjson::SUCCESS) return read_vocab_list(list, out);
    dom::object object;
    if (value.get(object) != simdjson::SUCCESS) return wrong(key, "an object");
    return read_vocab_object(object, out);
  }
  if (key == "merges") {
    out.has_merges = true;
    dom::array list;
    if (value.get(list) != simdjson::SUCCESS) return wrong(key, "a list");
    return read_merges(list, out);
  }
  return {};  // passed over, as the Hugging Face library does
}

// Which model it is where the file does not say so: by the fields that only one of them has.
std::string guess_type(const ModelFields& fields) {
  if (fields.has_merges) return "BPE";
  if (fields.is_list) return "Unigram";
  if (fields.continuing_subword_prefix || fields.max_input_chars_per_word) return "WordPiece";
  return "WordLevel";
}

Result<std::vector<Merge>> resolve_merges(const ModelFields& fields, std::size_t prefix_bytes) {
  constexpr std::size_t kGroup = 256;
  std::vector<Merge> out;
  out.reserve(fields.merges.size());
  const std::string_view text = fields.merge_text;
  std::vector<std::string_view> tokens;  // left, right and result of each merge of a group
  std::vector<TokenId> ids;
  std::deque<std::string> joined;
  for (std::size_t begin = 0; begin < fields.merges.size(); begin += kGroup) {
    const std::size_t end = std::min(begin + kGroup, fields.merges.size());
    tokens.clear();
    joined.clear();
    for (std::size_t i = begin; i < end; ++i) {
      const RawMerge& merge = fields.merges[i];
      const std::string_view left = text.substr(merge.begin, merge.middle - merge.begin);
      const std::string_view right = text.substr(merge.middle, merge.end - merge.middle);
      if (right.size() < prefix_bytes) {
        return fail(
            ErrorKind::corrupt,
            fmt::format("model: merges: '{}' is shorter than continuing_subword_prefix", right));
      }
      // Without a prefix the two stand side by side already.
      std::string_view whole = text.substr(merge.begin, merge.end - merge.begin);
      if (prefix_bytes > 0) {
        whole = joined.emplace_back(left).append(right.substr(prefix_bytes));
      }
      tokens.insert(tokens.end(), {left, right, whole});
    }
    ids.resize(tokens.size());
    fields.vocabulary.find_all(tokens, ids);
    for (std::size_t i = 0; i < tokens.size(); i += 3) {
      for (std::size_t part = 0; part < 3; ++part) {
        if (ids[i + part] >= 0) continue;
        return fail(ErrorKind::corrupt,
                    fmt::format("model: merges: '{}' + '{}': token '{}' is not in the vocabulary",
                                tokens[i], tokens[i + 1], tokens[i + part]));
      }
      out.push_back({ids[i], ids[i + 1], ids[i + 2]});
    }
  }
  return out;
}

Result<ModelPtr> bpe(ModelFields fields) {
  if (!fields.has_merges) return fail(ErrorKind::corrupt, "model: merges is missing");
  if (fields.dropout && *fields.dropout != 0) {
    return fail(ErrorKind::unsupported,
                fmt::format("model: dropout {} makes ids random; set it to null", *fields.dropout));
  }
  BpeOptions options;
  options.unk_token = std::move(fields.unk_token);
  options.continuing_subword_prefix = fields.continuing_subword_prefix.value_or("");
  options.end_of_word_suffix = fields.end_of_word_suffix.value_or("");
  options.fuse_unk = fields.fuse_unk;
  options.byte_fallback = fields.byte_fallback;
  options.ignore_merges = fields.ignore_merges;
  OLLM_TRY(std::vector<Merge> merges,
           resolve_merges(fields, options.continuing_subword_prefix.size()));
  return make_bpe_model(std::move(fields.vocabulary), std::move(merges), options);
}

Result<ModelPtr> unigram(ModelFields fields) {
  if (!fields.is_list) return wrong("vocab", "a list of pairs of token and score");
  UnigramOptions options;
  if (fields.unk_id) {
    if (*fields.unk_id < 0 ||
        *fields.unk_id >= static_cast<std::int64_t>(fields.vocabulary.size())) {
      return fail(ErrorKind::corrupt, fmt::format("model: unk_id {} is outside of {} tokens",
                                                  *fields.unk_id, fields.vocabulary.size()));
    }
    options.unk_id = static_cast<TokenId>(*fields.unk_id);
  }
  options.scores = std::move(fields.scores);
  options.byte_fallback = fields.byte_fallback;
  return make_unigram_model(std::move(fields.vocabulary), std::move(options));
}

Result<ModelPtr> wordpiece(ModelFields fields) {
  WordPieceOptions options;
  options.unk_token = fields.unk_token.value_or(options.unk_token);
  options.continuing_subword_prefix =
      fields.continuing_subword_prefix.value_or(options.continuing_subword_prefix);
  if (fields.max_input_chars_per_word) {
    if (*fields.max_input_chars_per_word < 0) {
      return wrong("max_input_chars_per_word", "a count of characters");
    }
    options.max_input_chars_per_word = static_cast<std::size_t>(*fields.max_input_chars_per_word);
  }
  return make_wordpiece_model(std::move(fields.vocabulary), options);
}

}  // namespace

Result<ModelPtr> read_model(const dom::object& object) {
  ModelFields fields;
  std::set<std::string_view> keys;
  for (const auto& [key, value] : object) {
    if (!keys.insert(key).second) {
      return fail(ErrorKind::corrupt, fmt::format("{}: key '{}' stands twice", kWhere, key));
    }
    OLLM_TRY_VOID(read_field(key, value, fields));
  }
  if (!fields.has_vocab) return fail(ErrorKind::corrupt, "model: vocab is missing");
  const std::string type = fields.type.value_or(guess_type(fields));
  if (type != "Unigram" && fields.is_list) return wrong("vocab", "an object");
  if (type == "BPE") return bpe(std::move(fields));
  if (type == "Unigram") return unigram(std::move(fields));
  if (type == "WordPiece") return wordpiece(std::move(fields));
  if (type == "WordLevel") {
    if (!fields.unk_token) return fail(ErrorKind::corrupt, "model: unk_token is missing");
    return make_wordlevel_model(std::move(fields.vocabulary), *std::move(fields.unk_token));
  }
  return fail(ErrorKind::unsupported,
              fmt::format("{}: type '{}' is not built", kWhere, type.substr(0, 64)));
}

}  // namespace ollm::text
