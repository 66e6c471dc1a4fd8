#include "ollm/openai/log_probs.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "ollm/base/utf8.h"
#include "ollm/base/value_document.h"

namespace ollm::openai {
namespace {

using Json = nlohmann::ordered_json;

// What OpenAI's API says in place of minus infinity, for which JSON has no form.
constexpr double kNever = -9999.0;

double number(double log_prob) { return std::max(log_prob, kNever); }

// Tokens that stand as values at a time: with 20 beside each half a megabyte.
constexpr std::size_t kTokensAtOnce = 64;

// What stands between the brackets of a list, behind what stood there before.
void add_entries(TextParts& out, const Json& list) {
  if (list.empty()) return;
  if (out.size() > 0) out.add(",");
  const std::string text = json_dump(list);
  out.add(std::string_view(text).substr(1, text.size() - 2));
}

// Rows of a model beyond the tokens of its tokenizer mean no text.
std::string bytes_of(const ServedModel& model, TokenId id) {
  if (model.text == nullptr) return {};
  Result<std::string> bytes = model.text->token_bytes(id);
  return bytes.ok() ? std::move(bytes).value() : std::string();
}

Json chat_token(const ServedModel& model, TokenId id, double log_prob) {
  const std::string bytes = bytes_of(model, id);
  Json list = Json::array();
  for (const char byte : bytes) list.push_back(static_cast<unsigned char>(byte));
  return {{"token", json_text(bytes)}, {"logprob", number(log_prob)}, {"bytes", std::move(list)}};
}

// Each character has one byte that does not continue another.
std::size_t count_characters(std::string_view bytes) {
  return static_cast<std::size_t>(std::count_if(bytes.begin(), bytes.end(), [](char byte) {
    return (static_cast<unsigned char>(byte) & 0xC0U) != 0x80U;
  }));
}

std::string token_name(const std::string& bytes) {
  if (utf8_prefix(bytes) == bytes.size()) return bytes;
  std::string name = "bytes:";
  for (const char byte : bytes)
    name += fmt::format("\\x{:02x}", static_cast<unsigned>(static_cast<unsigned char>(byte)));
  return name;
}

}  // namespace

Json chat_log_probs(const ServedModel& model, std::span<const TokenId> ids,
                    std::span<const sampling::TokenLogProbs> log_probs) {
  Json content = Json::array();
  for (std::size_t i = 0; i < std::min(ids.size(), log_probs.size()); ++i) {
    Json entry = chat_token(model, ids[i], log_probs[i].log_prob);
    Json top = Json::array();
    for (const sampling::TokenLogProb& token : log_probs[i].top)
      top.push_back(chat_token(model, token.id, token.log_prob));
    entry["top_logprobs"] = std::move(top);
    content.push_back(std::move(entry));
  }
  return {{"content", std::move(content)}, {"refusal", nullptr}};
}

TextParts chat_log_probs_text(const ServedModel& model, std::span<const TokenId> ids,
                              std::span<const sampling::TokenLogProbs> log_probs) {
  TextParts entries;
  const std::size_t count = std::min(ids.size(), log_probs.size());
  for (std::size_t at = 0; at < count; at += kTokensAtOnce) {
    const std::size_t some = std::min(kTokensAtOnce, count - at);
    add_entries(entries, chat_log_probs(model, ids.subspan(at, some),
                                        log_probs.subspan(at, some))["content"]);
  }
  TextParts out;
  out.add(R"({"content":[)");
  out.add(std::move(entries));
  out.add(R"(],"refusal":null})");
  return out;
}

void CompletionLogProbs::add_prompt(std::span<const TokenId> ids,
                                    std::span<const sampling::TokenLogProbs> log_probs,
                                    std::string_view shown) {
  if (ids.empty()) return;
  std::size_t bytes = 0;
  for (const TokenId id : ids) bytes += bytes_of(model_, id).size();
  hidden_bytes_ = bytes - std::min(bytes, shown.size());
  add_token(ids[0], nullptr);
  add(ids.subspan(1), log_probs);
}

void CompletionLogProbs::add(std::span<const TokenId> ids,
                             std::span<const sampling::TokenLogProbs> log_probs) {
  for (std::size_t i = 0; i < std::min(ids.size(), log_probs.size()); ++i)
    add_token(ids[i], &log_probs[i]);
}

void CompletionLogProbs::add_token(TokenId id, const sampling::TokenLogProbs* log_probs) {
  const std::string bytes = bytes_of(model_, id);
  const std::string name = token_name(bytes);
  if (tokens_.size() == kTokensAtOnce) flush();
  tokens_.push_back(name);
  text_offset_.push_back(characters_);
  const std::size_t hidden = std::min(hidden_bytes_, bytes.size());
  hidden_bytes_ -= hidden;
  characters_ += count_characters(std::string_view(bytes).substr(hidden));
  token_logprobs_.push_back(log_probs != nullptr ? Json(number(log_probs->log_prob)) : Json());
  if (log_probs == nullptr || top_ == 0) {
    top_logprobs_.push_back(nullptr);
    return;
  }
  Json top = Json::object();
  for (const sampling::TokenLogProb& token : log_probs->top)
    top[token_name(bytes_of(model_, token.id))] = number(token.log_prob);
  top[name] = number(log_probs->log_prob);
  top_logprobs_.push_back(std::move(top));
}

void CompletionLogProbs::flush() {
  std::size_t i = 0;
  for (Json* list : {&tokens_, &token_logprobs_, &top_logprobs_, &text_offset_}) {
    add_entries(texts_[i++], *list);
    list->clear();
  }
}

TextParts CompletionLogProbs::text() && {
  flush();
  TextParts out;
  std::size_t i = 0;
  for (const char* name : {"tokens", "token_logprobs", "top_logprobs", "text_offset"}) {
    const bool lists = top_ != 0 || &texts_[i] != &texts_[2];
    out.add(fmt::format("{}\"{}\":{}", i == 0 ? "{" : ",", name, lists ? "[" : "null"));
    if (lists) out.add(std::move(texts_[i]));
    if (lists) out.add("]");
    ++i;
  }
  out.add("}");
  return out;
}

}  // namespace ollm::openai
