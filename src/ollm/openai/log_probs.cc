#include "ollm/openai/log_probs.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "ollm/base/utf8.h"

namespace ollm::openai {
namespace {

using Json = nlohmann::ordered_json;

// What OpenAI's API says in place of minus infinity, for which JSON has no form.
constexpr double kNever = -9999.0;

double number(double log_prob) { return std::max(log_prob, kNever); }

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

Json CompletionLogProbs::json() && {
  return {{"tokens", std::move(tokens_)},
          {"token_logprobs", std::move(token_logprobs_)},
          {"top_logprobs", top_ == 0 ? Json() : std::move(top_logprobs_)},
          {"text_offset", std::move(text_offset_)}};
}

}  // namespace ollm::openai
