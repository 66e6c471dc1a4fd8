#include "ollm/cli/line_editor.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <histedit.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <clocale>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <cwchar>
#include <deque>
#include <filesystem>
#include <string_view>
#include <utility>
#include <vector>

#include "ollm/base/utf8.h"

namespace ollm::cli {
namespace {

constexpr int kHistoryLines = 1000;
// Terminals put these around what is pasted, once they are asked to.
constexpr std::string_view kPasteBegin = "\033[200~";
constexpr std::string_view kPasteEnd = "\033[201~";
constexpr std::string_view kAskForMarks = "\033[?2004h";
constexpr std::string_view kNoMarks = "\033[?2004l";
// In which the rest of a key's sequence comes.
constexpr int kSequenceMs = 50;
constexpr std::size_t kMostPaste = std::size_t{64} << 20;

volatile std::sig_atomic_t interrupted = 0;
void note_interrupt(int) { interrupted = 1; }

void put(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fflush(stdout);
}

// Line ends as "\n", other controls as spaces: nothing of what is pasted drives the terminal.
std::string cleaned(std::string_view pasted) {
  std::string out;
  for (std::size_t i = 0; i < pasted.size(); ++i) {
    const char c = pasted[i];
    if (c == '\r') {
      if (i + 1 < pasted.size() && pasted[i + 1] == '\n') continue;
      out.push_back('\n');
    } else if (c == '\n' || c == '\t' || static_cast<unsigned char>(c) >= ' ') {
      out.push_back(c == '\177' ? ' ' : c);
    } else {
      out.push_back(' ');
    }
  }
  return json_text(out);
}

}  // namespace

struct LineEditor::State {
  ~State() {
    if (editor != nullptr) el_end(editor);
    if (lines != nullptr) history_end(lines);
  }

  static char* show_prompt(EditLine* editor) {
    State* state = nullptr;
    el_get(editor, EL_CLIENTDATA, &state);
    return state->prompt.data();
  }
  static int next_character(EditLine* editor, wchar_t* out) {
    State* state = nullptr;
    el_get(editor, EL_CLIENTDATA, &state);
    return state->next(out);
  }

  // More of what is typed, for at most so long (-1: for ever). False at the end, where a signal
  // came between, or where nothing came.
  bool fill(int wait_ms) {
    pollfd ready{STDIN_FILENO, POLLIN, 0};
    if (::poll(&ready, 1, wait_ms) <= 0) return false;
    char piece[4096];
    const ssize_t got = ::read(STDIN_FILENO, piece, sizeof piece);
    if (got <= 0) {
      ended = got == 0 || errno != EINTR;
      return false;
    }
    typed.append(piece, static_cast<std::size_t>(got));
    return true;
  }

  // What was typed while nobody edited. A Ctrl-D among it was the end of a line of the terminal's
  // own editing, which hands it over as NUL.
  void take_typed_before() {
    const std::size_t before = typed.size();
    while (fill(0)) continue;
    std::replace(typed.begin() + static_cast<std::ptrdiff_t>(before), typed.end(), '\0', '\x04');
  }

  // Takes a paste off the front, if one is there, and puts what stands for it in its place.
  bool take_paste() {
    while (kPasteBegin.starts_with(typed) && typed.size() < kPasteBegin.size() &&
           typed.size() > 1) {
      if (!fill(kSequenceMs)) return false;
    }
    if (!typed.starts_with(kPasteBegin)) return false;
    std::size_t end = typed.find(kPasteEnd);
    while (end == std::string::npos && typed.size() < kMostPaste) {
      if (!fill(-1)) return false;
      end = typed.find(kPasteEnd);
    }
    const std::string whole = typed;
    const std::string pasted =
        cleaned(std::string_view(whole).substr(kPasteBegin.size(), end - kPasteBegin.size()));
    typed = end == std::string::npos ? "" : whole.substr(end + kPasteEnd.size());
    const auto ends = std::count(pasted.begin(), pasted.end(), '\n');
    if (ends == 0) {
      typed = pasted + typed;
      std::replace(typed.begin(), typed.begin() + static_cast<std::ptrdiff_t>(pasted.size()), '\t',
                   ' ');
      return true;
    }
    pastes.push_back(pasted);
    typed = fmt::format("[paste {}: {} lines]", pastes.size(), ends + 1) + typed;
    return true;
  }

  // One character for the editor; -1 at the end of input, and where Ctrl-C was pressed.
  int next(wchar_t* out) {
    for (;;) {
      if (interrupted != 0) return -1;
      if (typed.empty()) {
        if (!fill(-1)) {
          if (ended || interrupted != 0) return -1;
          continue;
        }
      }
      if (typed.front() == '\033') {
        if (typed.size() == 1) fill(kSequenceMs);
        if (take_paste()) continue;
      }
      break;
    }
    Utf8Scan scan = scan_utf8(typed);
    while (scan.start == Utf8Start::cut && fill(kSequenceMs)) scan = scan_utf8(typed);
    std::mbstate_t state{};
    const std::size_t length = std::max<std::size_t>(scan.length, 1);
    if (scan.start != Utf8Start::whole ||
        std::mbrtowc(out, typed.data(), length, &state) > length) {
      *out = L'?';
    }
    typed.erase(0, length);
    return 1;
  }

  std::string expanded(std::string text) const {
    for (std::size_t i = 0; i < pastes.size(); ++i) {
      const auto ends = std::count(pastes[i].begin(), pastes[i].end(), '\n');
      const std::string mark = fmt::format("[paste {}: {} lines]", i + 1, ends + 1);
      for (std::size_t at = text.find(mark); at != std::string::npos;
           at = text.find(mark, at + pastes[i].size()))
        text.replace(at, mark.size(), pastes[i]);
    }
    return text;
  }

  std::string prompt;
  std::string typed;  // and not yet with the editor
  bool ended = false;
  std::vector<std::string> pastes;  // of this run
  std::string last;                 // line, with the marks of its pastes
  std::string history_file;
  EditLine* editor = nullptr;
  History* lines = nullptr;
};

LineEditor::LineEditor(std::unique_ptr<State> state) : state_(std::move(state)) {}
LineEditor::LineEditor(LineEditor&&) noexcept = default;
LineEditor& LineEditor::operator=(LineEditor&&) noexcept = default;
LineEditor::~LineEditor() = default;

Result<LineEditor> LineEditor::open(std::string prompt) {
  // libedit thinks in the characters of the locale; ours are those of UTF-8 in any case.
  const char* locale = std::setlocale(LC_CTYPE, "");
  if (locale == nullptr || MB_CUR_MAX < 4) std::setlocale(LC_CTYPE, "C.UTF-8");
  auto state = std::make_unique<State>();
  state->prompt = std::move(prompt);
  state->editor = el_init("ollm", stdin, stdout, stderr);
  state->lines = history_init();
  if (state->editor == nullptr || state->lines == nullptr)
    return fail(ErrorKind::io, "the terminal could not be set up for typing");
  EditLine* editor = state->editor;
  HistEvent event{};
  history(state->lines, &event, H_SETSIZE, kHistoryLines);
  history(state->lines, &event, H_SETUNIQUE, 1);
  el_set(editor, EL_CLIENTDATA, state.get());
  el_set(editor, EL_PROMPT, State::show_prompt);
  el_set(editor, EL_EDITOR, "emacs");
  el_set(editor, EL_HIST, history, state->lines);
  el_set(editor, EL_GETCFN, State::next_character);
  el_set(editor, EL_SIGNAL, 0);
  return LineEditor(std::move(state));
}

Result<void> LineEditor::use_history_file(const std::string& path) {
  const auto problem = [&] {
    return fail(ErrorKind::io, fmt::format("--history-file {}: {}", path, std::strerror(errno)));
  };
  const std::filesystem::path folder = std::filesystem::path(path).parent_path();
  if (!folder.empty() && !std::filesystem::exists(folder)) {
    std::error_code error;
    std::filesystem::create_directories(folder, error);
    if (::chmod(folder.c_str(), 0700) != 0) return problem();
  }
  constexpr mode_t kOwner = 0600;
  const int descriptor = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, kOwner);
  if (descriptor < 0) return problem();
  const bool owned = ::fchmod(descriptor, kOwner) == 0;
  ::close(descriptor);
  if (!owned) return problem();
  state_->history_file = path;
  HistEvent event{};
  history(state_->lines, &event, H_LOAD, path.c_str());  // an empty file is no history yet
  return {};
}

LineEditor::Read LineEditor::read() {
  struct sigaction before{}, during{};
  during.sa_handler = note_interrupt;  // without SA_RESTART: waiting ends
  interrupted = 0;
  ::sigaction(SIGINT, &during, &before);
  // Before the prompt is there: who sees it may type, and each key is the editor's from then on.
  el_set(state_->editor, EL_PREP_TERM, 1);
  state_->take_typed_before();
  put(kAskForMarks);
  el_resize(state_->editor);
  int count = 0;
  const char* line = el_gets(state_->editor, &count);
  const LineInfo* info = el_line(state_->editor);
  const bool had_text = info != nullptr && info->lastchar != info->buffer;
  put(kNoMarks);
  ::sigaction(SIGINT, &before, nullptr);
  if (interrupted != 0 || line == nullptr || count <= 0) {
    const bool stopped = interrupted != 0;
    put("\n");
    el_reset(state_->editor);
    return {.event = stopped && had_text ? Event::interrupted : Event::left};
  }
  std::string text(line, static_cast<std::size_t>(count));
  while (text.ends_with('\n') || text.ends_with('\r')) text.pop_back();
  state_->last = text;
  return {.event = Event::line, .text = state_->expanded(std::move(text))};
}

void LineEditor::remember() {
  HistEvent event{};
  history(state_->lines, &event, H_ENTER, state_->last.c_str());
  if (!state_->history_file.empty())
    history(state_->lines, &event, H_SAVE, state_->history_file.c_str());
}

}  // namespace ollm::cli
