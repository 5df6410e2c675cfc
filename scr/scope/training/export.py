"""Trained weights → a folder that can be opened: calibrated on held-out pairs, with a threshold and a model card."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from scr.scope.cross_encoder import WEIGHTS, CrossEncoder, CrossEncoderConfig
from scr.scope.measure import auroc, calibration_error, platt
from scr.scope.network import EXITS, Exits

from .exits import fit_exits
from .pairs import Pair

TRAINED_ON = (
    "KnowEdit WikiData_counterfact and WikiData_recent, training files (Apache-2.0)",
    "zsRE, training records (MIT)",
    "CounterFact (MIT)",
    "PokeMQA pairs (MIT)",
    "WikiFactDiff (MIT)",
)
_UNRELATED = ("general", "task")
_NEAR_MISSES_ABOVE = 0.02
# Of the training records' questions, .1 to .3 of 100 have their fact farther from the nearest; 3 of 10 are read.
_FLOOR, _MARGIN = 0.2, 0.2
# The other candidates are read if one of the first has more of a chance than two thirds of the pairs out of scope.
_FIRST, _DOUBTFUL = 4, 2 / 3


def export(
    pairs: Sequence[Pair], trained: Path, target: Path, trained_on: Sequence[str], arithmetic: str = "int8"
) -> dict[str, float]:
    """Write weights, a calibrated config.json and a model card into a folder.

    Args:
        pairs: held-out pairs.
        trained: `trained.safetensors` of a run.
        target: folder to write.
        trained_on: names of the data, for the reader.
        arithmetic: see `CrossEncoderConfig`.

    Returns:
        figures on the held-out pairs.
    """
    target.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(trained, target / WEIGHTS)
    (target / EXITS).unlink(missing_ok=True)  # of other weights
    config = CrossEncoderConfig(arithmetic=arithmetic, trained_on=tuple(trained_on))
    config.write(target)
    logits = CrossEncoder.from_pretrained(target).logits([(pair.fact, pair.query) for pair in pairs])
    labels = np.array([pair.label > 0.5 for pair in pairs])
    scale, shift = platt(logits, labels)
    chances = 1 / (1 + np.exp(-(scale * logits + shift)))
    misses = np.array([not pair.label and pair.kind not in _UNRELATED for pair in pairs])
    threshold = round(float(np.clip(np.quantile(chances[misses], 1 - _NEAR_MISSES_ABOVE), 0.5, 0.95)), 3)
    doubt = round(float(np.quantile(chances[~labels], _DOUBTFUL)), 5)
    config = replace(config, scale=scale, shift=shift, threshold=threshold, floor=_FLOOR, margin=_MARGIN)
    config = replace(config, first=_FIRST, doubt=doubt)
    config.write(target)
    figures = {
        "pairs": len(pairs),
        "auroc": round(auroc(chances[labels], chances[~labels]), 4),
        "calibration_error": round(calibration_error(chances, labels), 4),
        "threshold": threshold,
        "recall": round(float(np.mean(chances[labels] >= threshold)), 4),
        "near_misses_above": round(float(np.mean(chances[misses] >= threshold)), 4),
    }
    exits = fit_exits(CrossEncoder.from_pretrained(target), pairs)
    if exits:
        exits.write(target)
    (target / "README.md").write_text(card(config, figures, exits), encoding="utf-8")
    return figures


def average(runs: Sequence[Path], target: Path) -> Path:
    """Write the mean of the weights of runs that started from one place; returns the file."""
    from safetensors.numpy import load_file, save_file

    loaded = [load_file(path) for path in runs]
    mean = {
        name: np.mean([one[name].astype(np.float32) for one in loaded], axis=0).astype(first.dtype)
        for name, first in loaded[0].items()
    }
    save_file(mean, target)
    return target


def card(config: CrossEncoderConfig, figures: dict[str, float], exits: Exits | None) -> str:
    """The model card: what the classifier is, what it was trained on, what was measured."""
    data = "\n".join(f"- {name}" for name in config.trained_on)
    rows = "\n".join(f"| {name.replace('_', ' ')} | {value:g} |" for name, value in figures.items())
    return f"""# A scope classifier of scr

Reads a fact and a query together and says how probable it is that the fact governs the query. A cross-encoder that
starts from {config.base}: mean pooling, one linear layer. The files hold what training changed, in half precision; word
and position embeddings are the base's own.
{_early(exits)}
Open it with `--scope FOLDER`, or `CrossEncoder.from_pretrained("FOLDER")` of `scr.scope.cross_encoder`.

Trained on:

{data}

Measured on held-out pairs of the same kinds, whose subjects the training has not seen:

| figure | value |
| --- | --- |
{rows}

A fact applies from a probability of {config.threshold:g} on; `scr scope calibrate` sets that by an error budget.
"""


def _early(exits: Exits | None) -> str:
    if exits is None:
        return ""
    layers = " or ".join(map(str, exits.layers))
    return f"""
A pair that plainly does not match leaves after {layers} layers: `{EXITS}` says which, by a head that was fitted to
what the whole network says.
"""
