#!/usr/bin/env python3
"""The same measure as measure_answers.py, with the PyTorch model in place of `ollm`: while training, and
to tell a fault of the model from one of the runtime.

usage: measure_in_torch.py MODEL [the options of measure_answers.py]
"""

import argparse

import torch
from tokenizers import Tokenizer

from measure_answers import MAX_NEW_TOKENS, arguments, draw, measure
from model import load
from prompts import BEGIN, END, USER, ASSISTANT


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="model folder")
    parser.add_argument("--tokenizer", help="default: tokenizer.json in the model folder")
    arguments(parser)
    args = parser.parse_args()
    torch.set_num_threads(1)
    model = load(args.model)
    tokenizer = Tokenizer.from_file(args.tokenizer or f"{args.model}/tokenizer.json")
    end = tokenizer.token_to_id(END)

    def answer(message):
        ids = tokenizer.encode(f"{BEGIN}{USER}{message}{END}{ASSISTANT}", add_special_tokens=False).ids
        return tokenizer.decode(model.answer(ids, end, MAX_NEW_TOKENS), skip_special_tokens=True)

    drawn = draw(args.questions, args.seed, args.from_tokens, args.tokens,
                 lambda texts: [len(e.ids) for e in tokenizer.encode_batch(texts)])
    measure(drawn, answer, args.bucket, args.errors)


if __name__ == "__main__":
    main()
