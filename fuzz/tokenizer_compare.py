#!/usr/bin/env python3
"""Compares `ollm tokenize` and `detokenize` with the tokenizers library on random texts.

    tokenizer_compare.py OLLM [FOLDER...] [--goldens FOLDER] [--texts 100000] [--seed 1]

Folders are tokenizers, those of --goldens all that lie in it. Needs `pip install tokenizers`; exit 77, which ctest
counts as skipped, where that or the folders are missing. Texts are drawn from code points assigned in Unicode 12.0, for which parity is
promised (docs/decisions/tokenizer.md). Prints differences and one line for each folder; exit 1 if there are any.
Leaves what an error is worth to the goldens, which are exact.
"""
import argparse
import importlib.util
import json
import os
import pathlib
import random
import subprocess
import sys
import unicodedata

LIKELY = list("aAbBcCdDeE sS tT'’.,!?-_0123456789\n\t\r  ▁#<>[]/ ſKıİßéèņ̃́̂ö가각각漢字かナｶﾞ１２①½²😀👍🏽"
              "\u200d\ufe0f\u0000\ufffd\u00a0\u2028\u3000")
# Blocks that hold most of what Unicode 13 and 14 added; Python 3.11 knows 14.0.
NEWER = [(0x8BE, 0x8C7), (0x9FE, 0x9FE), (0x1ABF, 0x1ACE), (0x2C2F, 0x2C2F), (0x31BB, 0x31BF), (0x4DB6, 0x4DBF),
         (0x9FF0, 0x9FFF), (0xA7C0, 0xA7DF), (0xA7F2, 0xA7F6), (0x10570, 0x105BC), (0x10E80, 0x10EB1),
         (0x10F70, 0x10FCB), (0x11900, 0x11959), (0x12F90, 0x12FF2), (0x16A70, 0x16AC9), (0x18AF3, 0x18CD5),
         (0x1CF00, 0x1CFC3), (0x1DF00, 0x1DF1E), (0x1E290, 0x1E2AE), (0x1E7E0, 0x1E7FE), (0x1F6D6, 0x1F6FC),
         (0x1F7F0, 0x1F7F0), (0x1F90C, 0x1FAF6), (0x1FB00, 0x1FBF9), (0x2A6D7, 0x2A6DF), (0x2B735, 0x2B738),
         (0x30000, 0x3134A)]


def assigned():
    newer = {c for first, last in NEWER for c in range(first, last + 1)}
    return [c for c in range(0x110000)
            if unicodedata.category(chr(c)) not in ("Cn", "Cs") and c not in newer and c != 0x180E]


def make_text(rnd, code_points, specials):
    kind, size = rnd.random(), rnd.randint(0, 24)
    share = 1.0 if kind < 0.35 else 0.7 if kind < 0.7 else 0.0
    text = "".join(rnd.choice(LIKELY) if rnd.random() < share else chr(rnd.choice(code_points)) for _ in range(size))
    if specials and rnd.random() < 0.2:
        at = rnd.randint(0, len(text))
        text = text[:at] + rnd.choice(specials) + text[at:]
    return text


def ask(ollm, command, folder, lines):
    done = subprocess.run([ollm, command, folder, "--jsonl"], input="".join(json.dumps(line) + "\n" for line in lines),
                          capture_output=True, text=True, check=True)
    # Not splitlines: a string may hold U+2028.
    return [json.loads(line) for line in done.stdout.split("\n")[:-1]]


def library_is_missing():
    missing = importlib.util.find_spec("tokenizers") is None
    if missing:
        print("skipped: no tokenizers library (pip install tokenizers)")
    return missing


def compare(ollm, folder, texts, rnd, code_points):
    from tokenizers import Tokenizer
    reference = Tokenizer.from_file(str(pathlib.Path(folder) / "tokenizer.json"))
    specials = [token.content for token in reference.get_added_tokens_decoder().values()][:12]
    different = 0
    for begin in range(0, texts, 10000):
        batch = [make_text(rnd, code_points, specials) for _ in range(min(10000, texts - begin))]
        ids = [reference.encode(text, add_special_tokens=False).ids for text in batch]
        found = ask(ollm, "tokenize", folder,
                    [{"text": text, "add_special": False, "parse_special": True} for text in batch])
        decoded = ask(ollm, "detokenize", folder, [{"ids": one, "skip_special": False} for one in ids])
        for text, expected, answer, back in zip(batch, ids, found, decoded):
            expected_text = reference.decode(expected, skip_special_tokens=False)
            if answer.get("ids") != expected or back.get("text") != expected_text:
                different += 1
                if different <= 10:
                    print(json.dumps({"text": text, "expected": expected, "found": answer,
                                      "expected_text": expected_text, "found_text": back}))
    print(f"{folder}: {texts} texts, {different} different")
    return different


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ollm")
    parser.add_argument("folders", nargs="*")
    parser.add_argument("--goldens")
    parser.add_argument("--texts", type=int, default=100000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    if options.goldens:
        options.folders += sorted(str(file.parent) for file in pathlib.Path(options.goldens).glob("*/tokenizer.json"))
    if not options.folders:
        required = os.environ.get("OLLM_REQUIRE_TEST_DATA", "0") not in ("", "0")
        print(f"{'failed' if required else 'skipped'}: no tokenizers to compare, none in {options.goldens}")
        return 1 if required else 77
    if library_is_missing():
        return 77
    code_points = assigned()
    rnd = random.Random(options.seed)
    print(f"seed {options.seed}")
    return 1 if sum([compare(options.ollm, folder, options.texts, rnd, code_points)
                     for folder in options.folders]) else 0


if __name__ == "__main__":
    sys.exit(main())
