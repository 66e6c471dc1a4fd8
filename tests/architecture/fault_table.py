#!/usr/bin/env python3
"""Holds docs/faults.md to the sources: every test that it names is there.
Usage: fault_table.py SOURCE_ROOT"""
import pathlib
import re
import sys

TEST = re.compile(r"^TEST(?:_[FP])?\((\w+), (\w+)\)", re.M)


def main():
    root = pathlib.Path(sys.argv[1])
    there = set()
    for folder in ("src", "tests"):
        for path in (root / folder).rglob("*_test.cc"):
            there.update(".".join(found) for found in TEST.findall(path.read_text(encoding="utf-8")))
    rows = re.findall(r"^\| [A-Z]\d+ \|.*$", (root / "docs/faults.md").read_text(encoding="utf-8"),
                      re.M)
    wrong = []
    for row in rows:
        named = re.findall(r"`(\w+\.\w+)`", row)
        wrong += [f"{row[:6]}: no test {name}" for name in named if name not in there]
        if not named:
            wrong.append(f"{row[:6]}: names no test")
    print("\n".join(wrong) or f"{len(rows)} faults have their tests")
    return 1 if wrong or not rows else 0


if __name__ == "__main__":
    sys.exit(main())
