"""The prompt form, and rows of token ids for training.

A user message is the document, an empty line, and the question; the chat template puts
<|begin|><|user|> before it and <|end|><|assistant|> after it.
"""

import random

import numpy as np
from tokenizers import Tokenizer

from documents import make_document

BEGIN, END, USER, ASSISTANT, SYSTEM, PAD = "<|begin|>", "<|end|>", "<|user|>", "<|assistant|>", "<|system|>", "<|pad|>"
SPECIAL_TOKENS = [PAD, BEGIN, END, SYSTEM, USER, ASSISTANT]

CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}{{ '<|' + message['role'] + '|>' + message['content'] + '<|end|>' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}")

CHARS_PER_TOKEN = 2.9  # measured on the generated text; only steers document sizes


# What a reader may put before it all, and between document and question, beside the usual.
SYSTEM_TEXTS = ("You are a helpful assistant.", "Answer briefly.", "Answer with the words of the document.",
                "Answer the question about the document.", "Be short.")
JOINTS = ("\n\n",) * 16 + ("\n\n\n", "\n", " ", "\n\nQuestion: ")


class RowMaker:
    """Rows of exactly `length` tokens: a document and as many of its questions as fit."""

    def __init__(self, tokenizer_path, split="train"):
        self.split = split
        self.tokenizer = Tokenizer.from_file(tokenizer_path)
        self.begin, self.end, self.system, self.user, self.assistant, self.stop = (
            self.tokenizer.token_to_id(t) for t in (BEGIN, END, SYSTEM, USER, ASSISTANT, "."))

    def ids(self, text):
        return self.tokenizer.encode(text, add_special_tokens=False).ids

    def row(self, rng, seed, index, length, document_tokens, branched, gaps_to):
        """Returns ids, answer flags, block numbers (0: document), positions.

        branched: every question stands alone behind the document, in the exact form of a first turn; a
        mask hides the questions from each other. Otherwise the row is one conversation of many turns.
        gaps_to: positions jump at sentence ends, so that the last one comes near this; 0: no jumps.
        """
        while True:
            document = make_document(self.split, seed, index, document_tokens * CHARS_PER_TOKEN)
            text = document.text
            head = [self.begin]
            if rng.random() < 0.04:
                head += [self.system] + self.ids(rng.choice(SYSTEM_TEXTS)) + [self.end]
            head += [self.user] + self.ids(text)
            if document.questions and len(head) + 60 < length:
                break
            index += 1 << 40
            document_tokens = int(document_tokens * 0.9)
        ids, answers, blocks = list(head), [0] * len(head), [0] * len(head)
        positions = self.jumping(rng, head, gaps_to)
        behind = positions[-1] + 1
        questions, block, turn = document.questions, 0, 0
        while len(ids) < length:
            question = questions[turn % len(questions)]
            asked = question.text
            turn += 1
            if rng.random() < 0.05:
                asked = rng.choice((asked.rstrip("?"), asked.lower()))
            if branched or turn == 1:
                # Joint and question are encoded in one piece, as they are in a real prompt.
                ask = self.ids(rng.choice(JOINTS) + asked)
            else:
                ask = [self.user] + self.ids(asked)
            answer = self.ids(question.answer) + [self.end]
            block += 1
            ids += ask + [self.end, self.assistant] + answer
            answers += [0] * (len(ask) + 2) + [1] * len(answer)
            blocks += [block] * (len(ask) + 2 + len(answer))
            start = behind if branched else positions[-1] + 1
            positions += range(start, start + len(ids) - len(positions))
        return ids[:length], answers[:length], blocks[:length], positions[:length]

    def jumping(self, rng, ids, gaps_to):
        if not gaps_to or rng.random() < 0.5:
            return list(range(len(ids)))
        ends = [i for i, token in enumerate(ids) if token == self.stop]
        room = rng.randint(0, max(0, gaps_to - len(ids)))
        cuts = sorted(rng.randint(0, room) for _ in ends)
        jumps = dict(zip(ends, np.diff([0] + cuts)))
        positions, at = [], 0
        for i in range(len(ids)):
            positions.append(at)
            at += 1 + int(jumps.get(i, 0))
        return positions

    def batch(self, seed, step, shape):
        """shape: (rows, length, smallest and largest document in tokens, gaps_to, share of branched)."""
        rows, length, low, high, gaps_to, share = shape
        rng = random.Random(f"rows/{seed}/{step}")
        branched = rng.random() < share
        made = [self.row(rng, seed, step * rows + i, length, rng.randint(low, high), branched, gaps_to)
                for i in range(rows)]
        ids, answers, blocks, positions = (np.array(column) for column in zip(*made))
        return ids, answers, blocks if branched else None, positions
