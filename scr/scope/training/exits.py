"""Early exits for a trained classifier: heads on its middle layers, fitted to what the whole network says."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import load
from torch.nn.functional import binary_cross_entropy_with_logits

from scr.assets import minilm_folder
from scr.bert import LinearHead
from scr.scope.cross_encoder import WEIGHTS, CrossEncoder, CrossEncoderConfig, write_network
from scr.scope.network import Exits, Network

from .pairs import Pair

LAYERS = (3,)
"""After how many of the six layers a pair may leave: after two some that should not have left, after four few were left
to leave."""

_LEAST_PAIRS, _MOST_PAIRS = 2_000, 40_000
_WORTH, _LOST = 0.005, 0.001
_LEAST_SLOPE = 1e-3
_CHOOSING = 0.3
_PENALTY = 1e-4
_STEPS = 100


def fit_exits(classifier: CrossEncoder, pairs: Sequence[Pair]) -> Exits | None:
    """Exits that at most one in a thousand takes of the held-out pairs to which the whole network gives any chance.

    Args:
        classifier: trained and calibrated.
        pairs: held out.

    Returns:
        None where there are too few pairs to fit them on.
    """
    some = [(pair.fact, pair.query) for pair in pairs[:_MOST_PAIRS]]
    if len(some) < _LEAST_PAIRS:
        return None
    *pooled, final = _pooled(classifier, some)
    heads = [_head(vectors, final[:, 0], classifier.config, _LOST / len(pooled)) for vectors in pooled]
    return Exits(np.array(LAYERS), *(np.array(part, np.float32) for part in zip(*heads, strict=True)))


def _head(
    vectors: NDArray[np.float32], final: NDArray[np.float32], config: CrossEncoderConfig, lost: float
) -> tuple[NDArray[np.float32], float, float]:
    """Weight, bias and the logit under which a pair leaves, of one exit.

    Args:
        vectors: what the head reads, shape (n, hidden).
        final: the whole network's logits, shape (n,).
        config: their calibration.
        lost: share of the pairs worth reading on that may leave.
    """
    chances = 1 / (1 + np.exp(-(config.scale * final + config.shift)))
    cut = int(len(final) * (1 - _CHOOSING))
    weight, bias = _logistic(vectors[:cut], chances[:cut])
    logits = vectors[cut:] @ weight + bias
    # Not only of those that fire: the order among the doubtful is to stay.
    worth = chances[cut:] >= min(_WORTH, config.threshold)
    below = float(np.quantile(logits[worth], lost, method="lower"))
    # Who leaves is to have the score that the whole network gives such pairs on average, not rank below all others.
    leaving = logits < below
    slope, shift = np.polyfit(logits[leaving], final[cut:][leaving], 1) if leaving.sum() > 1 else (1.0, 0.0)
    slope = max(slope, _LEAST_SLOPE)
    return weight * slope, bias * slope + shift, below * slope + shift


def _pooled(classifier: CrossEncoder, pairs: Sequence[tuple[str, str]]) -> list[NDArray[np.float32]]:
    """The mean over the tokens after each exit's layers, shape (n, hidden), and the network's logit, shape (n, 1)."""
    trained, base = (classifier.folder / WEIGHTS).read_bytes(), minilm_folder()
    width = load(trained)["head.weight"].shape[1]
    mean = LinearHead(np.eye(width, dtype=np.float32), np.zeros(width, np.float32))
    with TemporaryDirectory() as name:
        write_network(trained, classifier.config.arithmetic, base, dict.fromkeys(LAYERS, mean), Path(name))
        return classifier.with_network(Network.open(Path(name), [0.0] * len(LAYERS))).vectors(pairs)


def _logistic(vectors: NDArray[np.float32], chances: NDArray[np.float32]) -> tuple[NDArray[np.float32], float]:
    """Logistic regression on chances, with a ridge on standardised vectors; weight, shape (hidden,), and bias."""
    mean, deviation = vectors.mean(0), vectors.std(0) + 1e-6
    given = torch.from_numpy((vectors - mean) / deviation)
    wanted = torch.from_numpy(chances.astype(np.float32))
    weight = torch.zeros(given.shape[1], requires_grad=True)
    bias = torch.zeros((), requires_grad=True)
    optimiser = torch.optim.LBFGS([weight, bias], max_iter=_STEPS, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimiser.zero_grad()
        value = binary_cross_entropy_with_logits(given @ weight + bias, wanted) + _PENALTY * weight @ weight
        value.backward()  # type: ignore[no-untyped-call]
        return value

    optimiser.step(loss)  # type: ignore[no-untyped-call]
    found = weight.detach().numpy() / deviation
    return found, float(bias.detach() - found @ mean)
