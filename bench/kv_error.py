#!/usr/bin/env python3
"""What int8 keys and values cost in quality: every row is scored with exact ones and with the
strategy quantized-cold-tier, and all logits are compared.

    bench/kv_error.py OLLM MODEL [--rows 8] [--tokens 512] [--random]

The rows are texts that the model writes itself, drawn at temperature 1 behind its first token; with
--random they are random ids, for models that were not trained. Prints the perplexity of both, the
largest move of any logit, their root mean square over all positions with a block before their own,
the mean Kullback-Leibler divergence there, and of how many the most likely token is another.
"""
import argparse
import json
import math
import pathlib
import random
import struct
import subprocess
import tempfile

import numpy

BLOCK = 128


def ollm(program, *arguments):
    run = subprocess.run([program, *arguments], capture_output=True, text=True)
    if run.returncode != 0:
        raise SystemExit(run.stderr)
    return run.stdout


def rows_of(args, first):
    for seed in range(args.rows):
        if args.random:
            draw = random.Random(seed)
            yield [draw.randrange(args.vocab) for _ in range(args.tokens)]
            continue
        out = ollm(args.ollm, "prompt", "--quiet", "--json", "--no-cache", "--model", args.model,
                   "--ids", str(first), "--temperature", "1", "--seed", str(seed), "--ignore-eos",
                   "--max-new-tokens", str(args.tokens - 1))
        yield [first, *json.loads(out)["ids"]]


def logits_of(path):
    data = path.read_bytes()
    size = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:8 + size])
    header.pop("__metadata__", None)
    for name, tensor in sorted(header.items()):
        begin, end = tensor["data_offsets"]
        values = numpy.frombuffer(data[8 + size + begin:8 + size + end], numpy.float32)
        yield name, values.reshape(tensor["shape"])


def score(args, rows, strategy, folder):
    ids = folder / "rows.jsonl"
    ids.write_text("".join(json.dumps({"id": str(i), "ids": row}) + "\n"
                           for i, row in enumerate(rows)))
    path = folder / f"{strategy}.safetensors"
    out = ollm(args.ollm, "score", "--json", "--no-cache", "--kv-cache-strategy", strategy,
               args.model, "--ids-file", str(ids), "--logits", str(path))
    log_probs = []
    for row in json.loads(out)["rows"]:
        log_probs += row["log_probs"]
    return math.exp(-sum(log_probs) / len(log_probs)), dict(logits_of(path))


def log_softmax(x):
    x = x - x.max(axis=-1, keepdims=True)
    return x - numpy.log(numpy.exp(x).sum(axis=-1, keepdims=True))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("ollm")
    parser.add_argument("model")
    parser.add_argument("--rows", type=int, default=8)
    parser.add_argument("--tokens", type=int, default=512)
    parser.add_argument("--random", action="store_true")
    args = parser.parse_args()
    config = json.loads((pathlib.Path(args.model) / "config.json").read_text())
    config = config.get("text_config", config)
    args.vocab = config["vocab_size"]
    rows = list(rows_of(args, config.get("bos_token_id") or 1))
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        exact_perplexity, exact = score(args, rows, "resident", folder)
        int8_perplexity, int8 = score(args, rows, "quantized-cold-tier", folder)
    largest, squares, count, divergence, positions, other = 0.0, 0.0, 0, 0.0, 0, 0
    for key, a in exact.items():
        a, b = a.astype(numpy.float64), int8[key].astype(numpy.float64)
        if not numpy.array_equal(a[:BLOCK], b[:BLOCK]):
            raise SystemExit(f"row {key}: the first block differs")
        a, b = a[BLOCK:], b[BLOCK:]
        move = numpy.abs(a - b)
        largest = max(largest, float(move.max(initial=0)))
        squares += float((move ** 2).sum())
        count += move.size
        p, q = log_softmax(a), log_softmax(b)
        divergence += float((numpy.exp(p) * (p - q)).sum())
        positions += len(a)
        other += int((a.argmax(axis=-1) != b.argmax(axis=-1)).sum())
    print(f"{pathlib.Path(args.model).name}: {sum(map(len, rows))} tokens; perplexity "
          f"{exact_perplexity:.4f} exact, {int8_perplexity:.4f} int8; largest move of a logit "
          f"{largest:.4f}, root mean square {math.sqrt(squares / max(1, count)):.5f}; divergence "
          f"{divergence / max(1, positions):.2e} nats; another first choice at {other} of "
          f"{positions} positions")


if __name__ == "__main__":
    main()
