#!/usr/bin/env python3
"""Compares normalizers and pre-tokenizers with the tokenizers library on every code point of Unicode.

    unicode_compare.py OLLM [--seed 1]

Each code point stands between letters, each mark before and behind others, each decomposition by itself;
beside those, random runs of marks. Needs `pip install tokenizers`; exit 77 where it is missing. Prints one line for
each step and its first differences; exit 1 if there are any.
Leaves whole tokenizers to tokenizer_compare.py.
"""
import argparse
import pathlib
import random
import sys
import tempfile
import unicodedata

from tokenizer_compare import ask, library_is_missing

LOW_CLASS, HIGH_CLASS = "\u0334", "\u0345"  # marks of class 1 and 240: others move before or behind them
BATCH = 20000
CODE_POINTS = [chr(c) for c in range(0x110000) if not 0xD800 <= c < 0xE000]


def normalizer_texts(rnd):
    marks = [c for c in CODE_POINTS if unicodedata.combining(c)]
    for c in CODE_POINTS:
        yield "x" + c + "y"
        # What Python does not know may be a newer mark; those stand below plane 2.
        if unicodedata.category(c) in ("Mn", "Mc", "Me") or unicodedata.category(c) == "Cn" and ord(c) < 0x20000:
            yield "x" + HIGH_CLASS + c
            yield "x" + c + LOW_CLASS
            yield "a" + c + "\u0301"
        if unicodedata.normalize("NFD", c) != c:
            yield unicodedata.normalize("NFD", c)
    for _ in range(100000):
        yield "".join(rnd.choice(marks) if rnd.random() < 0.7 else rnd.choice("aeio가ᅡᆨn각")
                      for _ in range(rnd.randint(1, 12)))


def pre_tokenizer_texts(_):
    for c in CODE_POINTS:
        yield "x" + c + "y"
        yield "1" + c
        yield "漢" + c + "か"


def steps():
    """name, tokenizer, texts of each. Ids of the first kind tell the bytes, of the second the pieces."""
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers
    letters = {letter: index for index, letter in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    for name in ("NFC", "NFD", "NFKC", "NFKD", "Lowercase", "StripAccents", "Nmt", "Strip", "BertNormalizer"):
        tokenizer = Tokenizer(models.BPE(letters, []))
        tokenizer.normalizer = getattr(normalizers, name)()
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        yield name, tokenizer, normalizer_texts
    words = {word: index for index, word in enumerate(["?", "x", "y", "1", "漢", "か"])}
    for name, step in (("BertPreTokenizer", pre_tokenizers.BertPreTokenizer()),
                       ("Punctuation", pre_tokenizers.Punctuation()),
                       ("Whitespace", pre_tokenizers.Whitespace()),
                       ("WhitespaceSplit", pre_tokenizers.WhitespaceSplit()),
                       ("Digits", pre_tokenizers.Digits()),
                       ("UnicodeScripts", pre_tokenizers.UnicodeScripts()),
                       *((f"Split {pattern}", pre_tokenizers.Split(Regex(pattern), "isolated"))
                         for pattern in (r"\p{L}", r"\p{N}", r"\p{P}", r"\p{S}", r"\p{M}", r"\s", r"\w", r"[^\s\p{L}\p{N}]"))):
        tokenizer = Tokenizer(models.WordLevel(words, unk_token="?"))
        tokenizer.pre_tokenizer = step
        yield name, tokenizer, pre_tokenizer_texts


def compare(ollm, folder, tokenizer, texts):
    tokenizer.save(str(pathlib.Path(folder) / "tokenizer.json"))
    texts, different = list(texts), []
    for begin in range(0, len(texts), BATCH):
        batch = texts[begin:begin + BATCH]
        found = ask(ollm, "tokenize", folder, [{"text": text, "add_special": False} for text in batch])
        for text, expected, answer in zip(batch, tokenizer.encode_batch(batch, add_special_tokens=False), found):
            if answer.get("ids") != expected.ids:
                different.append(text)
    return len(texts), different


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ollm")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    if library_is_missing():
        return 77
    wrong = False
    for name, tokenizer, texts in steps():
        with tempfile.TemporaryDirectory() as folder:
            count, different = compare(options.ollm, folder, tokenizer, texts(random.Random(options.seed)))
        print(f"{name}: {count} texts, {len(different)} different", *map(ascii, different[:8]), flush=True)
        wrong = wrong or bool(different)
    return int(wrong)


if __name__ == "__main__":
    sys.exit(main())
