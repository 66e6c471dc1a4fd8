// Text for the web, which the filters striptags and urlencode make.
// Leaves to others: escaping of & < > (python_format.h).
#pragma once

#include "ollm/text/template/interpreter.h"
#include "ollm/text/template/value.h"

namespace ollm::text::jinja {

/// `text` without comments and tags, white space runs made one space, entities resolved (numbers,
/// and lt gt amp quot apos nbsp; others stay). All of a user's where any of `text` is: bytes move
/// too freely here to follow them.
Value without_tags(Interpreter& in, const MarkedText& text);

/// Bytes other than letters, digits and `_.-~/` as %XX; for a query a space is + and / is %2F.
void append_url_quoted(Interpreter& in, TextBuilder& out, const MarkedText& text, bool for_query);

}  // namespace ollm::text::jinja
