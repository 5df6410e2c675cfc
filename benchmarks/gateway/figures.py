"""From answers to figures: what a cell of the table is, and how sure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
from numpy.typing import NDArray

from benchmarks.gateway.load import Load

_RESAMPLES, _SEED = 2_000, 0


@dataclass(frozen=True)
class Round:
    """One loop of clients.

    Attributes:
        load: its answers.
        cpu_ms: milliseconds of CPU that the server took for each, in all its processes.
    """

    load: Load
    cpu_ms: float


@dataclass(frozen=True)
class Row:
    """All rounds of one server under one load.

    Attributes:
        server: ``bare``, ``gateway N %`` by the share of questions that have a fact, or ``litellm``.
        clients: how many ask at once.
        requests: answers that came whole.
        errors: answers that did not.
        edited: share of the whole ones that the gateway put facts into.
        per_second: requests a second, median of the rounds.
        first_ms: time to first event: median, 95th and 99th percentile.
        total_ms: time to the end, the same.
        cpu_ms: CPU of the server for a request, median of the rounds.
        added_ms: time to first event less that of the bare server: median and 99th percentile, each with its 95 %
            bootstrap interval (answers resampled within rounds).
        throughput_share: of the bare server's requests a second: median, lowest and highest of the rounds.
    """

    server: str
    clients: int
    requests: int
    errors: int
    edited: float
    per_second: float
    first_ms: dict[str, float]
    total_ms: dict[str, float]
    cpu_ms: float
    added_ms: dict[str, list[float]] | None = None
    throughput_share: list[float] | None = None


def row(server: str, clients: int, rounds: Sequence[Round], bare: Sequence[Round] | None) -> Row:
    """One row of the table; ``bare`` are the rounds beside these, in the same order."""
    good = [sample for one in rounds for sample in one.load.good]
    compared = bare is not None and good and all(one.load.good for one in (*bare, *rounds))
    return Row(
        server=server,
        clients=clients,
        requests=len(good),
        errors=sum(len(one.load.samples) for one in rounds) - len(good),
        edited=round(sum(sample.edited for sample in good) / max(len(good), 1), 3),
        per_second=round(median(map(_rate, rounds)), 2),
        first_ms=_percentiles([sample.first_ms for sample in good]),
        total_ms=_percentiles([sample.total_ms for sample in good]),
        cpu_ms=round(median(one.cpu_ms for one in rounds), 2),
        added_ms=_added(rounds, bare) if compared and bare else None,
        throughput_share=_shares(rounds, bare) if compared and bare else None,
    )


def _rate(one: Round) -> float:
    return len(one.load.good) / one.load.seconds


def _percentiles(milliseconds: Sequence[float]) -> dict[str, float]:
    if not milliseconds:
        return {}
    found = np.percentile(milliseconds, [50, 95, 99])
    return {name: round(float(value), 2) for name, value in zip(("median", "p95", "p99"), found, strict=True)}


def _shares(rounds: Sequence[Round], bare: Sequence[Round]) -> list[float]:
    shares = [_rate(one) / _rate(other) for one, other in zip(rounds, bare, strict=True)]
    return [round(value, 3) for value in (median(shares), min(shares), max(shares))]


def _added(rounds: Sequence[Round], bare: Sequence[Round]) -> dict[str, list[float]]:
    chance = np.random.default_rng(_SEED)
    mine, theirs = _first(rounds), _first(bare)
    drawn = np.array(
        [_quantiles(_resampled(mine, chance)) - _quantiles(_resampled(theirs, chance)) for _ in range(_RESAMPLES)]
    )
    low, high = np.percentile(drawn, [2.5, 97.5], axis=0)
    seen = _quantiles(mine) - _quantiles(theirs)
    named = zip(("median", "p99"), zip(seen, low, high, strict=True), strict=True)
    return {name: [round(float(value), 2) for value in values] for name, values in named}


def _first(rounds: Sequence[Round]) -> list[NDArray[np.float64]]:
    return [np.array([sample.first_ms for sample in one.load.good]) for one in rounds]


def _resampled(rounds: Sequence[NDArray[np.float64]], chance: np.random.Generator) -> list[NDArray[np.float64]]:
    return [chance.choice(one, len(one)) for one in rounds]


def _quantiles(rounds: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    return np.asarray(np.percentile(np.concatenate(rounds), [50, 99]))


def plot(rows: Sequence[Row], title: str, path: Path) -> None:
    """What is added to the first event, and the share of the bare throughput, by the number of clients."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, (added, share) = plt.subplots(1, 2, figsize=(11, 4.5))
    compared = [(one, one.added_ms, one.throughput_share) for one in rows if one.added_ms and one.throughput_share]
    for server in dict.fromkeys(one.server for one, *_ in compared):
        some = [each for each in compared if each[0].server == server]
        clients = [one.clients for one, *_ in some]
        line = added.plot(clients, [more["median"][0] for _, more, _ in some], "o-", label=server)[0]
        added.plot(clients, [more["p99"][0] for _, more, _ in some], "v:", color=line.get_color())
        share.plot(clients, [shares[0] for *_, shares in some], "o-", color=line.get_color())
    for level in (15, 40):
        added.axhline(level, color="grey", linewidth=0.8, linestyle="--")
    share.axhline(0.95, color="grey", linewidth=0.8, linestyle="--")
    added.set(ylabel="ms added to the first event (dotted: 99th percentile)", yscale="symlog")
    share.set(ylabel="share of the bare throughput", ylim=(0, 1.15))
    for panel in (added, share):
        panel.set_xscale("log", base=2)
        panel.set_xlabel("clients")
        panel.grid(alpha=0.3)
    added.legend(frameon=False)
    figure.suptitle(title)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
