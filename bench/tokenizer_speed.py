#!/usr/bin/env python3
"""Runs tokenizer_speed and the tokenizers library in turn on the same text and prints both as CSV.

    tokenizer_speed.py BUILD/bench/tokenizer_speed TEXT FOLDER...

Needs `pip install tokenizers`. One thread each; the library's figure is the best of three runs, ours the median.
"""
import json
import os
import pathlib
import subprocess
import sys
import time

os.environ["TOKENIZERS_PARALLELISM"] = "false"


def library(folder, text):
    from tokenizers import Tokenizer
    start = time.perf_counter()
    tokenizer = Tokenizer.from_file(str(pathlib.Path(folder) / "tokenizer.json"))
    load = time.perf_counter() - start
    encode = []
    for _ in range(3):
        start = time.perf_counter()
        tokenizer.encode(text, add_special_tokens=False)
        encode.append(time.perf_counter() - start)
    return load, min(encode)


def main():
    program, path, *folders = sys.argv[1:]
    text = pathlib.Path(path).read_bytes().decode("utf-8")
    mib = len(text.encode()) / 2**20
    print("folder,load_s,library_load_s,encode_mib_per_s,library_encode_mib_per_s,ratio")
    for folder in folders:
        ours = json.loads(subprocess.run([program, folder, path, "5"], capture_output=True, check=True).stdout)
        load, encode = library(folder, text)
        print(f"{pathlib.Path(folder).name},{ours['load_s']:.3f},{load:.3f},{ours['encode_mib_per_s']:.1f},"
              f"{mib / encode:.2f},{ours['encode_mib_per_s'] * encode / mib:.1f}")


if __name__ == "__main__":
    main()
