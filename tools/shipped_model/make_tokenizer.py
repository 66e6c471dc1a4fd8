"""Trains the byte-level BPE tokenizer on generated documents and writes tokenizer.json.

usage: make_tokenizer.py OUT.json [VOCABULARY]
"""

import sys

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from documents import make_document
from prompts import SPECIAL_TOKENS


def text(count):
    for index in range(count):
        document = make_document("train", "tokenizer", index, 900)
        yield document.text
        for question in document.questions:
            yield "\n\n" + question.text
            yield question.answer


def main():
    size = int(sys.argv[2]) if len(sys.argv) > 2 else 1024
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=size, special_tokens=SPECIAL_TOKENS, show_progress=False,
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    tokenizer.train_from_iterator(text(6000), trainer)
    tokenizer.save(sys.argv[1])
    print(tokenizer.get_vocab_size(), "tokens")


if __name__ == "__main__":
    main()
