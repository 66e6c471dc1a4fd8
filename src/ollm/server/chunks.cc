#include "ollm/server/chunks.h"

#include <fmt/format.h>

#include <utility>

#include "ollm/openai/log_probs.h"

namespace ollm::server {
namespace {

using Json = nlohmann::ordered_json;
using openai::Route;

constexpr double kMillis = 1000;

}  // namespace

Json Chunks::chunk(Json choices) const {
  const bool chat = request_.route == Route::chat;
  Json out = {{"id", fmt::format("{}-{}", chat ? "chatcmpl" : "cmpl", names_.id)},
              {"object", chat ? "chat.completion.chunk" : "text_completion"},
              {"created", names_.created},
              {"model", names_.model},
              {"system_fingerprint", names_.system_fingerprint},
              {"choices", std::move(choices)}};
  if (names_.system_fingerprint.empty()) out["system_fingerprint"] = nullptr;
  if (names_.seed) out["seed"] = *names_.seed;
  if (request_.include_usage) out["usage"] = nullptr;
  return out;
}

Json Chunks::one(Json choice) const { return chunk(Json::array({std::move(choice)})); }

Json Chunks::first(std::size_t choice, const std::string& echoed) const {
  if (request_.route == Route::chat) {
    return one({{"index", choice},
                {"delta", {{"role", "assistant"}, {"content", ""}, {"refusal", nullptr}}},
                {"logprobs", nullptr},
                {"finish_reason", nullptr}});
  }
  return one(
      {{"text", echoed}, {"index", choice}, {"logprobs", nullptr}, {"finish_reason", nullptr}});
}

Json Chunks::text(std::size_t choice, const Piece& piece, std::size_t told) const {
  if (request_.route == Route::chat) {
    return one(
        {{"index", choice},
         {"delta", {{"content", piece.text}}},
         {"logprobs",
          request_.logprobs ? openai::chat_log_probs(model_, piece.ids, piece.log_probs) : Json()},
         {"finish_reason", nullptr}});
  }
  Json log_probs;
  if (request_.logprobs) {
    openai::CompletionLogProbs list(model_, request_.top_logprobs, told);
    list.add(piece.ids, piece.log_probs);
    log_probs = Json::parse(std::move(list).text().joined());
  }
  return one({{"text", piece.text},
              {"index", choice},
              {"logprobs", std::move(log_probs)},
              {"finish_reason", nullptr}});
}

Json Chunks::last(std::size_t choice, FinishReason reason) const {
  Json end = {{"index", choice}};
  if (request_.route == Route::chat) {
    end["delta"] = Json::object();
  } else {
    end["text"] = "";
  }
  end["logprobs"] = nullptr;
  end["finish_reason"] = to_string(reason);
  return one(std::move(end));
}

Json Chunks::progress(std::size_t prompt_tokens, const Piece& piece, double seconds) const {
  Json out = chunk(Json::array());
  const std::size_t cached = prompt_tokens - std::min(prompt_tokens, piece.prefill_total);
  out["prompt_progress"] = {{"total", prompt_tokens},
                            {"cache", cached},
                            {"processed", cached + piece.prefilled},
                            {"time_ms", seconds * kMillis}};
  return out;
}

Json Chunks::usage(const openai::Usage& usage) const {
  Json out = chunk(Json::array());
  out["usage"] = usage.body();
  return out;
}

Json timings(const Report& report) {
  Json out;
  const auto add = [&](const char* name, std::size_t tokens, double per_second) {
    const double per_token = per_second > 0 ? kMillis / per_second : 0;
    out[fmt::format("{}_n", name)] = tokens;
    out[fmt::format("{}_ms", name)] = per_token * static_cast<double>(tokens);
    out[fmt::format("{}_per_token_ms", name)] = per_token;
    out[fmt::format("{}_per_second", name)] = per_second;
  };
  out["cache_n"] = report.cached_tokens;
  add("prompt", report.prompt_tokens - report.cached_tokens, report.prefill_tokens_per_second);
  add("predicted", report.new_tokens, report.decode_tokens_per_second);
  return out;
}

}  // namespace ollm::server
