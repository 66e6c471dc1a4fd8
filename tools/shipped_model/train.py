"""Trains the shipped model from nothing, on batches from prompts.py.

usage: train.py --out FOLDER --tokenizer tokenizer.json --minutes M [--workers N] [--resume | --from FOLDER]

The plan is in minutes, not in steps: learning rate and shapes of the batches follow the share of the
time that is used up. Workers are processes of one thread that share weights and optimizer: each takes
its own batches and steps when it is ready, waiting for nobody, so that a busy core slows one of them
and not all. Checkpoints are written every few minutes.
"""

import argparse
import copy
import os
import random
import time
from dataclasses import dataclass

import torch
import torch.multiprocessing as multiprocessing
import torch.nn.functional as F

from model import CONFIG, Layout, Llama, load, save
from prompts import BatchMaker


@dataclass(frozen=True)
class Shape:
    """Of a batch. low, high: documents' sizes in tokens, the same for all of one batch."""
    low: int
    high: int
    drills: float  # share of batches whose documents are drills, see documents.Drill
    tokens: int = 3000  # of the whole batch
    questions: int = 24  # most, of one document
    jumps: float = 0.0  # share of batches whose positions jump, so that the last comes near gaps_to
    gaps_to: int = 2048


# From this share of the time on, the shapes of batches to choose from. Short documents first: the model
# learns there to look a fact up at all, which it would take far longer to find out in long ones. In the
# end a few are long: attention to many tokens is learnt from those, and distances beyond them from the
# jumps in position.
SHAPES = [
    (0.00, [Shape(25, 70, 0.3)]),
    (0.10, [Shape(30, 130, 0.7)]),
    (0.35, [Shape(30, 150, 0.7), Shape(100, 400, 0.65)]),
    (0.55, [Shape(30, 150, 0.6)] + [Shape(100, 420, 0.55)] * 2),
    (0.80, [Shape(30, 200, 0.5)] + [Shape(100, 430, 0.45)] * 3 + [Shape(300, 800, 0.4, jumps=0.3, tokens=3500)]),
]
TEXT_WEIGHT = 0.05  # of the loss on document and question text, beside 1 for answers
TEXT_SHARE = 0.1  # of those positions, at random: their logits cost much and teach little
# Heads that are told where to look, as long as training lasts: to find out alone that a document's subjects
# must be told apart takes the model far longer. Guide -> what of a layer's attention (see Layout.watched),
# layer, heads. In a sentence the fact looks for its subject's name, or the name for a fact before it; the
# end of a question looks for the name in it, then for the fact, and last for the words to say. One head does
# the first and the third of these, so that what it finds is written down alike and can be compared.
GUIDED = {"name of a fact": (0, 3, (3,)), "name asked for": (2, 3, (3,)), "fact of a name": (0, 3, (0,)),
          "fact asked for": (1, 4, (2, 3)), "fact told": (1, 5, (2,))}
GUIDE_WEIGHT = 0.25
AVERAGE_DECAY = 0.985  # a step
WARM_UP, DECAY_FROM, CLIP = 0.01, 0.4, 1.0
MATRIX_RATE, OTHER_RATE, WEIGHT_DECAY = 0.02, 0.004, 0.02
WATCHED = {"short documents": Shape(40, 160, 0.0), "300 to 400 tokens": Shape(300, 400, 0.0),
           "drills": Shape(100, 200, 1.0)}


def shapes_at(share):
    return [shapes for start, shapes in SHAPES if start <= share][-1]


def rate_at(share):
    if share < WARM_UP:
        return share / WARM_UP
    return max(0.02, min(1.0, (1 - share) / (1 - DECAY_FROM)))


class Optimizer:
    """Muon for matrices, Adam for the rest; all its state lies in memory that the workers share.

    Muon: momentum whose update is made orthogonal. Source: Jordan et al., "Muon", 2024.
    """

    def __init__(self, model):
        self.matrices, self.others = [], []
        for name, weight in model.named_parameters():
            (self.matrices if weight.dim() == 2 and "embed" not in name else self.others).append(weight)
        self.momenta = [torch.zeros_like(w).share_memory_() for w in self.matrices]
        self.means = [torch.zeros_like(w).share_memory_() for w in self.others]
        self.squares = [torch.zeros_like(w).share_memory_() for w in self.others]
        self.steps = torch.zeros(1).share_memory_()

    def state(self):
        return self.momenta + self.means + self.squares + [self.steps]

    @torch.no_grad()
    def step(self, factor):
        groups = {}
        for weight, momentum in zip(self.matrices, self.momenta):
            momentum.lerp_(weight.grad, 0.05)
            groups.setdefault(weight.shape, []).append((weight, weight.grad.lerp(momentum, 0.95)))
        rate = MATRIX_RATE * factor
        for shape, pairs in groups.items():
            updates = orthogonal(torch.stack([update for _, update in pairs]))
            scale = max(1.0, shape[0] / shape[1]) ** 0.5
            for (weight, _), update in zip(pairs, updates):
                weight.mul_(1 - rate * WEIGHT_DECAY)
                weight.add_(update, alpha=-rate * scale)
        self.steps += 1
        count, rate = float(self.steps), OTHER_RATE * factor
        for weight, mean, square in zip(self.others, self.means, self.squares):
            mean.lerp_(weight.grad, 0.1)
            square.lerp_(weight.grad.square(), 0.02)
            scale = (square / (1 - 0.98 ** count)).sqrt_().add_(1e-8)
            weight.addcdiv_(mean, scale, value=-rate / (1 - 0.9 ** count))


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


def hidden_of(model, batch, layout):
    with torch.autocast("cpu", torch.bfloat16):
        return model(torch.as_tensor(batch.ids), torch.as_tensor(batch.positions), layout=layout)


def losses_of(model, batch):
    """Mean losses over the answers' tokens, over some of the other text, and of the guides."""
    layout = Layout(batch, {layer for _, layer, _ in GUIDED.values()})
    hidden, ids = hidden_of(model, batch, layout), torch.as_tensor(batch.ids)
    answers, texts = torch.as_tensor(batch.answers), torch.as_tensor(batch.texts)
    texts = texts[torch.rand(texts.shape) < TEXT_SHARE]
    chosen = torch.cat((answers, texts))
    with torch.autocast("cpu", torch.bfloat16):
        logits = model.logits(hidden.index_select(0, chosen))
    losses = F.cross_entropy(logits.float(), ids[chosen + 1], reduction="none")
    guided = [guide_loss(layout.watched[layer][part][:, head], batch.guides[name])
              for name, (part, layer, heads) in GUIDED.items() for head in heads]
    return losses[:len(answers)].mean(), losses[len(answers):].mean(), torch.stack(guided)


def guide_loss(attention, guide):
    """How little attention [rows, steps, steps looked at] follows the guide."""
    if not len(guide):
        return torch.zeros(())
    number, row, step, target = torch.as_tensor(guide).unbind(1)
    found = attention[row, step, target].float()
    return -torch.zeros(int(number[-1]) + 1).index_add(0, number, found).clamp(min=1e-20).log().mean()


@torch.no_grad()
def accuracy(model, maker, shape, batches=3):
    """Share of whole answers that greedy decoding gets right, on documents of the test split."""
    right = asked = 0
    for number in range(batches):
        batch = maker.batch("watch", number, shape)
        hidden, ids = hidden_of(model, batch, Layout(batch)), torch.as_tensor(batch.ids)
        answers = torch.as_tensor(batch.answers)
        hit = model.logits(hidden[answers].float()).argmax(-1) == ids[answers + 1]
        for start, end in zip([0, *batch.last[:-1]], batch.last):
            right += bool(hit[start:end].all())
            asked += 1
    return right / asked


class Board:
    """What workers tell each other: the share of the plan that is done, steps and sums for the log."""

    def __init__(self, share):
        self.share = multiprocessing.Value("d", share)
        guides = sum(len(heads) for _, _, heads in GUIDED.values())
        self.sums = torch.zeros(4 + guides, dtype=torch.float64).share_memory_()  # batches, tokens, losses
        self.lock = multiprocessing.Lock()


def work(model, optimizer, board, args, number, done):
    """Steps of one worker until the plan is over."""
    torch.set_num_threads(1)
    torch.manual_seed(args.seed * 100 + number)
    maker, parent = BatchMaker(args.tokenizer), os.getppid()
    while board.share.value < 1 and os.getppid() == parent:
        share = board.share.value
        step = done * args.workers + number
        shape = random.Random(f"shape/{args.seed}/{step}").choice(shapes_at(share))
        batch = maker.batch(args.seed, step, shape)
        done += 1
        for weight in model.parameters():
            weight.grad = None
        answer_loss, text_loss, guide_losses = losses_of(model, batch)
        (answer_loss + TEXT_WEIGHT * text_loss + GUIDE_WEIGHT * guide_losses.sum()).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        with board.lock:
            optimizer.step(rate_at(share) * args.rate)
            board.sums += torch.tensor(
                [1, len(batch.ids), *(float(loss.detach()) for loss in (answer_loss, text_loss, *guide_losses))])


class Average:
    """The weights' mean over the last steps, which is the better model as long as the rate is high."""

    def __init__(self, model, steps):
        self.model = copy.deepcopy(model)
        self.steps = steps

    @torch.no_grad()
    def follow(self, model, steps):
        share = 1 - AVERAGE_DECAY ** (steps - self.steps)
        self.steps = steps
        for mean, weight in zip(self.model.parameters(), model.parameters()):
            mean.lerp_(weight, share)


def write(args, model, average, optimizer, spent):
    torch.save({"model": model.state_dict(), "average": average.model.state_dict(), "optimizer": optimizer.state(),
                "spent": spent}, f"{args.out}/state.part")
    os.replace(f"{args.out}/state.part", f"{args.out}/state.pt")
    save(average.model, args.out)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", required=True)
    parser.add_argument("--tokenizer", required=True)
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--resume", action="store_true", help="go on from the checkpoint in the folder")
    parser.add_argument("--from", dest="origin", help="folder of the weights to begin with")
    parser.add_argument("--start", type=float, default=0.0, help="share of the plan to begin at")
    parser.add_argument("--rate", type=float, default=1.0, help="factor on the learning rates")
    args = parser.parse_args()
    os.makedirs(args.out, exist_ok=True)
    torch.set_num_threads(1)
    torch.manual_seed(args.seed)

    model = load(args.origin) if args.origin else Llama(CONFIG)
    model.share_memory()
    optimizer = Optimizer(model)
    spent, done = args.start * args.minutes * 60, 0
    if args.resume:
        state = torch.load(f"{args.out}/state.pt")
        model.load_state_dict(state["model"])
        for tensor, saved in zip(optimizer.state(), state["optimizer"]):
            tensor.copy_(saved)
        spent = spent or state["spent"]
        done = int(optimizer.steps)
    average = Average(model, int(optimizer.steps))
    if args.resume:
        average.model.load_state_dict(state.get("average", state["model"]))
    print(f"{sum(w.numel() for w in model.parameters())} parameters, from step {int(optimizer.steps)}", flush=True)

    board = Board(spent / args.minutes / 60)
    workers = [multiprocessing.Process(target=work, args=(model, optimizer, board, args, number, done), daemon=True)
               for number in range(args.workers)]
    for worker in workers:
        worker.start()
    watcher = BatchMaker(args.tokenizer, "test")
    last, shown_at, saved_at = time.time(), spent, spent
    while spent < args.minutes * 60:
        time.sleep(1)
        now = time.time()
        spent, last = spent + min(now - last, 5), now  # a stop in between (SIGSTOP) is not training
        board.share.value = spent / args.minutes / 60
        average.follow(model, int(optimizer.steps))
        if spent - shown_at > 30 and board.sums[0] > 0:
            with board.lock:
                batches, tokens, answers, text, *guides = board.sums.tolist()
                board.sums.zero_()
            print(f"{spent / 60:6.1f} min  step {int(optimizer.steps)}  answers {answers / batches:.3f}  text "
                  f"{text / batches:.3f}  guides {' '.join(f'{g / batches:.2f}' for g in guides)}  "
                  f"{tokens / (spent - shown_at):.0f} tokens/s", flush=True)
            shown_at = spent
        if spent - saved_at > 240:
            write(args, model, average, optimizer, spent)
            right = ", ".join(f"{accuracy(average.model, watcher, shape):.3f} in {name}" for name, shape in WATCHED.items())
            print(f"{spent / 60:6.1f} min  step {int(optimizer.steps)}  right: {right}", flush=True)
            saved_at = spent
    for worker in workers:
        worker.join()
    average.follow(model, int(optimizer.steps))
    write(args, model, average, optimizer, spent)


if __name__ == "__main__":
    multiprocessing.set_start_method("fork")
    main()
