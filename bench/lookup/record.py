#!/usr/bin/env python3
"""Turns the texts of this folder into token ids: record.py TOKENIZER.json > answers.jsonl

The ids that are checked in are those of Llama 3's tokenizer. `pip install tokenizers`.
"""
import json
import pathlib
import sys

from tokenizers import Tokenizer

tokenizer = Tokenizer.from_file(sys.argv[1])
folder = pathlib.Path(__file__).parent
for prompt in sorted(folder.glob("*.prompt.txt")):
    name = prompt.name.removesuffix(".prompt.txt")
    answer = folder / f"{name}.answer.txt"
    record = {"name": name,
              "prompt": tokenizer.encode(prompt.read_text()).ids,
              "answer": tokenizer.encode(answer.read_text(), add_special_tokens=False).ids}
    print(json.dumps(record, separators=(",", ":")))
