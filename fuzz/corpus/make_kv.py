"""Writes the seeds of corpus/kv: bytes that kv_fuzz.cc reads as choices, or as a segment file.

    python fuzz/corpus/make_kv.py

Each name says what the seed leads to. The other files of the folder, named by numbers, were found by
fuzzing.
"""

import pathlib

FOLDER = pathlib.Path(__file__).parent / "kv"

BUILT, SEALED, RAW = range(3)
STRIPE, COMMIT, USES, GONE, FLIP, GARBAGE, CUT = range(7)


def record(offset=2, stride=1, part=1, layers=1, tokens=8, group=0):
    """As record_of() of kv_fuzz.cc reads it; offset, stride and part in pages."""
    return [group, tokens - 1, offset, stride, part, layers, *range(tokens)]


def item(kind, *choices, sequence=1):
    return [sequence, kind, *choices]


def commit(*records, sequence=1):
    return item(COMMIT, len(records) - 1, *[b for r in records for b in r], sequence=sequence)


WHOLE = [*item(STRIPE, 1, 1), *commit(record(), record(3, 2, 1, 2), sequence=2), *item(USES, 2, sequence=3),
         *item(GONE, 1, sequence=4)]

SEEDS = {
    "empty": [],
    "whole": [BUILT, *WHOLE],
    "twice": [BUILT, *WHOLE, *WHOLE],
    "states": [BUILT, *item(STRIPE, 1, 1), *commit(record(group=1), record(3, 2, 1, 2, 3, group=1))],
    "stripe-alone": [BUILT, *item(STRIPE, 2, 2)],
    "behind-its-record": [BUILT, *commit(record(offset=200))],
    "no-layers": [BUILT, *commit(record(layers=0))],
    "parts-in-each-other": [BUILT, *commit(record(stride=0, layers=3))],
    "empty-notes": [BUILT, *item(USES, 0), *item(GONE, 0)],
    "long-notes": [BUILT, *item(USES, 255), *item(GONE, 255)],
    "garbage-between": [BUILT, *item(GARBAGE, 111), *WHOLE, *item(GARBAGE, 0), *WHOLE],
    "cut": [BUILT, *WHOLE, *item(CUT, 200), *WHOLE],
    **{f"flipped-{at}": [BUILT, *WHOLE, *item(FLIP, 0x10 + at // 16, at * 16 % 256, 1), *WHOLE]
       for at in (0, 8, 24, 32, 36, 40, 56, 64, 120, 130)},
    "raw": [RAW] * 9000,
    "sealed": ([SEALED] * 4096 + list(b"ollmkv/i") + [1] + [0] * 8 + [16] + [0] * 6 + [0, 16] + [0] * 6
               + [2] + [0] * 4000),
}

FOLDER.mkdir(exist_ok=True)
for name, data in SEEDS.items():
    (FOLDER / name).write_bytes(bytes(data))
