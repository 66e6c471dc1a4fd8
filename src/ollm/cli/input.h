// What commands read from outside: standard input, files, lists of token ids.
#pragma once

#include <cstddef>
#include <cstdio>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "ollm/ollm.h"

namespace ollm::cli {

/// Of standard input and of one text file.
inline constexpr std::size_t kMaxInputBytes = std::size_t{1} << 30;

/// A text that came from outside, without the mark (BOM) in front. `name` is where it came from.
/// Errors: invalid_argument for what is UTF-16, or no UTF-8, by its first byte that is not.
Result<std::string> as_utf8(std::string text, const std::string& name);

/// What a run of these settings may read at once: a third of --memory, as a text grows by copies,
/// else kMaxInputBytes.
std::size_t input_limit(const Settings& settings);

/// All of standard input, as_utf8.
/// Errors: io; unsupported above kMaxInputBytes, out_of_budget above a lower `limit_bytes`.
Result<std::string> read_stdin(std::size_t limit_bytes = kMaxInputBytes);

/// A text file, whole, as_utf8. Errors: not_found, and as above; nothing is read of a file that
/// says that it is larger.
Result<std::string> read_text_file(const std::filesystem::path& path,
                                   std::size_t limit_bytes = kMaxInputBytes);

/// The size of a regular file, else 0: what can be known of an input before it is read.
std::size_t known_bytes(const std::filesystem::path& path);

/// That a text of this size can be rendered and encoded within the budget: asked before, as a run
/// is planned with its tokens, and of a file that tells its size even before it is read.
/// Errors: out_of_budget, that of the plan.
Result<void> check_text_fits(const Settings& settings, const Allowances& allowances,
                             std::size_t text_bytes);

/// Text::open for a command that goes on to run the model: where the tokenizer cannot be had and
/// the model cannot run either, the error is the plan's, which tells more.
/// Errors: those of Text::open and Plan::check.
Result<Text> open_text_to_run(const Settings& settings, const Allowances& allowances);

/// "1,2,3" as ids; spaces around commas are fine.
/// Errors: invalid_argument for what is no number, an empty list, or above 2^31.
Result<std::vector<TokenId>> parse_ids(std::string_view text);

/// Rows `{"id": ..., "ids": [...]}`, one a line; blank lines are passed over. An id may be a text
/// or a whole number. They are read line by line, so that rows are held and not their text: of
/// each, `row_bytes` and its ids. Errors: invalid_argument, naming the line; io; where more than
/// `limit_bytes` would be held, as read_stdin.
Result<std::vector<ScoreRow>> read_id_rows(std::FILE* stream, std::size_t limit_bytes,
                                           std::size_t row_bytes);

/// The same of a file, named in front of the line. Errors: also not_found.
Result<std::vector<ScoreRow>> read_id_rows(const std::filesystem::path& path,
                                           std::size_t limit_bytes, std::size_t row_bytes);

/// Puts a value of --chat-template into `options`: a file with a template, or the name of one in
/// the model's folder; empty changes nothing. Errors: as read_text_file.
Result<void> choose_template(const std::string& name_or_path, TemplateOptions& options);

}  // namespace ollm::cli
