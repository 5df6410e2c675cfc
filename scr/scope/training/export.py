"""Trained weights → a folder that ships: calibrated on held-out pairs, with a threshold.

`python -m scr.scope.training.export --data DATA --run FOLDER --to WEIGHTS`
"""

from __future__ import annotations

import argparse
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np

from scr.scope.cross_encoder import CrossEncoder, CrossEncoderConfig

from .data import make_pairs
from .measure import auroc, calibration_error, platt
from .pairs import Pair
from .train import CHOOSING, Settings

TRAINED_ON = (
    "KnowEdit WikiData_counterfact and WikiData_recent, training files (Apache-2.0)",
    "zsRE, training records (MIT)",
    "CounterFact (MIT)",
    "PokeMQA pairs (MIT)",
    "WikiFactDiff (MIT)",
)


def held_out(folder: Path, settings: Settings) -> list[Pair]:
    """Held-out pairs that neither the training nor the choice of the best weights saw."""
    pairs = make_pairs(folder, settings.seed, settings.rounds)
    return [pair for pair in pairs if pair.split == "tune"][CHOOSING:]


def export(pairs: list[Pair], trained: Path, target: Path, arithmetic: str, near_miss_rate: float) -> dict[str, float]:
    """Write weights and a calibrated config.json into a folder.

    Args:
        pairs: held-out pairs.
        trained: `trained.safetensors` of a run.
        target: folder to write.
        arithmetic: see `CrossEncoderConfig`.
        near_miss_rate: share of the held-out near-misses that may lie above the threshold.

    Returns:
        figures on the held-out pairs.
    """
    target.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(trained, target / "model.safetensors")
    config = CrossEncoderConfig(arithmetic=arithmetic, trained_on=TRAINED_ON)
    config.write(target)
    logits = CrossEncoder.from_pretrained(target).logits([(pair.fact, pair.query) for pair in pairs])
    labels = np.array([pair.label > 0.5 for pair in pairs])
    scale, shift = platt(logits, labels)
    chances = 1 / (1 + np.exp(-(scale * logits + shift)))
    misses = np.array([not pair.label and pair.kind not in ("general", "task") for pair in pairs])
    threshold = float(np.clip(np.quantile(chances[misses], 1 - near_miss_rate), 0.5, 0.95))
    replace(config, scale=scale, shift=shift, threshold=round(threshold, 3)).write(target)
    return {
        "pairs": len(pairs),
        "auroc": auroc(chances[labels], chances[~labels]),
        "calibration_error": calibration_error(chances, labels),
        "threshold": threshold,
        "recall": float(np.mean(chances[labels] >= threshold)),
        "near_misses_above": float(np.mean(chances[misses] >= threshold)),
    }


def main() -> None:
    """Read the options, export, print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the data sets")
    parser.add_argument("--run", type=Path, required=True, help="folder that the training wrote")
    parser.add_argument("--to", type=Path, required=True, help="folder to write")
    parser.add_argument("--arithmetic", choices=("fp32", "int8"), default="fp32")
    parser.add_argument("--near-miss-rate", type=float, default=0.02)
    given = parser.parse_args()
    settings = Settings(**json.loads((given.run / "settings.json").read_text(encoding="utf-8")))
    trained = given.run / "trained.safetensors"
    figures = export(held_out(given.data, settings), trained, given.to, given.arithmetic, given.near_miss_rate)
    print(json.dumps(figures, indent=1))  # noqa: T201 - a command's output


if __name__ == "__main__":
    main()
