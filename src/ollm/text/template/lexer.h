// Template source cut into tokens, with Jinja's rules of white space around tags.
// Leaves to others: what the tokens mean together (parser.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "ollm/base/result.h"
#include "ollm/text/template/nodes.h"

namespace ollm::text::jinja {

enum class TokenType : std::uint8_t {
  end_of_template,
  data,            // text between tags, `text` holds it with white space already cut
  variable_begin,  // {{
  variable_end,
  block_begin,  // {%
  block_end,
  name,
  string,  // `text` holds the value, escapes resolved
  integer,
  real,
  op,  // `text` holds the operator
};

struct Token {
  TokenType type = TokenType::end_of_template;
  std::string text;
  std::int64_t integer = 0;
  double real = 0;
  Position at;

  bool is_op(std::string_view op) const { return type == TokenType::op && text == op; }
  bool is_name(std::string_view name) const { return type == TokenType::name && text == name; }
  /// As Jinja's messages call it: 'end of print statement', or the text itself.
  std::string describe() const;
};

/// Cuts tokens one by one, as `trim_blocks` and `lstrip_blocks` of Transformers demand: the first
/// newline after a block goes, and white space between a line's beginning and a block or comment.
class Lexer {
 public:
  /// Newlines become \n, and one at the end of the source is dropped.
  explicit Lexer(std::string_view source);

  /// Errors: corrupt; `error_position` then tells where.
  Result<Token> next();
  Position error_position() const { return error_position_; }

 private:
  enum class State { data, variable, block, end };

  Result<Token> next_data();
  Result<Token> next_in_tag();
  Result<Token> lex_raw(std::size_t begin, std::string_view data);
  Result<void> skip_comment(std::size_t tag);
  Result<Token> lex_string();
  Result<Token> lex_number();
  Result<Token> lex_operator();
  Result<Token> lex_integer(std::size_t size, int base, std::size_t prefix);
  Error syntax_error(std::size_t offset, std::string message);

  Token token(TokenType type, std::size_t offset, std::string text = {});
  Position position_of(std::size_t offset);
  bool starts_with(std::size_t offset, std::string_view text) const;
  std::size_t skip_space(std::size_t offset) const;
  std::size_t end_of_tag(std::size_t offset, std::string_view close) const;
  std::string_view cut_before_tag(std::string_view data, char sign, bool strip_line) const;

  std::string source_;
  std::size_t at_ = 0;
  State state_ = State::data;
  bool line_starting_ = true;
  std::size_t tag_offset_ = 0;  // where the tag begins whose data was given out before it
  bool tag_pending_ = false;
  std::vector<char> brackets_;  // those still open in the tag
  // The position of an offset is found by going on from the last one that was asked for.
  std::size_t seen_offset_ = 0;
  Position seen_{1, 1};
  Position error_position_{1, 1};
};

}  // namespace ollm::text::jinja
