#include "ollm/engine/row_shares.h"

#include <algorithm>

namespace ollm::engine {
namespace {

// Rows of `line` beyond those that it has, as many as fit.
std::size_t more_rows(const RowShare& line, std::size_t rows, std::size_t logit_rows) {
  const std::size_t wanted = std::min(line.pending - line.rows, rows);
  const std::size_t without_logits =
      line.first_logit > line.rows ? line.first_logit - line.rows : 0;
  return std::min(wanted, without_logits + logit_rows);
}

std::size_t logits_of(const RowShare& line, std::size_t more) {
  const std::size_t end = line.rows + more;
  return end - std::min(end, std::max(line.first_logit, line.rows));
}

}  // namespace

void share_rows(std::span<RowShare> lines, const SweepRoom& room) {
  std::size_t rows = room.rows;
  std::size_t logit_rows = room.logit_rows;
  const auto give = [&](RowShare& line, std::size_t most) {
    const std::size_t more = more_rows(line, std::min(rows, most), logit_rows);
    rows -= more;
    logit_rows -= logits_of(line, more);
    line.rows += more;
  };
  std::size_t drafting = 0;
  for (RowShare& line : lines) {
    line.rows = line.draft_rows = 0;
    give(line, 1);
    if (line.may_draft && line.pending == 1 && line.rows == 1) ++drafting;
  }
  std::size_t drafts = std::min({room.draft_rows, rows, logit_rows});
  for (RowShare& line : lines) {
    if (!line.may_draft || line.pending != 1 || line.rows != 1) continue;
    line.draft_rows = drafts / drafting--;
    drafts -= line.draft_rows;
    rows -= line.draft_rows;
    logit_rows -= line.draft_rows;
  }
  for (RowShare& line : lines) give(line, rows);
}

}  // namespace ollm::engine
