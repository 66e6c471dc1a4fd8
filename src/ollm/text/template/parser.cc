#include "ollm/text/template/parser.h"

#include <fmt/format.h>

#include <algorithm>

#include "ollm/text/template/python_format.h"

namespace ollm::text::jinja {

Parser::Parser(std::string_view source, const CompileLimits& limits)
    : lexer_(source), limits_(limits) {}

Result<TemplateTree> Parser::parse() {
  OLLM_TRY_VOID(advance());
  OLLM_TRY(tree_.body, parse_pieces({}));
  if (!unknown_names_.empty()) {
    return error_at(unknown_names_.front().at, std::move(unknown_names_.front().message));
  }
  return std::move(tree_);
}

Error Parser::error_at(Position at, std::string message, ErrorKind kind) {
  if (!has_error_) error_position_ = at;
  has_error_ = true;
  return fail(kind, std::move(message));
}

Error Parser::too_deep() {
  return error_at(current_.at, fmt::format("nested more than {} deep", limits_.nesting),
                  ErrorKind::out_of_budget);
}

Error Parser::unexpected(std::string_view expected) {
  return error_at(current_.at, fmt::format("expected {}, got '{}'", expected, current_.describe()));
}

Symbol Parser::symbol_of(const std::string& name) {
  const auto [entry, added] = symbols_.try_emplace(name, static_cast<Symbol>(tree_.symbols.size()));
  if (added) tree_.symbols.push_back(name);
  return entry->second;
}

Result<void> Parser::advance() {
  if (has_ahead_) {
    current_ = std::move(ahead_);
    has_ahead_ = false;
    return {};
  }
  auto token = lexer_.next();
  if (!token.ok()) return error_at(lexer_.error_position(), std::move(token).error().message);
  current_ = std::move(token).value();
  return {};
}

Result<void> Parser::look_ahead() {
  if (has_ahead_) return {};
  auto token = lexer_.next();
  if (!token.ok()) return error_at(lexer_.error_position(), std::move(token).error().message);
  ahead_ = std::move(token).value();
  has_ahead_ = true;
  return {};
}

Result<void> Parser::expect_op(std::string_view op) {
  if (!current_.is_op(op)) return unexpected(fmt::format("'{}'", op));
  return advance();
}

Result<void> Parser::expect(TokenType type, std::string_view what) {
  if (current_.type != type) return unexpected(what);
  return advance();
}

Result<std::string> Parser::expect_name() {
  if (current_.type != TokenType::name) return unexpected("a name");
  std::string name = current_.text;
  OLLM_TRY_VOID(advance());
  return name;
}

Result<bool> Parser::skip_op(std::string_view op) {
  if (!current_.is_op(op)) return false;
  OLLM_TRY_VOID(advance());
  return true;
}

Result<bool> Parser::skip_name(std::string_view name) {
  if (!current_.is_name(name)) return false;
  OLLM_TRY_VOID(advance());
  return true;
}

// Pieces up to one of the end tags, which is then the current token, or to the template's end.
Result<Body> Parser::parse_pieces(EndTags end_tags) {
  Body body;
  Output* output = nullptr;
  const auto open_output = [&]() -> Output& {
    if (output == nullptr) {
      auto made = std::make_unique<Output>(current_.at);
      output = made.get();
      body.push_back(std::move(made));
    }
    return *output;
  };
  for (;;) {
    switch (current_.type) {
      case TokenType::end_of_template:
        if (end_tags.size() > 0) return unknown_tag(end_tags);
        return body;
      case TokenType::data: {
        open_output().pieces.emplace_back(std::move(current_.text));
        OLLM_TRY_VOID(advance());
        break;
      }
      case TokenType::variable_begin: {
        Output& printed = open_output();
        OLLM_TRY_VOID(advance());
        OLLM_TRY(ExpressionPtr expression, parse_tuple(true, false));
        printed.pieces.emplace_back(std::move(expression));
        OLLM_TRY_VOID(expect(TokenType::variable_end, "'end of print statement'"));
        break;
      }
      case TokenType::block_begin: {
        output = nullptr;
        OLLM_TRY_VOID(advance());
        if (current_.type == TokenType::name &&
            std::find(end_tags.begin(), end_tags.end(), current_.text) != end_tags.end()) {
          return body;
        }
        if (current_.type != TokenType::name) return unexpected("the name of a tag");
        const std::string tag = current_.text;
        auto statement = parse_statement();
        if (!statement.ok()) return std::move(statement).error();
        if (*statement == nullptr) return unknown_tag(end_tags);
        body.push_back(std::move(statement).value());
        OLLM_TRY_VOID(expect(TokenType::block_end, "'end of statement block'"));
        break;
      }
      default:
        return unexpected("text or a tag");
    }
  }
}

Error Parser::unknown_tag(EndTags end_tags) {
  std::string message = current_.type == TokenType::end_of_template
                            ? "the template ends too early"
                            : fmt::format("unknown tag '{}'", current_.text);
  if (end_tags.size() > 0) {
    message += "; expected '";
    for (const std::string_view& tag : end_tags) {
      if (&tag != end_tags.begin()) message += "' or '";
      message += tag;
    }
    message += fmt::format("' to go on with '{}'", open_tags_.back());
  }
  return error_at(current_.at, std::move(message));
}

Result<Body> Parser::parse_body(EndTags end_tags, Surroundings surroundings, bool drop_end_tag) {
  OLLM_TRY(const bool colon, skip_op(":"));  // allowed for people who come from Python
  static_cast<void>(colon);
  OLLM_TRY_VOID(expect(TokenType::block_end, "'end of statement block'"));
  const Surroundings outside = std::exchange(surroundings_, surroundings);
  auto body = parse_pieces(end_tags);
  surroundings_ = outside;
  if (body.ok() && drop_end_tag) OLLM_TRY_VOID(advance());
  return body;
}

// A statement after its tag's opening; none for a tag that does not exist.
Result<Parser::StatementPtr> Parser::parse_statement() {
  const Nesting nesting(*this);
  if (nesting.too_deep()) return too_deep();
  using Parse = Result<StatementPtr> (Parser::*)(Position);
  static const std::unordered_map<std::string_view, Parse> kTags = {
      {"if", &Parser::parse_if},
      {"for", &Parser::parse_for},
      {"set", &Parser::parse_set},
      {"macro", &Parser::parse_macro},
      {"call", &Parser::parse_call_block},
      {"filter", &Parser::parse_filter_block},
      {"with", &Parser::parse_with},
      {"block", &Parser::parse_block},
      {"generation", &Parser::parse_generation},
      {"print", &Parser::parse_print},
      {"include", &Parser::parse_needs_loader},
      {"import", &Parser::parse_needs_loader},
      {"from", &Parser::parse_needs_loader},
      {"extends", &Parser::parse_needs_loader},
  };
  const Position at = current_.at;
  const std::string tag = current_.text;
  if (tag == "autoescape") {
    return error_at(at, "the tag 'autoescape' is not built", ErrorKind::unsupported);
  }
  open_tags_.push_back(tag);
  Result<StatementPtr> statement = StatementPtr();
  if (tag == "break" || tag == "continue") {
    statement = parse_loop_control(
        at, tag == "break" ? StatementKind::break_loop : StatementKind::continue_loop);
  } else if (const auto found = kTags.find(tag); found != kTags.end()) {
    OLLM_TRY_VOID(advance());
    statement = (this->*found->second)(at);
  }
  open_tags_.pop_back();
  return statement;
}

Result<Parser::StatementPtr> Parser::parse_if(Position at) {
  auto node = std::make_unique<If>(at);
  const Surroundings inside{surroundings_.in_loop, true};
  for (;;) {
    const Surroundings outside = std::exchange(surroundings_, inside);
    auto test = parse_tuple(false, false);
    surroundings_ = outside;
    if (!test.ok()) return std::move(test).error();
    OLLM_TRY(Body body, parse_body({"elif", "else", "endif"}, inside, false));
    node->branches.emplace_back(std::move(test).value(), std::move(body));
    const std::string tag = current_.text;
    OLLM_TRY_VOID(advance());
    if (tag == "elif") continue;
    if (tag == "else") {
      OLLM_TRY(node->otherwise, parse_body({"endif"}, inside, true));
    }
    return StatementPtr(std::move(node));
  }
}

Result<Parser::StatementPtr> Parser::parse_for(Position at) {
  auto node = std::make_unique<For>(at);
  OLLM_TRY(node->target, parse_target(false, "in"));
  OLLM_TRY(const bool in, skip_name("in"));
  if (!in) return unexpected("'in'");
  OLLM_TRY(node->iterable, parse_tuple(false, false, "recursive"));
  OLLM_TRY(const bool filtered, skip_name("if"));
  if (filtered) {
    OLLM_TRY(node->condition, parse_expression());
  }
  OLLM_TRY(node->recursive, skip_name("recursive"));
  OLLM_TRY(node->body, parse_body({"endfor", "else"}, {true, false}, false));
  const bool has_else = current_.text == "else";
  OLLM_TRY_VOID(advance());
  if (has_else) {
    OLLM_TRY(node->otherwise, parse_body({"endfor"}, {surroundings_.in_loop, false}, true));
  }
  return StatementPtr(std::move(node));
}

Result<Parser::StatementPtr> Parser::parse_set(Position at) {
  OLLM_TRY(Target target, parse_target(true));
  OLLM_TRY(const bool direct, skip_op("="));
  if (direct) {
    auto node = std::make_unique<Assignment>(at);
    node->target = std::move(target);
    OLLM_TRY(node->value, parse_tuple(true, false));
    return StatementPtr(std::move(node));
  }
  auto node = std::make_unique<BlockAssignment>(at);
  node->target = std::move(target);
  OLLM_TRY(node->filter, parse_filter(nullptr));
  OLLM_TRY(node->body, parse_body({"endset"}, {surroundings_.in_loop, false}, true));
  return StatementPtr(std::move(node));
}

Result<void> Parser::parse_signature(Callable& callable) {
  OLLM_TRY_VOID(expect_op("("));
  while (!current_.is_op(")")) {
    if (!callable.parameters.empty()) OLLM_TRY_VOID(expect_op(","));
    const Position at = current_.at;
    OLLM_TRY(std::string name, expect_name());
    OLLM_TRY(const bool has_default, skip_op("="));
    if (has_default) {
      OLLM_TRY(ExpressionPtr value, parse_expression());
      callable.defaults.push_back(std::move(value));
    } else if (!callable.defaults.empty()) {
      return error_at(at, "non-default argument follows default argument");
    }
    const Symbol symbol = symbol_of(name);
    callable.parameters.emplace_back(symbol, std::move(name));
  }
  return expect_op(")");
}

Result<void> Parser::parse_callable_body(Callable& callable, std::string_view end_tag) {
  callables_.push_back(&callable);
  auto body = parse_body({end_tag}, {false, false}, true);
  callables_.pop_back();
  if (!body.ok()) return std::move(body).error();
  callable.body = std::move(body).value();
  return {};
}

Result<Parser::StatementPtr> Parser::parse_macro(Position at) {
  auto node = std::make_unique<MacroDefinition>(at);
  OLLM_TRY(node->callable.name, expect_name());
  node->symbol = symbol_of(node->callable.name);
  OLLM_TRY_VOID(parse_signature(node->callable));
  OLLM_TRY_VOID(parse_callable_body(node->callable, "endmacro"));
  return StatementPtr(std::move(node));
}

Result<Parser::StatementPtr> Parser::parse_call_block(Position at) {
  auto node = std::make_unique<CallBlock>(at);
  node->caller.name = "caller";
  if (current_.is_op("(")) OLLM_TRY_VOID(parse_signature(node->caller));
  OLLM_TRY(node->call, parse_expression());
  if (node->call->kind != ExpressionKind::call) return error_at(at, "expected a call");
  OLLM_TRY_VOID(parse_callable_body(node->caller, "endcall"));
  return StatementPtr(std::move(node));
}

Result<Parser::StatementPtr> Parser::parse_filter_block(Position at) {
  auto node = std::make_unique<FilterBlock>(at);
  OLLM_TRY(node->filter, parse_filter_name(nullptr));
  OLLM_TRY(node->filter, parse_filter(std::move(node->filter)));
  OLLM_TRY(node->body, parse_body({"endfilter"}, {surroundings_.in_loop, false}, true));
  return StatementPtr(std::move(node));
}

Result<Parser::StatementPtr> Parser::parse_with(Position at) {
  auto node = std::make_unique<With>(at);
  while (current_.type != TokenType::block_end) {
    if (!node->variables.empty()) OLLM_TRY_VOID(expect_op(","));
    // One name each: a comma here begins the next variable.
    OLLM_TRY(Target target, parse_single_target(false));
    OLLM_TRY_VOID(expect_op("="));
    OLLM_TRY(ExpressionPtr value, parse_expression());
    node->variables.emplace_back(std::move(target), std::move(value));
  }
  OLLM_TRY(node->body, parse_body({"endwith"}, {surroundings_.in_loop, false}, true));
  return StatementPtr(std::move(node));
}

Result<Parser::StatementPtr> Parser::parse_block(Position at) {
  auto node = std::make_unique<Block>(at);
  OLLM_TRY(node->name, expect_name());
  OLLM_TRY(node->scoped, skip_name("scoped"));
  OLLM_TRY(const bool required, skip_name("required"));
  if (required) {
    return error_at(at, "required blocks need a template that extends this one, which is not built",
                    ErrorKind::unsupported);
  }
  for (const auto& [name, block] : tree_.blocks) {
    if (name == node->name) return error_at(at, fmt::format("block '{}' defined twice", name));
  }
  tree_.blocks.emplace_back(node->name, node.get());
  OLLM_TRY(node->body, parse_body({"endblock"}, {false, false}, true));
  OLLM_TRY(const bool named, skip_name(node->name));
  static_cast<void>(named);
  return StatementPtr(std::move(node));
}

Result<Parser::StatementPtr> Parser::parse_generation(Position at) {
  auto node = std::make_unique<Generation>(at);
  OLLM_TRY(node->body, parse_body({"endgeneration"}, {false, false}, true));
  return StatementPtr(std::move(node));
}

Result<Parser::StatementPtr> Parser::parse_print(Position at) {
  auto node = std::make_unique<Output>(at);
  while (current_.type != TokenType::block_end) {
    if (!node->pieces.empty()) OLLM_TRY_VOID(expect_op(","));
    OLLM_TRY(ExpressionPtr expression, parse_expression());
    node->pieces.emplace_back(std::move(expression));
  }
  return StatementPtr(std::move(node));
}

Result<Parser::StatementPtr> Parser::parse_loop_control(Position at, StatementKind kind) {
  if (!surroundings_.in_loop) {
    return error_at(at, fmt::format("'{}' outside of a loop", current_.text));
  }
  OLLM_TRY_VOID(advance());
  return StatementPtr(std::make_unique<PlainStatement>(kind, at));
}

// Other templates cannot be had here; as in Jinja, that is said once the statement is reached.
Result<Parser::StatementPtr> Parser::parse_needs_loader(Position at) {
  while (current_.type != TokenType::block_end) {
    if (current_.type == TokenType::end_of_template) {
      return unexpected("'end of statement block'");
    }
    OLLM_TRY_VOID(advance());
  }
  return StatementPtr(std::make_unique<PlainStatement>(StatementKind::needs_loader, at));
}

}  // namespace ollm::text::jinja
