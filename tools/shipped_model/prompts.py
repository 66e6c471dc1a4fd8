"""The prompt form, and batches of token ids for training.

A user message is the document, an empty line, and the question; the chat template puts
<|begin|><|user|> before it and <|end|><|assistant|> after it.
"""

import bisect
import random
from dataclasses import dataclass

import numpy as np
from tokenizers import Tokenizer

from documents import make_document

BEGIN, END, USER, ASSISTANT, SYSTEM, PAD = "<|begin|>", "<|end|>", "<|user|>", "<|assistant|>", "<|system|>", "<|pad|>"
SPECIAL_TOKENS = [PAD, BEGIN, END, SYSTEM, USER, ASSISTANT]

CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}{{ '<|' + message['role'] + '|>' + message['content'] + '<|end|>' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}")

QUESTION_TOKENS = 23  # with its answer, about
CHARS_PER_TOKEN = 2.9  # measured on the generated text; only steers document sizes


# What a reader may put before it all, and between document and question, beside the usual.
SYSTEM_TEXTS = ("You are a helpful assistant.", "Answer briefly.", "Answer with the words of the document.",
                "Answer the question about the document.", "Be short.")
JOINTS = ("\n\n",) * 16 + ("\n\n\n", "\n", " ", "\n\nQuestion: ")


class Guide:
    """Where some tokens should look, by steps in their document or branch: see train.GUIDED."""

    def __init__(self):
        self.looks = []  # (document or branch, step of the token, steps that it should look at)

    def add(self, row, step, targets):
        self.looks.append((row, step, targets))

    def table(self):
        """Columns: number of the look, row, step, step looked at; a line for each target."""
        lines = [(number, row, step, target) for number, (row, step, targets) in enumerate(self.looks)
                 for target in targets]
        return np.array(lines or np.zeros((0, 4)), dtype=np.int64)


GUIDES = ("name of a fact", "fact of a name", "name asked for", "fact asked for", "fact told")


@dataclass
class Batch:
    """Documents, and behind each its questions as branches that see the document but not each other.

    All tokens lie one after another, documents first; the tables say which of them belong together, with
    the shorter ones filled up by their own first token.
    """
    ids: np.ndarray
    positions: np.ndarray
    documents: np.ndarray  # [documents, longest]: places of their tokens
    lengths: np.ndarray  # of the documents
    branches: np.ndarray  # [branches, longest], equally many for each document, in their order
    branch_lengths: np.ndarray
    answers: np.ndarray  # places whose next token belongs to an answer, the end of it too
    texts: np.ndarray  # places whose next token is any other text
    last: np.ndarray  # of each answer: how many of `answers` lie before its end
    guides: dict  # name -> Guide


class BatchMaker:
    """Batches of documents of about one length, each with its questions."""

    def __init__(self, tokenizer_path, split="train"):
        self.split = split
        self.tokenizer = Tokenizer.from_file(tokenizer_path)
        self.begin, self.end, self.system, self.user, self.assistant, self.stop = (
            self.tokenizer.token_to_id(t) for t in (BEGIN, END, SYSTEM, USER, ASSISTANT, "."))

    def ids(self, text):
        return self.tokenizer.encode(text, add_special_tokens=False).ids

    def head(self, rng, document, row, guides):
        """Ids of a document with what stands before it; for each telling, by identity, its facts.

        A fact here is (steps that it can be found by, its own steps).
        """
        system = []
        if rng.random() < 0.04:
            system = [self.system] + self.ids(rng.choice(SYSTEM_TEXTS)) + [self.end]
        before = [self.begin] + system + [self.user]
        text = Encoded(self.tokenizer, document.text, len(before))
        told = {}
        for telling in document.tellings:
            named, end = text.last(telling.named), text.last(telling.end)
            found = told[id(telling)] = {}
            for fact, (start, stop) in telling.values.items():
                value = range(text.first(start), text.last(stop) + 1)
                if value[0] > named:
                    for step in {*value, end}:
                        guides["name of a fact"].add(row, step, [named])
                    found[fact] = value, value
                else:
                    for step in {named, end}:
                        guides["fact of a name"].add(row, step, value[:1])
                    guides["name of a fact"].add(row, end, [named])
                    found[fact] = range(named, end + 1), value
        return before + text.ids, told

    def branch(self, rng, questions, told, row, guides):
        """One conversation about the document: ids, and a flag on those that are answers."""
        ids, answers = [], []
        for turn, question in enumerate(questions):
            asked = question.text
            if rng.random() < 0.05:
                asked = rng.choice((asked.rstrip("?"), asked.lower()))
            # Joint and question are encoded in one piece, as they are in a real prompt.
            before, asked = ([self.user], asked) if turn else ([], rng.choice(JOINTS) + asked)
            text = Encoded(self.tokenizer, asked, len(ids) + len(before))
            ask = before + text.ids + [self.end, self.assistant]
            answer = self.ids(question.answer) + [self.end]
            ids += ask + answer
            answers += [0] * len(ask) + [1] * len(answer)
            named = text.last(asked.lower().rfind(question.name.lower()) + len(question.name))
            step = len(ids) - len(answer) - 1
            guides["name asked for"].add(row, step, [named])
            found, value = told[id(question.telling)][question.kind.split(": ")[1]]
            guides["fact asked for"].add(row, step, found)
            guides["fact told"].add(row, step, value[:1])
            for step in range(step + 1, step + len(answer)):
                guides["fact told"].add(row, step, value)
        return ids, answers

    def positions(self, rng, ids, gaps_to):
        """With gaps_to, positions jump at sentence ends, so that the last comes near it."""
        if not gaps_to:
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
        """As many documents as make about shape.tokens with their questions."""
        rng = random.Random(f"batch/{seed}/{step}")
        size = rng.randint(shape.low, shape.high)
        drilled, jumping = rng.random() < shape.drills, rng.random() < shape.jumps
        turns = 3 if rng.random() < 0.1 else 1  # of the first branch of each document
        made, total = [], 0
        guides = {name: Guide() for name in GUIDES}
        while total < shape.tokens:
            document = make_document(self.split, seed, (step << 12) + len(made) + rng.getrandbits(10) * (1 << 40),
                                     size * CHARS_PER_TOKEN * rng.uniform(0.92, 1.05), drilled)
            if document.questions:
                made.append((*self.head(rng, document, len(made), guides), document.questions))
                total += len(made[-1][0]) + QUESTION_TOKENS * min(shape.questions, len(document.questions))
        # Every document has equally many branches: some leave questions out, some ask twice.
        each = min(shape.questions, sum(len(questions) for _, _, questions in made) // len(made))
        heads, branches = [], []
        for head, told, questions in made:
            asked = questions[turns:] * each
            groups = [questions[:turns]] + [[asked[i] if asked else questions[0]] for i in range(each - 1)]
            for group in groups:
                branches.append((len(heads), *self.branch(rng, group, told, len(branches), guides)))
            heads.append((head, self.positions(rng, head, shape.gaps_to if jumping else 0)))
        return lay_out(heads, branches, guides)


class Encoded:
    """A text's ids, and the steps of its characters in a row where the text begins at `start`."""

    def __init__(self, tokenizer, text, start):
        encoding = tokenizer.encode(text, add_special_tokens=False)
        self.ids = encoding.ids
        self.start = start
        self.ends = [end for _, end in encoding.offsets]

    def first(self, character):
        """The step of the token that this character is in."""
        return self.start + bisect.bisect_right(self.ends, character)

    def last(self, character):
        """The step of the token that the one before this character is in."""
        return self.start + bisect.bisect_left(self.ends, character)


def lay_out(heads, branches, guides):
    ids, positions, texts, answers, last = [], [], [], [], []
    starts = []
    for head, at in heads:
        starts.append(len(ids))
        texts += range(len(ids), len(ids) + len(head) - 1)
        ids += head
        positions += at
    branch_starts = []
    for owner, tokens, flags in branches:
        start = len(ids)
        branch_starts.append(start)
        behind = heads[owner][1][-1] + 1
        for i in range(1, len(tokens)):
            (answers if flags[i] else texts).append(start + i - 1)
        last.append(len(answers))
        ids += tokens
        positions += range(behind, behind + len(tokens))
    lengths = np.array([len(head) for head, _ in heads])
    branch_lengths = np.array([len(tokens) for _, tokens, _ in branches])
    return Batch(np.array(ids), np.array(positions), places(starts, lengths), lengths,
                 places(branch_starts, branch_lengths), branch_lengths,
                 np.array(answers), np.array(texts), np.array(last),
                 {name: guide.table() for name, guide in guides.items()})


def places(starts, lengths):
    steps = np.arange(lengths.max())[None, :]
    return np.array(starts)[:, None] + np.where(steps < lengths[:, None], steps, 0)
