// Text that grows id by id (tokenizer.h): what may be shown of it, and what must wait.
// Leaves the decoders to decode_stream.h.
#include <algorithm>
#include <utility>

#include "ollm/text/decode_stream.h"
#include "ollm/text/tokenizer_state.h"
#include "ollm/text/utf8.h"

namespace ollm::text {

class StreamingDetokenizer::State {
 public:
  State(const Tokenizer::State& tokenizer, bool skip_special)
      : tokenizer_(tokenizer),
        skip_special_(skip_special),
        stream_(tokenizer.parts().decoder, tokenizer.parts().has_decoder),
        preview_(stream_) {}

  Result<std::string> push(TokenId id) {
    OLLM_TRY_VOID(tokenizer_.check_id(id));
    if (skip_special_ && tokenizer_.is_skipped(id)) return std::string();
    const auto token = tokenizer_.decodable(id);
    if (!token) return std::string();
    std::string certain;
    OLLM_TRY_VOID(stream_.push(*token, certain));
    settle(certain);
    std::string preview;
    if (stream_.holds_text()) {
      preview_ = stream_;
      OLLM_TRY_VOID(preview_.finish(preview));
    }
    return show(certain, preview);
  }

  std::string finish() {
    std::string certain;
    // A pattern of the decoder that runs into its limits here has nothing more to bring out.
    static_cast<void>(stream_.finish(certain).ok());
    settle(certain);
    std::string out;
    for (; waiting_ > 0; --waiting_) out += unicode::kReplacementUtf8;
    return out + certain;
  }

 private:
  // Drops what was shown ahead from the start of `certain`, the text that is certain since.
  void settle(std::string& certain) {
    const std::size_t size = std::min(certain.size(), ahead_.size());
    if (certain.compare(0, size, ahead_, 0, size) == 0) {
      certain.erase(0, size);
      ahead_.erase(0, size);
    } else {
      // It came out otherwise. What was shown cannot be taken back; what follows it can be shown.
      certain.clear();
      ahead_.clear();
    }
  }

  // What to show of `certain`, not shown yet, and of `preview`, which follows it for now.
  std::string show(const std::string& certain, std::string_view preview) {
    std::string text = certain;
    if (ahead_.empty()) {
      text += preview;
    } else if (preview.starts_with(ahead_)) {  // and `certain` is empty
      text += preview.substr(ahead_.size());
    }
    // U+FFFD at the end may yet become a character: it waits.
    std::size_t end = text.size();
    while (std::string_view(text).substr(0, end).ends_with(unicode::kReplacementUtf8)) {
      end -= unicode::kReplacementUtf8.size();
    }
    if (end == 0) {
      waiting_ += certain.size() / unicode::kReplacementUtf8.size();
      return {};
    }
    std::string out;
    for (; waiting_ > 0; --waiting_) out += unicode::kReplacementUtf8;
    out.append(text, 0, end);
    if (end >= certain.size()) {
      ahead_.append(text, certain.size(), end - certain.size());
    } else {
      waiting_ = (certain.size() - end) / unicode::kReplacementUtf8.size();
    }
    return out;
  }

  const Tokenizer::State& tokenizer_;
  bool skip_special_;
  DecodeStream stream_;
  DecodeStream preview_;     // a copy, for its memory
  std::size_t waiting_ = 0;  // U+FFFD at the end of the text, certain and not shown
  std::string ahead_;        // shown and not certain
};

StreamingDetokenizer::StreamingDetokenizer(const Tokenizer& tokenizer, bool skip_special)
    : state_(std::make_unique<State>(*tokenizer.state_, skip_special)) {}
StreamingDetokenizer::~StreamingDetokenizer() = default;
StreamingDetokenizer::StreamingDetokenizer(StreamingDetokenizer&&) noexcept = default;
StreamingDetokenizer& StreamingDetokenizer::operator=(StreamingDetokenizer&&) noexcept = default;

Result<std::string> StreamingDetokenizer::push(TokenId id) { return state_->push(id); }
std::string StreamingDetokenizer::finish() { return state_->finish(); }

}  // namespace ollm::text
