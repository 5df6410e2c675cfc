"""Training the scope classifier: seeded, resumable from its last checkpoint, on CPU or GPU."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import nn

from scr.progress import bar
from scr.scope.measure import auroc

from .data import Tokens, tokenise
from .model import PairModel
from .pairs import Pair

CHOOSING = 2500
"""Held-out pairs that the best weights are chosen by; the others are for calibration."""


@dataclass(frozen=True)
class Settings:
    """Everything that shapes a run.

    Attributes:
        seed: of pairs, order and initial weights.
        pairs: training pairs seen in all.
        batch: pairs per step.
        rate: peak learning rate, reached after `warmup` steps, held, then falling in a line over the last `cooling` of
            all steps: a run can be made longer or shorter as long as it has not begun to cool.
        warmup: steps.
        cooling: share of the steps.
        decay: weight decay.
        smoothing: labels are moved this far towards one half.
        every: steps between checkpoints.
    """

    seed: int = 0
    pairs: int = 200_000
    batch: int = 64
    rate: float = 2e-4
    warmup: int = 150
    cooling: float = 0.35
    decay: float = 0.01
    smoothing: float = 0.01
    every: int = 250

    @property
    def steps(self) -> int:
        """Optimiser steps in all."""
        return self.pairs // self.batch

    def rate_at(self, step: int) -> float:
        """Learning rate of a step."""
        if step < self.warmup:
            return self.rate * (step + 1) / self.warmup
        left = (self.steps - step) / max(1.0, self.steps * self.cooling)
        return self.rate * max(0.01, min(1.0, left))


def batches(lengths: NDArray[np.int64], batch: int, seed: int) -> Iterator[NDArray[np.int64]]:
    """Rows of pairs of like length, epoch after epoch; shuffled within windows of 50 batches and among them."""
    order = np.random.default_rng(seed)
    while True:
        rows = order.permutation(len(lengths))
        for start in range(0, len(rows), batch * 50):
            window = rows[start : start + batch * 50]
            window = window[np.argsort(lengths[window], kind="stable")]
            parts = [window[i : i + batch] for i in range(0, len(window), batch)]
            for place in order.permutation(len(parts)):
                yield parts[place]


class Trainer:
    """Holds a run's state: model, optimiser, step.

    Args:
        model: the network.
        settings: of the run.
        out: folder for checkpoints, log and weights.
    """

    def __init__(self, model: PairModel, settings: Settings, out: Path) -> None:
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.model = model.to(self.device)
        self.settings = settings
        self.out = out
        self.step = 0
        trained = [p for p in model.parameters() if p.requires_grad]
        self.optimiser = torch.optim.AdamW(trained, lr=settings.rate, weight_decay=settings.decay, betas=(0.9, 0.98))

    def run(self, train: Tokens, tune: Tokens, kinds: list[str]) -> None:
        """Train to the last step, saving as it goes; the best weights by the held-out loss stay on disk."""
        best = self.resume()
        feed = batches(train.lengths, self.settings.batch, self.settings.seed)
        for _ in range(self.step):
            next(feed)
        losses: list[float] = []
        with bar("Training (steps)", self.settings.steps) as advance:
            advance(self.step)
            while self.step < self.settings.steps:
                losses.append(self.learn(train, next(feed)))
                self.step += 1
                advance(1)
                if self.step % self.settings.every == 0 or self.step == self.settings.steps:
                    best = self.take_stock(tune, kinds, float(np.mean(losses[-300:])), best)

    def take_stock(self, tune: Tokens, kinds: list[str], train_loss: float, best: float) -> float:
        """Measure, log, keep the weights if they are the best so far, write a checkpoint; the best held-out loss."""
        figures = self.evaluate(tune, kinds) | {"step": self.step, "train_loss": train_loss}
        with (self.out / "log.jsonl").open("a", encoding="utf-8") as log:
            log.write(json.dumps(figures) + "\n")
        if figures["loss"] < best:
            best = figures["loss"]
            self.model.save_trained(self.out / "trained.safetensors")
        self.checkpoint(best)
        return best

    def learn(self, data: Tokens, rows: NDArray[np.int64]) -> float:
        """One optimiser step; its loss."""
        self.model.train()
        for group in self.optimiser.param_groups:
            group["lr"] = self.settings.rate_at(self.step)
        ids, mask, types, labels = (torch.from_numpy(part).to(self.device) for part in data.batch(rows))
        soft = labels * (1 - 2 * self.settings.smoothing) + self.settings.smoothing
        with torch.autocast(self.device.type, torch.bfloat16):
            logits = self.model(ids, mask, types)
        loss = nn.functional.binary_cross_entropy_with_logits(logits.float(), soft)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimiser.step()
        return float(loss.detach())

    def logits(self, data: Tokens) -> NDArray[np.float32]:
        """Logit of every pair, shape (n,)."""
        self.model.eval()
        found = np.zeros(len(data), np.float32)
        order = np.argsort(data.lengths, kind="stable")
        with torch.no_grad(), torch.autocast(self.device.type, torch.bfloat16):
            for start in range(0, len(order), 256):
                rows = order[start : start + 256]
                ids, mask, types, _ = (torch.from_numpy(part).to(self.device) for part in data.batch(rows))
                found[rows] = self.model(ids, mask, types).float().cpu().numpy()
        return found

    def evaluate(self, data: Tokens, kinds: list[str]) -> dict[str, float]:
        """Held-out loss, AUROC over all and of each kind against every pair of the other label."""
        logits = self.logits(data)
        labels = data.labels > 0.5
        figures = {
            "loss": float(np.mean(np.logaddexp(0, np.where(labels, -logits, logits)))),
            "auroc": auroc(logits[labels], logits[~labels]),
        }
        for kind in sorted(set(kinds)):
            own = np.array([k == kind for k in kinds])
            positive = bool(labels[own].mean() > 0.5)
            figures[kind] = (
                auroc(logits[own & labels], logits[~labels])
                if positive
                else auroc(logits[labels], logits[own & ~labels])
            )
        return figures

    def checkpoint(self, best: float) -> None:
        """Write weights, optimiser and step, so that the run can go on from here."""
        state = {f"model.{name}": p.detach().clone() for name, p in self.model.named_parameters() if p.requires_grad}
        for index, entry in self.optimiser.state_dict()["state"].items():
            state |= {f"optimiser.{index}.{name}": torch.as_tensor(value).clone() for name, value in entry.items()}
        state["step"] = torch.tensor(self.step)
        state["best"] = torch.tensor(best)
        save_file(state, self.out / "checkpoint.tmp")
        (self.out / "checkpoint.tmp").replace(self.out / "checkpoint.safetensors")

    def resume(self) -> float:
        """Go on from the folder's checkpoint, if it has one; the best held-out loss so far."""
        path = self.out / "checkpoint.safetensors"
        if not path.exists():
            return math.inf
        state = load_file(path)
        own = dict(self.model.named_parameters())
        with torch.no_grad():
            for name, tensor in state.items():
                if name.startswith("model."):
                    own[name.removeprefix("model.")].copy_(tensor)
        slots: dict[int, dict[str, torch.Tensor]] = {}
        for name, tensor in state.items():
            if name.startswith("optimiser."):
                _, index, key = name.split(".")
                slots.setdefault(int(index), {})[key] = tensor
        self.optimiser.load_state_dict({"state": slots, "param_groups": self.optimiser.state_dict()["param_groups"]})
        self.step = int(state["step"])
        return float(state["best"])


def split(pairs: list[Pair]) -> tuple[list[Pair], list[Pair]]:
    """Pairs to train on and a held-out sample to choose the best weights by."""
    train = [pair for pair in pairs if pair.split == "train"]
    tune = [pair for pair in pairs if pair.split == "tune"]
    return train, tune[:CHOOSING]


def fit(train: list[Pair], tune: list[Pair], base: Path, out: Path, settings: Settings, init: Path | None) -> None:
    """Train on pairs, or go on with a run that was cut off.

    Args:
        train: to learn from.
        tune: held out, to choose the best weights by.
        base: folder of all-MiniLM-L6-v2.
        out: folder for checkpoints, log and `trained.safetensors`.
        settings: of the run.
        init: `trained.safetensors` to start from instead of the base.
    """
    out.mkdir(parents=True, exist_ok=True)
    (out / "settings.json").write_text(json.dumps(asdict(settings), indent=1), encoding="utf-8")
    torch.manual_seed(settings.seed)
    tokenizer = base / "tokenizer.json"
    model = PairModel(base)
    if init:
        model.load_trained(init)
    Trainer(model, settings, out).run(
        tokenise(train, tokenizer), tokenise(tune, tokenizer), [pair.kind for pair in tune]
    )
