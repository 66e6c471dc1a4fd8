#!/usr/bin/env python3
"""Asks a model, through `ollm`, questions about generated documents that its training never saw.

usage: measure_answers.py OLLM MODEL [--questions 300] [--seed 1] [--tokens 400] [--from-tokens 40]

Needs Python alone. An answer counts if it is the document's words exactly (white space around it aside).
Prints accuracy by kind of question, by how many tokens lie between the fact and the question, by the
length of the document, by how many facts of the kind asked for it holds, and by how the fact is told.
"""

import argparse
import json
import random
import subprocess
import sys
from collections import defaultdict

from documents import make_document

CHARS_PER_TOKEN = 3.2
MAX_NEW_TOKENS = 32


class Tally:
    def __init__(self):
        self.groups = defaultdict(lambda: [0, 0])

    def add(self, group, right):
        self.groups[group][0] += right
        self.groups[group][1] += 1

    def show(self, title):
        print(f"\n{title:34} right asked  share")
        for group, (right, asked) in sorted(self.groups.items()):
            print(f"  {group:32} {right:5} {asked:5} {100 * right / asked:5.1f} %")


def draw(count, seed, from_tokens, to_tokens, count_tokens):
    """`count` questions, one a document: (document text, question, tokens of the document, distance, rivals).

    Rivals: facts of the kind asked for that the document tells about any subject, the right one among them.
    count_tokens: a list of texts to the list of their token counts.
    """
    rng = random.Random(f"sizes/{seed}")
    found, index = [], 0
    while len(found) < count:
        documents = []
        for _ in range(count):
            size = rng.randint(from_tokens, to_tokens)
            documents.append(make_document("test", seed, index, size * CHARS_PER_TOKEN))
            index += 1
        documents = [d for d in documents if d.questions]
        questions = [rng.choice(d.questions) for d in documents]
        sizes = count_tokens([d.text for d in documents])
        distances = count_tokens([d.text[q.fact_end:] + "\n\n" + q.text for d, q in zip(documents, questions)])
        rivals = [sum(other.kind == q.kind for other in d.questions) for d, q in zip(documents, questions)]
        found += [(d.text, q, size, distance, rival) for d, q, size, distance, rival
                  in zip(documents, questions, sizes, distances, rivals) if from_tokens <= size <= to_tokens]
    return found[:count]


def bucket(value, width):
    low = value // width * width
    return f"{low:5} to {low + width - 1:5} tokens"


def measure(drawn, answer, width, show_errors):
    """Asks all and prints the tables. answer: message to answered text. Returns the share of right ones."""
    kinds, facts, distances, sizes, rivals, orders, right_ones = *(Tally() for _ in range(6)), 0
    for number, (text, question, size, distance, rival) in enumerate(drawn, 1):
        said = answer(f"{text}\n\n{question.text}").strip()
        right = said == question.answer
        right_ones += right
        kinds.add(question.kind.split(":")[0], right)
        facts.add(question.kind, right)
        distances.add(bucket(distance, width), right)
        sizes.add(bucket(size, width), right)
        rivals.add(str(rival) if rival < 4 else "4 or more", right)
        value_start = question.telling.values[question.kind.split(": ")[1]][0]
        orders.add("fact before name" if value_start < question.telling.named else "name before fact", right)
        if show_errors and not right:
            print(f"{question.kind}: {question.text}\n    wanted {question.answer!r}, got {said!r}")
        if number % 50 == 0:
            print(f"{number} of {len(drawn)} asked, {100 * right_ones / number:.1f} % right", file=sys.stderr)
    facts.show("kind of question")
    kinds.show("about a")
    distances.show("from the fact to the question's end")
    sizes.show("length of the document")
    rivals.show("facts of the kind asked for")
    orders.show("the sentence tells")
    print(f"\nall: {right_ones} of {len(drawn)} right, {100 * right_ones / len(drawn):.1f} %")
    return right_ones / len(drawn)


def arguments(parser):
    parser.add_argument("--questions", type=int, default=300)
    parser.add_argument("--seed", default="1", help="any text; the training seeds are another family")
    parser.add_argument("--tokens", type=int, default=400, help="longest document")
    parser.add_argument("--from-tokens", type=int, default=40, help="shortest document")
    parser.add_argument("--bucket", type=int, default=100, help="width of the rows by distance and length")
    parser.add_argument("--errors", action="store_true", help="print every wrong answer")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ollm", help="path of the ollm program")
    parser.add_argument("model", help="model folder")
    arguments(parser)
    args = parser.parse_args()

    def run(command, text):
        done = subprocess.run([args.ollm] + command, input=text, capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f"{args.ollm} {' '.join(command)}: exit code {done.returncode}: {done.stderr.strip()}")
        return done.stdout

    def count_tokens(texts):
        asked = "".join(json.dumps({"text": text, "add_special": False}) + "\n" for text in texts)
        answered = [json.loads(line) for line in run(["tokenize", args.model, "--jsonl"], asked).splitlines()]
        if len(answered) != len(texts) or not all("ids" in line for line in answered):
            sys.exit(f"{args.ollm} tokenize: {len(texts)} texts in, but not as many lists of ids out")
        return [len(line["ids"]) for line in answered]

    def answer(message):
        command = ["prompt", "--model", args.model, "--json", "--max-new-tokens", str(MAX_NEW_TOKENS), "-"]
        return json.loads(run(command, message))["text"]

    drawn = draw(args.questions, args.seed, args.from_tokens, args.tokens, count_tokens)
    measure(drawn, answer, args.bucket, args.errors)


if __name__ == "__main__":
    main()
