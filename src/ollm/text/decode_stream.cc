// The stages of a decoder chain, each with what it holds back (decode_stream.h).
// Leaves the rules themselves to decoder.cc wherever a token stands for itself.
#include "ollm/text/decode_stream.h"

#include <utility>

#include "ollm/base/utf8.h"
#include "ollm/text/byte_level.h"
#include "ollm/text/utf8.h"

namespace ollm::text {

DecodeStream::DecodeStream(std::span<const DecoderStep> steps, bool has_decoder) {
  bool fused = false;  // all tokens are one from here on, which comes in pieces
  for (std::size_t i = 0; i < steps.size(); ++i) {
    const DecoderKind kind = steps[i].kind;
    Stage stage{.kind = Kind::each, .steps = steps.subspan(i, 1), .held = {}, .tokens = {}};
    if (kind == DecoderKind::fuse) {
      fused = true;
      continue;
    }
    // What comes behind a run of bytes sees it whole, but Fuse sees all tokens alike.
    const bool run_is_seen = kind == DecoderKind::byte_fallback && i + 1 < steps.size() &&
                             steps[i + 1].kind != DecoderKind::fuse;
    if (kind == DecoderKind::strip && fused) {
      stage.kind = Kind::strip;
    } else if (fused || run_is_seen) {
      stage.kind = Kind::whole;
      stage.steps = steps.subspan(i);
      stage.fused = fused;
    } else if (kind == DecoderKind::byte_level) {
      stage.kind = Kind::bytes;
      fused = true;
    } else if (kind == DecoderKind::byte_fallback) {
      stage.kind = Kind::fallback;
    } else if (kind == DecoderKind::metaspace) {
      stage.kind = Kind::metaspace;
    } else if (kind == DecoderKind::wordpiece) {
      stage.kind = Kind::wordpiece;
    } else if (kind == DecoderKind::bpe) {
      stage.kind = Kind::bpe;
    } else if (kind == DecoderKind::ctc) {
      stage.kind = Kind::ctc;
    }
    holds_text_ = holds_text_ || stage.kind == Kind::bpe || stage.kind == Kind::whole;
    const bool is_last = stage.kind == Kind::whole;
    stages_.push_back(std::move(stage));
    if (is_last) break;
  }
  if (!has_decoder) stages_.push_back({.kind = Kind::join, .steps = {}, .held = {}, .tokens = {}});
}

Result<void> DecodeStream::run(std::size_t index, std::string_view token, std::string& out) {
  if (index == stages_.size()) {
    out += token;
    return {};
  }
  Stage& stage = stages_[index];
  const bool first = std::exchange(stage.first, false);
  switch (stage.kind) {
    case Kind::each: {
      RegexScratch scratch;
      OLLM_TRY(const std::string text, apply_to_one(stage.steps[0], token, scratch));
      return run(index + 1, text, out);
    }
    case Kind::metaspace: {
      std::string text(token);
      replace_all(text, stage.steps[0].content, first && stage.steps[0].start > 0 ? "" : " ");
      return run(index + 1, text, out);
    }
    case Kind::wordpiece: {
      std::string text(token);
      const std::string& prefix = stage.steps[0].content;
      if (!first && token.starts_with(prefix)) {
        text.erase(0, prefix.size());
      } else if (!first) {
        text.insert(0, 1, ' ');
      }
      if (stage.steps[0].cleanup) text = clean_up(std::move(text));
      return run(index + 1, text, out);
    }
    case Kind::bpe: {
      std::string before = std::exchange(stage.held, std::string(token));
      if (first) return {};
      replace_suffix(before, stage.steps[0].content, " ");
      return run(index + 1, before, out);
    }
    case Kind::ctc: {
      if (!first && stage.held == token) return {};
      stage.held = token;
      std::vector<std::string> one{std::string(token)};
      RegexScratch scratch;
      OLLM_TRY_VOID(apply(stage.steps[0], one, scratch));
      return one.empty() ? Result<void>() : run(index + 1, one[0], out);
    }
    case Kind::fallback:
      return push_fallback(index, token, out);
    case Kind::bytes:
      return push_bytes(index, token, out);
    case Kind::strip:
      return push_strip(index, token, out);
    case Kind::join:
      if (!first) OLLM_TRY_VOID(run(index + 1, " ", out));
      return run(index + 1, token, out);
    case Kind::whole:
      if (first || !stage.fused) stage.tokens.emplace_back();
      stage.tokens.back() += token;
      return {};
  }
  return {};
}

Result<void> DecodeStream::push_fallback(std::size_t index, std::string_view token,
                                         std::string& out) {
  const int byte = fallback_byte(token);
  if (byte < 0) {
    OLLM_TRY_VOID(end_fallback_run(index, out));
    return run(index + 1, token, out);
  }
  Stage& stage = stages_[index];
  stage.held.push_back(static_cast<char>(byte));
  if (!stage.broken) {
    const Utf8Start start = scan_utf8(stage.held).start;
    if (start == Utf8Start::cut) return {};
    if (start == Utf8Start::whole) {
      const std::string character = std::exchange(stage.held, {});
      return run(index + 1, character, out);
    }
    stage.broken = true;
  }
  // Every byte of a run that is no UTF-8 reads as U+FFFD.
  const std::size_t count = std::exchange(stage.held, {}).size();
  for (std::size_t i = 0; i < count; ++i) {
    OLLM_TRY_VOID(run(index + 1, unicode::kReplacementUtf8, out));
  }
  return {};
}

Result<void> DecodeStream::end_fallback_run(std::size_t index, std::string& out) {
  const std::size_t cut = std::exchange(stages_[index].held, {}).size();
  stages_[index].broken = false;
  for (std::size_t i = 0; i < cut; ++i) {
    OLLM_TRY_VOID(run(index + 1, unicode::kReplacementUtf8, out));
  }
  return {};
}

Result<void> DecodeStream::push_bytes(std::size_t index, std::string_view token, std::string& out) {
  std::string& held = stages_[index].held;
  byte_level::append_decoded(held, token);
  std::string text;
  std::string_view left = held;
  while (!left.empty()) {
    const auto [start, length] = scan_utf8(left);
    if (start == Utf8Start::cut) break;
    text += start == Utf8Start::whole ? left.substr(0, length) : unicode::kReplacementUtf8;
    left.remove_prefix(length);
  }
  held.erase(0, held.size() - left.size());
  return run(index + 1, text, out);
}

// A Strip of the whole text: its start is dropped as it comes, and what the end might drop waits.
Result<void> DecodeStream::push_strip(std::size_t index, std::string_view text, std::string& out) {
  Stage& stage = stages_[index];
  const DecoderStep& step = stage.steps[0];
  std::string all = std::exchange(stage.held, {});
  all += text;
  std::string_view left = all;
  while (stage.stripped < step.start && !left.empty()) {
    if (!left.starts_with(step.content)) {
      stage.stripped = step.start;  // the start is over
      break;
    }
    left.remove_prefix(step.content.size());
    ++stage.stripped;
  }
  std::size_t held = 0;
  for (std::size_t i = 0; i < step.stop; ++i) {
    if (!left.substr(0, left.size() - held).ends_with(step.content)) break;
    held += step.content.size();
  }
  stage.held = left.substr(left.size() - held);
  return run(index + 1, left.substr(0, left.size() - held), out);
}

Result<void> DecodeStream::finish(std::string& out) {
  for (std::size_t i = 0; i < stages_.size(); ++i) OLLM_TRY_VOID(finish_stage(i, out));
  return {};
}

Result<void> DecodeStream::finish_stage(std::size_t index, std::string& out) {
  Stage& stage = stages_[index];
  switch (stage.kind) {
    case Kind::bpe: {
      if (stage.first) return {};
      replace_suffix(stage.held, stage.steps[0].content, "");
      return run(index + 1, stage.held, out);
    }
    case Kind::fallback:
      return end_fallback_run(index, out);
    case Kind::bytes: {
      std::string text;
      unicode::append_lossy(text, stage.held);
      stage.held.clear();
      return run(index + 1, text, out);
    }
    case Kind::whole: {
      RegexScratch scratch;
      for (const DecoderStep& step : stage.steps) {
        OLLM_TRY_VOID(apply(step, stage.tokens, scratch));
      }
      for (const std::string& token : stage.tokens) OLLM_TRY_VOID(run(index + 1, token, out));
      return {};
    }
    default:
      return {};
  }
}

}  // namespace ollm::text
