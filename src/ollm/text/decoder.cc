// Each decoder on a whole list of tokens (decoder.h); this is what defines the text of a list of
// ids. Leaves the incremental form of the same to decode_stream.cc, which tests hold to this one.
#include "ollm/text/decoder.h"

#include <algorithm>
#include <utility>

#include "ollm/text/byte_level.h"
#include "ollm/text/utf8.h"

namespace ollm::text {
namespace {

void decode_byte_level(std::vector<std::string>& tokens) {
  std::string bytes;
  for (const std::string& token : tokens) byte_level::append_decoded(bytes, token);
  std::string text;
  text.reserve(bytes.size());
  unicode::append_lossy(text, bytes);
  tokens.assign(1, std::move(text));
}

// In place, as the list of a long text is many times the text: a run takes no more than its tokens.
void decode_byte_fallback(std::vector<std::string>& tokens) {
  std::size_t kept = 0;
  std::string run;
  const auto end_run = [&] {
    if (run.empty()) return;
    std::string& out = tokens[kept++];
    if (unicode::valid_utf8_prefix(run) == run.size()) {
      out = run;
    } else {
      out.clear();
      for (std::size_t i = 0; i < run.size(); ++i) out += unicode::kReplacementUtf8;
    }
    run.clear();
  };
  for (std::string& token : tokens) {
    if (const int byte = fallback_byte(token); byte >= 0) {
      run.push_back(static_cast<char>(byte));
      continue;
    }
    end_run();
    std::string& out = tokens[kept++];
    if (&out != &token) out = std::move(token);
  }
  end_run();
  tokens.resize(kept);
}

std::string strip(const DecoderStep& step, std::string_view token) {
  const std::string_view content = step.content;
  for (std::size_t i = 0; i < step.start && token.starts_with(content); ++i) {
    token.remove_prefix(content.size());
  }
  for (std::size_t i = 0; i < step.stop && token.ends_with(content); ++i) {
    token.remove_suffix(content.size());
  }
  return std::string(token);
}

Result<std::string> replace(const DecoderStep& step, std::string_view token,
                            RegexScratch& scratch) {
  std::string out;
  Matches matches(*step.pattern, token, scratch);
  TextSpan match;
  std::size_t done = 0;
  if (!token.empty()) {
    for (;;) {
      OLLM_TRY(const bool found, matches.next(match));
      if (!found) break;
      out += token.substr(done, match.begin - done);
      out += step.content;
      done = match.end;
    }
  }
  out += token.substr(done);
  return out;
}

void decode_wordpiece(const DecoderStep& step, std::vector<std::string>& tokens) {
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    std::string& token = tokens[i];
    if (i > 0) {
      if (token.starts_with(step.content)) {
        token.erase(0, step.content.size());
      } else {
        token.insert(0, 1, ' ');
      }
    }
    if (step.cleanup) token = clean_up(std::move(token));
  }
}

void decode_ctc(const DecoderStep& step, std::vector<std::string>& tokens) {
  tokens.erase(std::unique(tokens.begin(), tokens.end()), tokens.end());
  std::vector<std::string> out;
  for (std::string& token : tokens) {
    replace_all(token, step.content, "");
    if (step.cleanup) {
      token = clean_up(std::move(token));
      replace_all(token, step.delimiter, " ");
    }
    if (!token.empty()) out.push_back(std::move(token));
  }
  tokens = std::move(out);
}

}  // namespace

int fallback_byte(std::string_view token) {
  if (token.size() != 6 || !token.starts_with("<0x") || token[5] != '>') return -1;
  const auto digit = [](char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
  };
  const int high = token[3] == '+' ? 0 : digit(token[3]);  // Rust's parser takes a sign
  const int low = digit(token[4]);
  return high < 0 || low < 0 ? -1 : high * 16 + low;
}

void replace_suffix(std::string& text, std::string_view suffix, std::string_view to) {
  if (!suffix.empty()) return replace_all(text, suffix, to);
  if (to.empty()) return;
  // As in the library's language nothing is found before each character and at the end.
  std::string out(to);
  for (const char byte : text) {
    if (unicode::is_utf8_continuation(byte) || out.size() == to.size()) {
      out += byte;
    } else {
      out += to;
      out += byte;
    }
  }
  if (!text.empty()) out += to;
  text = std::move(out);
}

void replace_all(std::string& text, std::string_view from, std::string_view to) {
  if (from.empty() || text.find(from) == std::string::npos) return;
  std::string out;
  std::size_t done = 0;
  for (;;) {
    const std::size_t found = text.find(from, done);
    if (found == std::string::npos) break;
    out.append(text, done, found - done);
    out += to;
    done = found + from.size();
  }
  out.append(text, done);
  text = std::move(out);
}

std::string clean_up(std::string text) {
  constexpr std::pair<std::string_view, std::string_view> kRules[] = {
      {" .", "."},   {" ?", "?"},     {" !", "!"},    {" ,", ","},
      {" ' ", "'"},  {" n't", "n't"}, {" 'm", "'m"},  {" do not", " don't"},
      {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"}};
  for (const auto& [from, to] : kRules) replace_all(text, from, to);
  return text;
}

Result<std::string> apply_to_one(const DecoderStep& step, std::string_view token,
                                 RegexScratch& scratch) {
  if (step.kind == DecoderKind::strip) return strip(step, token);
  return replace(step, token, scratch);
}

Result<void> apply(const DecoderStep& step, std::vector<std::string>& tokens,
                   RegexScratch& scratch) {
  switch (step.kind) {
    case DecoderKind::byte_level:
      decode_byte_level(tokens);
      return {};
    case DecoderKind::byte_fallback:
      decode_byte_fallback(tokens);
      return {};
    case DecoderKind::fuse: {
      std::size_t bytes = 0;
      for (const std::string& token : tokens) bytes += token.size();
      std::string text;
      text.reserve(bytes);
      for (const std::string& token : tokens) text += token;
      // A list anew: assigning to the old one would keep its memory, many times the text.
      tokens = std::vector<std::string>();
      tokens.push_back(std::move(text));
      return {};
    }
    case DecoderKind::strip:
    case DecoderKind::replace:
      for (std::string& token : tokens) {
        OLLM_TRY(token, apply_to_one(step, token, scratch));
      }
      return {};
    case DecoderKind::metaspace:
      for (std::size_t i = 0; i < tokens.size(); ++i) {
        replace_all(tokens[i], step.content, i == 0 && step.start > 0 ? "" : " ");
      }
      return {};
    case DecoderKind::wordpiece:
      decode_wordpiece(step, tokens);
      return {};
    case DecoderKind::bpe:
      for (std::size_t i = 0; i < tokens.size(); ++i) {
        replace_suffix(tokens[i], step.content, i + 1 == tokens.size() ? "" : " ");
      }
      return {};
    case DecoderKind::ctc:
      decode_ctc(step, tokens);
      return {};
  }
  return {};
}

}  // namespace ollm::text
