// Where text leaves the process: what comes from files, models and requests cannot drive the
// terminal that shows it. Leaves to others: what is said (each command).
#pragma once

#include <cstdio>
#include <string>
#include <string_view>

namespace ollm::cli {

/// A text as people may see it: control characters but for line ends and tabs (C0, DEL and C1), and
/// bytes that are no UTF-8, stand as "\x1b". A carriage return before a line end goes.
std::string printable(std::string_view text);

/// Words for people, on any stream: always printable, as what is piped may be shown later.
void print_words(std::FILE* stream, std::string_view text);

/// Data on any stream - a model's text, a path: as it is, and printable on a terminal.
void print_data(std::FILE* stream, std::string_view text);

/// One JSON text and a line end on standard output: as it is; on a terminal its controls are
/// written as JSON's own escapes, which mean the same.
void print_json(std::string_view json);

}  // namespace ollm::cli
