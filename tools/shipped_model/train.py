"""Trains the shipped model from nothing, on rows from prompts.py.

usage: train.py --out FOLDER --tokenizer tokenizer.json --minutes M [--resume] [--threads N]

The plan is in minutes, not in steps: learning rate and shapes of the rows follow the share of the
time that is used up. Checkpoints, with the optimizer's state, are written every few minutes.
"""

import argparse
import multiprocessing
import os
import random
import time

import torch
import torch.nn.functional as F

from model import CONFIG, Llama, save
from prompts import RowMaker

# From this share of the time on, the shapes of batches to choose from: rows, tokens of a row, document
# tokens from, to, positions jump up to, share of branched batches. Short documents first: the model
# learns there to look a fact up at all, which it would take far longer to find out in long ones. In the
# end a few are long: attention to many tokens is learnt from those, and distances beyond them from the
# jumps in position.
SHAPES = [
    (0.00, [(40, 160, 25, 70, 0, 0.7)]),
    (0.12, [(24, 256, 30, 150, 0, 0.7)]),
    (0.28, [(12, 512, 40, 270, 2048, 0.75)]),
    (0.55, [(8, 768, 50, 430, 4096, 0.75)] * 11 + [(3, 1792, 500, 1200, 4096, 0.75)]),
    (0.72, [(8, 384, 30, 200, 4096, 0.75)] * 5 + [(4, 768, 120, 430, 4096, 0.75)] * 6
     + [(2, 1536, 500, 1000, 4096, 0.75)]),
]
TEXT_WEIGHT = 0.3  # of the loss on document and question text, beside 1 for answers
TEXT_SHARE = 0.15  # of those positions, at random: their logits cost much and teach little
WARM_UP, DECAY_FROM, CLIP = 0.01, 0.65, 1.0
MATRIX_RATE, OTHER_RATE, WEIGHT_DECAY = 0.02, 0.004, 0.02


WATCHED = ((8, 384, 40, 160, 0, 1.0), (6, 768, 300, 400, 0, 1.0))


def shapes_at(share):
    return [shapes for start, shapes in SHAPES if start <= share][-1]


def rate_at(share):
    if share < WARM_UP:
        return share / WARM_UP
    return max(0.02, min(1.0, (1 - share) / (1 - DECAY_FROM)))


class Muon(torch.optim.Optimizer):
    """Momentum whose update is made orthogonal; for matrices. Source: Jordan et al., "Muon", 2024."""

    def __init__(self, weights, lr):
        super().__init__(weights, {"lr": lr})

    @torch.no_grad()
    def step(self):
        groups = {}
        for group in self.param_groups:
            for weight in group["params"]:
                state = self.state[weight].setdefault("momentum", torch.zeros_like(weight))
                state.lerp_(weight.grad, 0.05)
                groups.setdefault(weight.shape, []).append((weight, weight.grad.lerp(state, 0.95)))
            for shape, pairs in groups.items():
                updates = orthogonal(torch.stack([update for _, update in pairs]))
                scale = max(1.0, shape[0] / shape[1]) ** 0.5
                for (weight, _), update in zip(pairs, updates):
                    weight.mul_(1 - group["lr"] * WEIGHT_DECAY)
                    weight.add_(update, alpha=-group["lr"] * scale)


def orthogonal(matrices):
    """The nearest half-orthogonal matrices, roughly, by five Newton-Schulz steps."""
    a, b, c = 3.4445, -4.7750, 2.0315
    x = matrices.to(torch.bfloat16) / (matrices.norm(dim=(1, 2), keepdim=True).to(torch.bfloat16) + 1e-7)
    wide = x.shape[1] <= x.shape[2]
    x = x if wide else x.mT
    for _ in range(5):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return (x if wide else x.mT).float()


def mask_of(blocks):
    """What a token may see, [rows, 1, tokens, tokens]: the document, and its own question before it."""
    blocks = torch.as_tensor(blocks)
    tokens = blocks.shape[1]
    same = blocks[:, :, None] == blocks[:, None, :]
    seen = (same | (blocks[:, None, :] == 0)) & torch.ones(tokens, tokens, dtype=torch.bool).tril()
    return torch.zeros(same.shape).masked_fill(~seen, float("-inf"))[:, None]


def hidden_of(model, batch):
    ids, answers, blocks, positions = batch
    ids, answers = torch.as_tensor(ids), torch.as_tensor(answers).bool()
    mask, plain = None, 0
    if blocks is not None:
        mask, plain = mask_of(blocks), int((blocks == 0).sum(1).min())
    with torch.autocast("cpu", torch.bfloat16):
        hidden = model(ids, torch.as_tensor(positions), mask, plain=plain)
    return hidden[:, :-1], ids[:, 1:], answers[:, 1:]


def loss_of(model, batch):
    hidden, targets, answers = hidden_of(model, batch)
    text = ~answers & (torch.rand(answers.shape) < TEXT_SHARE)
    losses = []
    for chosen in (answers, text):
        with torch.autocast("cpu", torch.bfloat16):
            logits = model.logits(hidden[chosen])
        losses.append(F.cross_entropy(logits.float(), targets[chosen]))
    return losses


@torch.no_grad()
def accuracy(model, maker, shape, batches=2):
    """Share of whole answers that greedy decoding gets right, on documents of the test split."""
    right = asked = 0
    for number in range(batches):
        ids, answers, blocks, positions = batch = maker.batch("watch", number, shape)
        hidden, targets, flags = hidden_of(model, batch)
        hit = model.logits(hidden).argmax(-1) == targets
        for row in range(len(ids)):
            # The last block may be cut off by the row's end.
            for block in range(1, blocks[row].max()):
                where = torch.as_tensor(blocks[row][1:] == block) & flags[row]
                right += bool(hit[row][where].all())
                asked += 1
    return right / asked


def feed(queue, tokenizer, seed, progress, step):
    """A process of its own that makes batches, as the shared `progress` wants them."""
    torch.set_num_threads(1)
    maker = RowMaker(tokenizer)
    while True:
        shape = random.Random(f"shape/{seed}/{step}").choice(shapes_at(progress.value))
        queue.put(maker.batch(seed, step, shape))
        step += 1


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", required=True)
    parser.add_argument("--tokenizer", required=True)
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--start", type=float, default=0.0, help="share of the plan to begin at")
    parser.add_argument("--rate", type=float, default=1.0, help="factor on the learning rates")
    args = parser.parse_args()
    os.makedirs(args.out, exist_ok=True)
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)

    model = Llama(CONFIG)
    matrices = [w for n, w in model.named_parameters() if w.dim() == 2 and "embed" not in n]
    others = [w for n, w in model.named_parameters() if w.dim() != 2 or "embed" in n]
    optimizers = [Muon(matrices, MATRIX_RATE * args.rate),
                  torch.optim.AdamW(others, OTHER_RATE * args.rate, betas=(0.9, 0.98), weight_decay=0.0)]
    base_rates = [MATRIX_RATE * args.rate, OTHER_RATE * args.rate]
    step, spent = 0, args.start * args.minutes * 60
    if args.resume:
        state = torch.load(f"{args.out}/state.pt")
        model.load_state_dict(state["model"])
        for optimizer, saved in zip(optimizers, state["optimizers"]):
            optimizer.load_state_dict(saved)
        step = state["step"]
        spent = state["spent"] if args.start == 0 else spent
    print(f"{sum(w.numel() for w in model.parameters())} parameters, from step {step}", flush=True)

    watcher = RowMaker(args.tokenizer, "test")
    progress = multiprocessing.Value("d", spent / args.minutes / 60)
    ready = multiprocessing.Queue(maxsize=3)
    feeder = multiprocessing.Process(target=feed, args=(ready, args.tokenizer, args.seed, progress, step), daemon=True)
    feeder.start()
    last = time.time()
    saved_at = shown_at = spent
    sums, tokens = [0.0, 0.0, 0], 0
    while spent < args.minutes * 60:
        share = spent / args.minutes / 60
        progress.value = share
        batch = ready.get()
        answer_loss, text_loss = loss_of(model, batch)
        (answer_loss + TEXT_WEIGHT * text_loss).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        for optimizer, base in zip(optimizers, base_rates):
            for group in optimizer.param_groups:
                group["lr"] = base * rate_at(share)
            optimizer.step()
            optimizer.zero_grad()
        step += 1
        tokens += batch[0].size
        sums = [sums[0] + float(answer_loss.detach()), sums[1] + float(text_loss.detach()), sums[2] + 1]
        now = time.time()
        spent, last = spent + now - last, now
        if spent - shown_at > 30:
            print(f"{spent / 60:6.1f} min  step {step}  answers {sums[0] / sums[2]:.3f}  text "
                  f"{sums[1] / sums[2]:.3f}  {tokens / (spent - shown_at):.0f} tokens/s", flush=True)
            sums, tokens, shown_at = [0.0, 0.0, 0], 0, spent
        if spent - saved_at > 180 or spent >= args.minutes * 60:
            right = [accuracy(model, watcher, shape) for shape in WATCHED]
            print(f"{spent / 60:6.1f} min  step {step}  right in short documents {right[0]:.3f}, "
                  f"in 300 to 400 tokens {right[1]:.3f}", flush=True)
            torch.save({"model": model.state_dict(), "optimizers": [o.state_dict() for o in optimizers],
                        "step": step, "spent": spent}, f"{args.out}/state.part")
            os.replace(f"{args.out}/state.part", f"{args.out}/state.pt")
            save(model, args.out)
            saved_at = spent
    feeder.terminate()


if __name__ == "__main__":
    main()
