#!/bin/sh
# That every source is as clang-format 19 writes it. Usage: format.sh SOURCE_ROOT
set -eu
command -v clang-format-19 >/dev/null || {
  echo "skipped: no clang-format-19"
  exit 77
}
cd "$1"
find src tests fuzz bench examples \( -name '*.cc' -o -name '*.h' \) -print0 |
  xargs -0 clang-format-19 --dry-run --Werror
