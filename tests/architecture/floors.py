#!/usr/bin/env python3
"""Holds every #include of src/ollm to the floors of docs/architecture.md: a folder includes itself
and lower floors, never its own floor, never above; counts what ollm.h brings, and the lines of files.
Usage: floors.py SOURCE_ROOT"""
import pathlib
import re
import sys

# Folders that are not there yet have their floor already.
FLOORS = [
    ["base"],
    ["tensor", "io", "memory", "text", "media"],
    ["backend", "checkpoint"],
    ["weights", "kv", "hub", "machine"],
    ["models", "sampling"],
    ["engine", "settings"],
    ["plan"],
    ["runtime"],
    ["openai"],
    ["server", "python"],
    ["cli"],  # ollm serve is one of its commands
]
FLOOR_OF = {folder: floor for floor, folders in enumerate(FLOORS) for folder in folders}
OUTSIDE = FLOOR_OF["openai"]  # from here on the library is what ollm.h gives away
BROUGHT_MAX = 8  # headers of ours that a program gets with ollm.h: what it compiles, and has to read
LINES_MAX = 800  # of a file: what is longer says two things
SOURCES = ("src", "tests", "fuzz", "bench", "examples")
SUFFIXES = {".cc", ".h", ".inc", ".cu", ".py"}
INCLUDE = re.compile(r'^\s*#\s*include\s*"([^"]+)"')


def problem(path, folder, included):
    """What is wrong with this include, or None."""
    if not included.startswith("ollm/"):
        # ISA files take their bodies from beside them; nothing else is included by a short name.
        return None if included.endswith((".inc", "kernels.h")) or included.startswith("tests/") \
            else "not from ollm/"
    parts = included.split("/")
    if len(parts) == 2:  # ollm.h and what stands beside it
        return None if FLOOR_OF[folder] >= FLOOR_OF["runtime"] else "the front door is above"
    target = parts[1]
    if target not in FLOOR_OF:
        return "unknown folder"
    if target == folder:
        return None
    allowed = {"base"} if FLOOR_OF[folder] == OUTSIDE else {"base", "openai"}
    if folder == "cli":
        allowed.add("server")
    if FLOOR_OF[folder] >= OUTSIDE and target not in allowed:
        return f"floor {FLOOR_OF[folder]} includes only ollm.h, {', '.join(sorted(allowed))}"
    if FLOOR_OF[target] >= FLOOR_OF[folder]:
        return f"floor {FLOOR_OF[target]} from floor {FLOOR_OF[folder]}"
    return None


def brought(root, header):
    """The headers of ours that one brings, to the last."""
    found, queue = set(), [header]
    while queue:
        for line in (root.parent / queue.pop()).read_text(encoding="utf-8").splitlines():
            match = INCLUDE.match(line)
            if match and match.group(1) not in found:
                found.add(match.group(1))
                queue.append(match.group(1))
    return found


def too_long(checkout):
    """Sources above LINES_MAX."""
    for folder in SOURCES:
        for path in sorted((checkout / folder).rglob("*")):
            if path.suffix in SUFFIXES and path.is_file():
                lines = len(path.read_text(encoding="utf-8").splitlines())
                if lines > LINES_MAX:
                    yield f"{path.relative_to(checkout)}: {lines} lines, at most {LINES_MAX}"


def main():
    root = pathlib.Path(sys.argv[1]) / "src" / "ollm"
    wrong, seen = [], 0
    behind_door = brought(root, "ollm/ollm.h")
    if len(behind_door) > BROUGHT_MAX:
        wrong.append(f"ollm.h brings {len(behind_door)} headers, at most {BROUGHT_MAX}: "
                     + ", ".join(sorted(behind_door)))
    wrong.extend(too_long(pathlib.Path(sys.argv[1])))
    for path in sorted(root.rglob("*")):
        if path.suffix not in {".cc", ".h", ".inc", ".cu"}:
            continue
        parts = path.relative_to(root).parts
        if len(parts) == 1:
            continue  # ollm.h and what stands beside it
        folder = parts[0]
        if folder not in FLOOR_OF:
            wrong.append(f"{path.relative_to(root)}: folder without a floor")
            continue
        is_test = path.name.endswith("_test.cc")
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            match = INCLUDE.match(line)
            if not match:
                continue
            seen += 1
            included = match.group(1)
            if included.startswith("tests/") and is_test:
                continue
            reason = problem(path, folder, included)
            if included.startswith("tests/") and not is_test:
                reason = "tests/ from a source that is no test"
            if reason:
                wrong.append(f"{path.relative_to(root)}:{number}: {included}: {reason}")
    print("\n".join(wrong) or f"{seen} includes keep the floors")
    return 1 if wrong or seen == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
