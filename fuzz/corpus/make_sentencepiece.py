#!/usr/bin/env python3
"""Writes fuzz/corpus/sentencepiece: a small model, a text and a tokenizer_config.json for each thing that a file can
say. Protobuf is written by hand here, so that the files hold what no library would write.
"""
import json
import pathlib
import struct

OUT = pathlib.Path(__file__).parent / "sentencepiece"
TEXT = " Hello  héllo\t<s>\u2581ab <tool>\n漢字 😀 ½\ufffd aab"


def varint(value):
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes(out + bytes([value]))


def number(field, value):
    return varint(field << 3) + varint(value)


def block(field, value):
    value = value.encode() if isinstance(value, str) else value
    return varint(field << 3 | 2) + varint(len(value)) + value


def piece(text, score=-1.0, kind=1):
    return block(1, block(1, text) + varint(2 << 3 | 5) + struct.pack("<f", score) + number(3, kind))


BASE = piece("<unk>", 0, 2) + piece("<s>", 0, 3) + piece("</s>", 0, 3) + piece("<tool>", 0, 4)
LETTERS = b"".join(piece(c, -2 - i / 8) for i, c in enumerate("▁abeloHé漢"))
WORDS = b"".join(piece(c, -1 - i / 4) for i, c in enumerate(["▁a", "ab", "aab", "▁Hello", "llo", "ell", "▁▁"]))
BYTES = b"".join(piece(f"<0x{byte:02X}>", 0, 6) for byte in range(256))
MAP = struct.pack("<I", 16) + struct.pack("<IIII", 0x161, 0x80000000, 0x62, 0) + b"b\0"


def trainer(kind, *more):
    return block(2, number(3, kind) + b"".join(more))


def normalizer(*more):
    return block(3, b"".join(more))


SEEDS = {
    "unigram": (BASE + LETTERS + WORDS + trainer(1), {}),
    "bpe": (BASE + LETTERS + WORDS + trainer(2), {"legacy": False}),
    "bytes": (BASE + BYTES + LETTERS + trainer(2, number(35, 1)) + normalizer(number(3, 1), number(4, 0)), {}),
    "unigram_bytes": (BASE + BYTES + LETTERS + trainer(1, number(35, 1)), {"add_eos_token": True}),
    "t5": (BASE + LETTERS + WORDS + trainer(1), {"tokenizer_class": "T5Tokenizer", "extra_ids": 2}),
    "charsmap": (BASE + LETTERS + trainer(1) + normalizer(block(2, MAP)), {}),
    "no_prefix": (BASE + LETTERS + trainer(2) + normalizer(number(3, 0)), {"add_prefix_space": True}),
    "word": (BASE + trainer(3), {}),
    "unused": (BASE + piece("x", -1, 5) + trainer(1), {}),
    "suffix": (BASE + trainer(1, number(24, 1)), {}),
    "twice": (BASE + piece("<s>") + trainer(1), {}),
    "nan": (BASE + piece("a", float("nan")), {}),
    "nul": (BASE + piece("a\0b") + trainer(1), {"added_tokens_decoder": {"9": {"content": "Hello"}}}),
    "groups": (b"\x7b" * 90 + b"\x7c" * 90 + BASE, {}),
    "length": (b"\x0a\xff\xff\xff\xff\x07abc", {}),
    "tiktoken": (b"IQ== 0\nIg== 1\n", {}),
    "class": (BASE + LETTERS, {"tokenizer_class": "XLMRobertaTokenizer"}),
}

OUT.mkdir(exist_ok=True)
for name, (model, config) in SEEDS.items():
    (OUT / name).write_bytes(b"\n=====\n".join([model, TEXT.encode(), json.dumps(config).encode()]))
