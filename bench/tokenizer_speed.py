#!/usr/bin/env python3
"""Prints how fast ollm and the tokenizers library encode, decode and load, side by side, in one thread.

    tokenizer_speed.py BUILD/bench/tokenizer_speed FOLDER... [--text FILE] [--runs 7]

Needs `pip install tokenizers`. The two run in turn, so that both meet the same machine; each figure is the median of
the runs. The library's is the better of `encode` and `encode_batch_fast`, which leaves out offsets. Without --text it
is one million characters: the sources and documents of this repository, then words of many scripts.
"""
import argparse
import json
import os
import pathlib
import random
import statistics
import subprocess
import tempfile
import time

os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["RAYON_NUM_THREADS"] = "1"

ROOT = pathlib.Path(__file__).parent.parent
SCRIPTS = [(0x61, 26, 7), (0xE0, 30, 6), (0x430, 32, 8), (0x3B1, 25, 7), (0x4E00, 3000, 3), (0x3042, 80, 4),
           (0xAC00, 2000, 3), (0x627, 36, 6), (0x915, 36, 5), (0x1F600, 60, 1), (0x30, 10, 5)]


def sample_text():
    half = 500_000
    files = sorted([*ROOT.glob("src/**/*.cc"), *ROOT.glob("docs/**/*.md")])
    written = "".join(file.read_text(encoding="utf-8") for file in files)
    rnd = random.Random(1)
    words = ["".join(chr(first + rnd.randrange(count)) for _ in range(rnd.randint(1, longest)))
             for first, count, longest in SCRIPTS for _ in range(800)]
    other = " ".join(rnd.choice(words) for _ in range(half // 5))
    return (written * (half // len(written) + 1))[:half] + other[:half]


def seconds(run):
    start = time.perf_counter()
    result = run()
    return time.perf_counter() - start, result


def measure(program, folder, path, text, runs):
    from tokenizers import Tokenizer
    file = str(pathlib.Path(folder) / "tokenizer.json")
    ours = {"load_s": [], "encode_mib_per_s": [], "decode_mib_per_s": []}
    theirs = {name: [] for name in ours}
    mib = len(text.encode()) / 2**20
    for _ in range(runs):
        answer = json.loads(subprocess.run([program, folder, path, "1"], capture_output=True, check=True).stdout)
        for name in ours:
            ours[name].append(answer[name])
        load, tokenizer = seconds(lambda: Tokenizer.from_file(file))
        plain, encoding = seconds(lambda: tokenizer.encode(text, add_special_tokens=False))
        fast, _ = seconds(lambda: tokenizer.encode_batch_fast([text], add_special_tokens=False))
        decode, _ = seconds(lambda: tokenizer.decode(encoding.ids, skip_special_tokens=False))
        if len(encoding.ids) != answer["tokens"]:
            raise SystemExit(f"{folder}: {answer['tokens']} tokens, the library has {len(encoding.ids)}")
        theirs["load_s"].append(load)
        theirs["encode_mib_per_s"].append(mib / min(plain, fast))
        theirs["decode_mib_per_s"].append(mib / decode)
    return {name: (statistics.median(ours[name]), statistics.median(theirs[name])) for name in ours}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("folders", nargs="+")
    parser.add_argument("--text")
    parser.add_argument("--runs", type=int, default=7)
    options = parser.parse_args()
    text = pathlib.Path(options.text).read_text(encoding="utf-8") if options.text else sample_text()
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", suffix=".txt") as out:
        out.write(text)
        out.flush()
        print("| tokenizer | encode MiB/s | library | ratio | decode MiB/s | library | load s | library |")
        print("|---|---|---|---|---|---|---|---|")
        for folder in options.folders:
            row = measure(options.program, folder, out.name, text, options.runs)
            encode, decode, load = (row[name] for name in ("encode_mib_per_s", "decode_mib_per_s", "load_s"))
            print(f"| {pathlib.Path(folder).name} | {encode[0]:.1f} | {encode[1]:.1f} | {encode[0] / encode[1]:.1f} "
                  f"| {decode[0]:.0f} | {decode[1]:.0f} | {load[0]:.3f} | {load[1]:.3f} |", flush=True)


if __name__ == "__main__":
    main()
