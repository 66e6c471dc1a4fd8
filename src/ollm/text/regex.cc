// PCRE2 with just-in-time compilation, and its limits (regex.h).
// Leaves out captures: only the whole match is asked for.
#include "ollm/text/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <fmt/format.h>
#include <pcre2.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>
#include <utility>

#include "ollm/base/check.h"
#include "ollm/text/oniguruma.h"

namespace ollm::text {
namespace {

std::uint32_t match_limit(std::size_t text_bytes) {
  const std::uint64_t limit = RegexLimits::kSteps + RegexLimits::kStepsPerByte * text_bytes;
  return static_cast<std::uint32_t>(
      std::min<std::uint64_t>(limit, std::numeric_limits<std::uint32_t>::max()));
}

std::string pcre2_message(int code) {
  std::array<PCRE2_UCHAR, 256> buffer{};
  pcre2_get_error_message(code, buffer.data(), buffer.size());
  return reinterpret_cast<const char*>(buffer.data());
}

template <auto Free>
struct Deleter {
  template <typename T>
  void operator()(T* pointer) const {
    Free(pointer);
  }
};

}  // namespace

struct RegexScratch::State {
  std::unique_ptr<pcre2_match_data, Deleter<pcre2_match_data_free>> data;
  std::unique_ptr<pcre2_match_context, Deleter<pcre2_match_context_free>> context;
  std::unique_ptr<pcre2_jit_stack, Deleter<pcre2_jit_stack_free>> stack;
};

RegexScratch::RegexScratch() = default;
RegexScratch::~RegexScratch() = default;
RegexScratch::RegexScratch(RegexScratch&&) noexcept = default;
RegexScratch& RegexScratch::operator=(RegexScratch&&) noexcept = default;

RegexScratch::State& RegexScratch::state() {
  if (!state_) {
    auto made = std::make_unique<State>();
    made->data.reset(pcre2_match_data_create(1, nullptr));
    made->context.reset(pcre2_match_context_create(nullptr));
    made->stack.reset(pcre2_jit_stack_create(32 * 1024, RegexLimits::kJitStackBytes, nullptr));
    OLLM_CHECK(made->data && made->context && made->stack);  // as bad_alloc, out of memory
    pcre2_jit_stack_assign(made->context.get(), nullptr, made->stack.get());
    pcre2_set_heap_limit(made->context.get(), RegexLimits::kHeapBytes / 1024);
    state_ = std::move(made);
  }
  return *state_;
}

struct Regex::Code {
  std::unique_ptr<pcre2_code, Deleter<pcre2_code_free>> code;
};

Regex::Regex(std::unique_ptr<Code> code, std::string pattern)
    : code_(std::move(code)), pattern_(std::move(pattern)) {}
Regex::~Regex() = default;
Regex::Regex(Regex&&) noexcept = default;
Regex& Regex::operator=(Regex&&) noexcept = default;

Result<Regex> Regex::make(std::string_view pattern) {
  auto translated = translate_oniguruma(pattern);
  const std::string shown(pattern.substr(0, 200));
  if (!translated.ok()) {
    return std::move(translated).error().within(fmt::format("pattern '{}'", shown));
  }
  const std::unique_ptr<pcre2_compile_context, Deleter<pcre2_compile_context_free>> context(
      pcre2_compile_context_create(nullptr));
  OLLM_CHECK(context != nullptr);
  pcre2_set_newline(context.get(), PCRE2_NEWLINE_LF);
  pcre2_set_bsr(context.get(), PCRE2_BSR_UNICODE);
  pcre2_set_parens_nest_limit(context.get(), RegexLimits::kNesting);
  int error = 0;
  PCRE2_SIZE at = 0;
  auto code = std::make_unique<Code>();
  code->code.reset(pcre2_compile(
      reinterpret_cast<PCRE2_SPTR>(translated->data()), translated->size(),
      PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NO_UTF_CHECK | PCRE2_NEVER_BACKSLASH_C,
      &error, &at, context.get()));
  if (!code->code) {
    return fail(ErrorKind::corrupt, fmt::format("pattern '{}': {}", shown, pcre2_message(error)));
  }
  // Where the machine has no just-in-time compiler, PCRE2 interprets: slower, the same matches.
  pcre2_jit_compile(code->code.get(), PCRE2_JIT_COMPLETE);
  return Regex(std::move(code), std::string(pattern));
}

Result<bool> Regex::find(std::string_view text, std::size_t from, RegexScratch& scratch,
                         TextSpan& match) const {
  RegexScratch::State& state = scratch.state();
  pcre2_set_match_limit(state.context.get(), match_limit(text.size()));
  const auto* subject = reinterpret_cast<PCRE2_SPTR>(text.data());
  int found = pcre2_match(code_->code.get(), subject, text.size(), from, PCRE2_NO_UTF_CHECK,
                          state.data.get(), state.context.get());
  if (found == PCRE2_ERROR_JIT_STACKLIMIT) {
    found = pcre2_match(code_->code.get(), subject, text.size(), from,
                        PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, state.data.get(), state.context.get());
  }
  if (found == PCRE2_ERROR_NOMATCH) return false;
  if (found < 0) {
    return fail(ErrorKind::unsupported,
                fmt::format("pattern '{}' on a text of {} bytes: {}", pattern_.substr(0, 200),
                            text.size(), pcre2_message(found)));
  }
  const PCRE2_SIZE* bounds = pcre2_get_ovector_pointer(state.data.get());
  match = {bounds[0], bounds[1]};
  return true;
}

std::size_t Regex::memory_bytes() const {
  std::size_t code_bytes = 0;
  std::size_t jit_bytes = 0;
  pcre2_pattern_info(code_->code.get(), PCRE2_INFO_SIZE, &code_bytes);
  pcre2_pattern_info(code_->code.get(), PCRE2_INFO_JITSIZE, &jit_bytes);
  return code_bytes + jit_bytes + pattern_.size();
}

}  // namespace ollm::text
