#!/usr/bin/env python3
"""Holds the object files of kernel tables to two rules. Reads what the compiler wrote, by nm and objdump.

isa_symbols       no weak symbol: an inline function compiled with AVX-512 could be the copy that the
                  linker keeps for the whole program, and then crash a machine that lacks it
isa_instructions  only the instructions that the table's name allows

Usage: isa_objects.py symbols|instructions OBJECT...
"""

import re
import subprocess
import sys

# What must not appear: a register or an instruction, by table.
ZMM = re.compile(r"%zmm|%[xy]mm(1[6-9]|2\d|3[01])\b")  # the upper sixteen exist in EVEX only
YMM = re.compile(r"%ymm")
VEX = re.compile(r"^v[a-z0-9]+$")  # AVX and later begin with v; so do a few old ones, below
OLD_V = {"verr", "verw", "vmcall", "vmfunc"}
MASK = re.compile(r"%k[0-7]|\{%k|\{z\}|\{1to\d+\}")
DOT = re.compile(r"^vdpbf16ps$|^vcvtne2?ps2?bf16$|^vcvtneps2bf16[xy]?$|^vcvtne2ps2bf16$")
EVEX = 0x62  # in 64-bit code the first byte of an EVEX instruction, and of nothing else


def table_of(path):
    found = re.search(r"isa_(scalar|avx2|avx512_bf16|avx512)\.", path)
    if not found:
        sys.exit(f"{path}: not the object of a table")
    return found.group(1)


def weak_symbols(path):
    out = subprocess.run(["nm", path], check=True, capture_output=True, text=True).stdout
    for line in out.splitlines():
        kind, name = line.split()[-2:]
        if kind in "WwVvu":
            yield f"{kind} {name}"


def prefixes_skipped(code):
    """The bytes of an instruction after its legacy prefixes."""
    legacy = {0x66, 0x67, 0xF2, 0xF3, 0x2E, 0x36, 0x3E, 0x26, 0x64, 0x65}
    while code and code[0] in legacy:
        code = code[1:]
    return code


def wrong(table, code, mnemonic, operands):
    if table == "scalar":
        if YMM.search(operands) or (VEX.match(mnemonic) and mnemonic not in OLD_V):
            return "AVX"
    if table in ("scalar", "avx2"):
        if ZMM.search(operands) or MASK.search(operands):
            return "an AVX-512 register"
        if prefixes_skipped(code)[:1] == [EVEX]:
            return "an EVEX instruction"
    if table != "avx512_bf16" and DOT.match(mnemonic):
        return "AVX-512 BF16"
    return None


def instructions(path):
    out = subprocess.run(["objdump", "-d", "-w", path], check=True, capture_output=True,
                         text=True).stdout
    for line in out.splitlines():
        fields = line.split("\t")
        if len(fields) < 3:
            continue
        code = [int(byte, 16) for byte in fields[1].split()]
        words = fields[2].split(None, 1)
        # A prefix that objdump spells out stands before the mnemonic.
        while len(words) == 2 and words[0] in ("rep", "repz", "repnz", "bnd", "notrack", "data16",
                                               "cs", "lock", "{evex}", "{vex}"):
            words = words[1].split(None, 1)
        if words:
            yield code, words[0], words[1] if len(words) == 2 else "", line.strip()


# What each table is for: an object without it was compiled with the wrong flags, and then the
# checks above would hold for nothing.
NEEDED = {"scalar": "call", "avx2": "vfmadd", "avx512": "%zmm", "avx512_bf16": "vdpbf16ps"}


def check_instructions(path):
    table = table_of(path)
    seen = False
    for code, mnemonic, operands, line in instructions(path):
        seen = seen or NEEDED[table] in mnemonic + " " + operands
        if reason := wrong(table, code, mnemonic, operands):
            yield f"{reason}: {line}"
    if not seen:
        yield f"no {NEEDED[table]} at all"


def main():
    if len(sys.argv) < 3 or sys.argv[1] not in ("symbols", "instructions"):
        sys.exit(__doc__)
    check = weak_symbols if sys.argv[1] == "symbols" else check_instructions
    failed = False
    for path in sys.argv[2:]:
        found = list(check(path))
        for what in found[:10]:
            print(f"{path}: {what}")
        if len(found) > 10:
            print(f"{path}: and {len(found) - 10} more")
        failed = failed or bool(found)
    sys.exit(1 if failed else 0)


main()
