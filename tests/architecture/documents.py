#!/usr/bin/env python3
"""That every document which a source, a script or a page names is in the repository.

Usage: documents.py SOURCE_ROOT
"""

import pathlib
import re
import sys

FOLDERS = ("src", "tests", "scripts", "fuzz", "bench", "cmake", "tools", "examples", "docs")
SUFFIXES = {"", ".cc", ".h", ".inc", ".py", ".sh", ".cmake", ".txt", ".md", ".in", ".map"}
# Inputs of tests, and what a model's own folder brings.
NOT_OURS = re.compile(r"/(corpus|templates|sentencepiece)/")
NAME = re.compile(r"(?<![\w/.<-])([\w-]+/)*[\w-]+\.md\b|(?<![\w/.-])spec/[\w-]+|\bspec §")


def named_documents(text):
    for number, line in enumerate(text.splitlines(), start=1):
        for match in NAME.finditer(line):
            yield number, match.group(0)


def main():
    root = pathlib.Path(sys.argv[1])
    documents = {"/" + str(path.relative_to(root)) for path in root.glob("*.md")}
    documents |= {"/" + str(path.relative_to(root)) for folder in FOLDERS for path in (root / folder).rglob("*.md")}
    files = [path for path in root.iterdir() if path.is_file()]
    files += [path for folder in FOLDERS for path in sorted((root / folder).rglob("*")) if path.is_file()]
    missing = 0
    for path in files:
        place = path.relative_to(root)
        if path.suffix not in SUFFIXES or NOT_OURS.search(f"/{place}") or place.name == "documents.py":
            continue
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        for line, name in named_documents(text):
            if not any(document.endswith("/" + name) for document in documents):
                missing += 1
                print(f"{place}:{line}: names {name}, which is not in the repository")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
