"""Writes the named seeds of corpus/model and corpus/library: bytes that fuzz/bytes.h reads as choices.

    python fuzz/corpus/make_choices.py

Each name says what the seed leads to; what ended the process once is among them. The other files of
these folders, named by numbers, were found by fuzzing.
"""

import pathlib

HERE = pathlib.Path(__file__).parent

# The order of tiny_families() in tests/tiny_model.cc.
LLAMA, MISTRAL, QWEN2, QWEN3, PHI3, SMOLLM3, OLMO2, GRANITE, STARCODER2 = range(9)
MIXED = 3  # a type for each tensor


def model(family=LLAMA, types=MIXED, seed=1, tied=0, stored=1, head_dim=0, positions=0, edits=(),
          isa=0, kv=(1,)):
    """As Maker::make() and wanted_of() of model_fuzz.cc read it: two rows of 9 and 3 tokens."""
    sizes = [family, 0, 0, 1, 0, *kv, head_dim, 0, positions, tied, stored, seed, types, seed]
    wanted = [isa, 0, 1, 8, *range(3, 12), 2, 4, 5, 6]
    return sizes + [len(edits)] + [b for edit in edits for b in edit] + wanted + [3, 1]


def key(index, value):
    return [0, index, value]


MODELS = {
    **{f"mixed-{name}": model(family, seed=family + 3)
       for family, name in enumerate(["llama", "mistral", "qwen2", "qwen3", "phi3", "smollm3",
                                      "olmo2", "granite", "starcoder2"])},
    "norm-bias-of-another-type": model(STARCODER2, types=0, edits=[[2, 2, 8]]),
    **{f"tied-head-of-another-type-{seed}": model(QWEN2, tied=1, seed=seed) for seed in range(4)},
    "tied-head-that-differs": model(QWEN2, types=0, tied=1, edits=[[1, 26, 5, 3]]),
    **{f"value-{name}": model(types=0, edits=[[1, 2, 5, index]])
       for index, name in enumerate(["nan", "inf", "minus-inf", "huge", "f16", "denormal"])},
    **{f"type-{index}": model(edits=[[2, 3, index]]) for index in range(15)},
    **{f"shape-{index}": model(edits=[[3, 3, index]]) for index in range(6)},
    "tensor-missing": model(edits=[[4, 5]]),
    **{f"tensor-more-{index}": model(edits=[[5, 2, index]]) for index in range(11)},
    "shapes-swapped": model(edits=[[6, 0, 2]]),
    "heads-not-divided": model(kv=(0, 2)),
    "head-of-one": model(head_dim=2),
    "head-odd": model(head_dim=3),
    "one-position": model(positions=1),
    "by-the-reference": model(isa=5),
    **{f"eps-{value}": model(edits=[key(8, value)]) for value in (0, 6, 10, 13, 15)},
    **{f"theta-{value}": model(edits=[key(10, value)]) for value in (0, 1, 2, 8, 11, 13, 14, 15)},
    **{f"rotary-{value}": model(edits=[key(13, value)]) for value in range(30, 41)},
    **{f"logits-scaling-{value}": model(GRANITE, edits=[key(24, value)])
       for value in (0, 2, 4, 11, 13)},
}

IDS = {1: 0, 0: 1, 104: 3, 263: 8, -1: 10, 2**31 - 1: 11}  # kIds of library_fuzz.cc
NEW_0, NEW_3, NEW_MOST = 1, 0, 12                          # kCounts


def prompt_of_ids(*ids):
    return [4, len(ids), *(IDS[i] for i in ids), 0]


def generate(prompt, slot=0, new=NEW_3, sampling=(1,), defaults=0, stops=0, cancel=(0,), back=0):
    return [0, slot, *prompt, new, *sampling, defaults, 1, stops, 0, 0, *cancel, back]


GOOD = generate(prompt_of_ids(1, 104))
NO_TEMPERATURE = [0, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0]  # NaN


def score(rows, batch, last_only=0, path=0, cancel=0, of_last=0):
    each = [b for ids in rows for b in [0, 1, len(ids), *(IDS[i] for i in ids), 0]]
    return [4, len(rows), *each, batch, last_only, path, cancel, of_last]


def plan(prompt, new, sequences, all_logits=0, context=0):
    return [8, 0, prompt, new, sequences, all_logits, context, 0, 0]


LIBRARY = {
    "failed-sampling": GOOD + generate(prompt_of_ids(1), sampling=NO_TEMPERATURE) + GOOD,
    "failed-id-negative": GOOD + generate(prompt_of_ids(-1)) + GOOD,
    "failed-id-first": generate(prompt_of_ids(-1)) + generate(prompt_of_ids(263)) + GOOD,
    "failed-id-huge": GOOD + generate(prompt_of_ids(2**31 - 1), new=NEW_MOST) + GOOD,
    "failed-two-forms": GOOD + generate([5, 0, 1, 1, 0, 0]) + GOOD,
    "no-kv-left": [b for slot in range(3) for b in generate(prompt_of_ids(1), slot, NEW_MOST)] + GOOD,
    "empty-prompt-on-a-whole-line": generate(prompt_of_ids(1, 104), new=NEW_0)
    + generate(prompt_of_ids()) + GOOD,
    "empty-prompt-first": generate(prompt_of_ids()) + GOOD,
    **{f"cancelled-{at}": GOOD + generate(prompt_of_ids(1, 0, 104), cancel=(3, at)) + GOOD
       for at in range(4)},
    "called-back": generate(prompt_of_ids(1, 104), back=7) + GOOD,
    "model-defaults": generate(prompt_of_ids(1, 104), defaults=1) + GOOD,
    "moved-from-session": GOOD + [3, 0, 1, 2] + generate(prompt_of_ids(0), 1),
    "moved-from-stream": [6, 0, 2, 3, 3, 0, 0, 0, 1, 1],
    "stream-ends-in-between": [6, 1, 4, 3, 3, 10, 3, 0, 7, 0, 7, 7, 0, 0],
    "two-sessions": GOOD + generate(prompt_of_ids(0), 1) + generate(prompt_of_ids(104)),
    "score": score([[1, 0], [104]], 3),
    "score-cancelled": score([[1, 0]], 2, cancel=3),
    "score-last-only": score([[1, 0]], 2, last_only=1, of_last=1),
    "score-all-of-a-plan-for-the-last": score([[1, 0]], 2, of_last=1),
    "score-batch-above-the-sequences": score([[1], [0], [1]], 0),
    "score-batch-0": score([[1]], 1),
    "score-batch-most": score([[1], [0]], 12),
    "score-no-rows": score([], 2),
    "score-empty-row": score([[]], 2),
    "score-id-negative": score([[-1, 1]], 2),
    **{f"score-path-{path}": score([[1, 0]], 2, path=path) for path in (1, 2, 3)},
    "plan-sums-wrap": plan(12, 12, 2) + plan(0, 12, 12) + plan(0, 0, 0, 1, 12),
    "plan-no-sequences": plan(0, 0, 1) + plan(0, 0, 1, 1),
    "plan-most-sequences": plan(2, 2, 12, 1) + plan(2, 2, 8) + plan(2, 2, 9),
    "settings-typo": [9, 0, 0, 0, 8, 0, 0, 0],
    "measure-nonsense": [12, 0, 0, 1, 0, 0, 12, 2, 2, 12, 2, 1, 0, 12, 5],
    "variables-deep": [7, 0, 1, 3, 17, 0, 3, 17, 2, 0, 0, 0, 0],
    "variables-deep-in-a-prompt": [0, 0, 2, 0, 0, 0, 1, NEW_3, 1, 0, 1, 0, 0, 1, 0, 1, 3, 17, 0, 0, 0],
    **{f"template-{index}": [7, 0, index, 0, 0, 5, 2, 0, 0, 0, 1] for index in range(9)},
    "runtime-dropped": [13, 3, 1] + generate(prompt_of_ids(1))[2:],
    "random-model": [11, 1, 7, 1, 1, 0, 11, 1, 7, 0, 1, 3, 11, 1, 7, 0, 0, 0],
    "lists-and-doctor": [15, 7, 0, 0],
    "plans-made-up": [15, 0, 2, 255, 200, 12, 1, 34, 3, 9, 1, 104, 0, 255, 255, 2, 0, 1],
    "decode-any-ids": [5, 0, 1, 1, 0, 4, 3, 8, 10, 11, 0, 1],
}


def main():
    for folder, seeds in (("model", MODELS), ("library", LIBRARY)):
        (HERE / folder).mkdir(exist_ok=True)
        for name, choices in seeds.items():
            (HERE / folder / name).write_bytes(bytes(choices))


if __name__ == "__main__":
    main()
