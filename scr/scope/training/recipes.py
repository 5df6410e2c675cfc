"""The two ways to a classifier: on pairs of one's own, or from nothing on the public sets (`scr scope train`)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import xxhash

from scr.assets import minilm_folder
from scr.encoder import open_encoder
from scr.errors import MissingExtra, UsageError
from scr.scope.cross_encoder import SHIPPED

from .pairs import Pair, Split

_TUNE_SHARE = 15
_LEAST_PAIRS = 40
_EPOCHS = 4


def own_pairs(judged: Sequence[tuple[str, str, bool]]) -> list[Pair]:
    """Pairs of (fact, query, whether it governs); the pairs of about one query in seven are held out.

    Raises:
        UsageError: they are too few, or one part lacks a label.
    """
    pairs = [
        Pair(fact, query, float(governs), "governs" if governs else "near", "own", _part_of(query))
        for fact, query, governs in judged
    ]
    for part in ("train", "tune"):
        labels = {pair.label for pair in pairs if pair.split == part}
        if len(pairs) < _LEAST_PAIRS or labels != {0.0, 1.0}:
            raise UsageError(
                f"{len(pairs)} pairs are too few to train on: give more queries, in scope and out of it, near the facts"
            )
    return pairs


def _part_of(query: str) -> Split:
    return "tune" if xxhash.xxh64_intdigest(query.encode()) % 100 < _TUNE_SHARE else "train"


def train_own(pairs: Sequence[Pair], out: Path, *, seed: int = 0) -> dict[str, float]:
    """Train the shipped classifier further on pairs of one's own; a run that was cut off goes on.

    One on other pairs or of another seed does not: this begins anew in its place.

    Args:
        pairs: of `own_pairs`.
        out: folder for the classifier; checkpoints lie in its folder `training`.
        seed: of the order.

    Returns:
        figures on the held-out pairs.

    Raises:
        MissingExtra: torch or transformers are not installed.
    """
    try:
        from .export import export
        from .train import Settings, fit
    except ModuleNotFoundError:
        raise MissingExtra("local", "training") from None

    train = [pair for pair in pairs if pair.split == "train"]
    tune = [pair for pair in pairs if pair.split == "tune"]
    settings = Settings(
        seed=seed, pairs=_EPOCHS * len(train), batch=min(32, len(train)), rate=5e-5, warmup=10, every=50, cooling=0.5
    )
    run = out / "training"
    _keep_to(run, pairs, seed)
    fit(train, tune, minilm_folder(), run, settings, SHIPPED / "model.safetensors")
    return export(tune, run / "trained.safetensors", out, ("the user's own pairs",))


def _keep_to(run: Path, pairs: Sequence[Pair], seed: int) -> None:
    """Leave a run of other pairs or another seed behind: what it learned is not to pass for what is learned now."""
    lines = sorted(json.dumps([pair.fact, pair.query, pair.label]) for pair in pairs)
    mark = xxhash.xxh3_128_hexdigest("\n".join([str(seed), *lines]).encode())
    note = run / "data.txt"
    if not note.is_file() or note.read_text(encoding="utf-8") != mark:
        for name in ("checkpoint.safetensors", "trained.safetensors", "log.jsonl"):
            (run / name).unlink(missing_ok=True)
    run.mkdir(parents=True, exist_ok=True)
    note.write_text(mark, encoding="utf-8")


def train_public(data: Path, out: Path, *, pairs: int | None = None) -> dict[str, float]:
    """Train a classifier from all-MiniLM-L6-v2 and the public sets; a run that was cut off goes on.

    The first stage learns from pairs made of each record alone, the second also from the facts that retrieval finds
    near a question and that do not govern it. The second is run twice, from other draws, and its weights are averaged
    (Wortsman et al. 2022, Model soups): runs that start from one place err in different ways.

    Args:
        data: folder of the sets, laid out as `sources` reads them.
        out: folder for the classifier; checkpoints lie in its folder `training`.
        pairs: most pairs in a stage, for a trial.

    Returns:
        figures on held-out pairs.

    Raises:
        MissingExtra: torch or transformers are not installed.
        UsageError: a set is missing.
    """
    try:
        from .data import make_pairs
        from .export import TRAINED_ON, average, export
        from .train import CHOOSING, Settings, fit, split
    except ModuleNotFoundError:
        raise MissingExtra("local", "training") from None

    first, *seconds = (
        Settings(seed=0, pairs=128_000, cooling=0.0),
        Settings(seed=1, pairs=200_000),
        Settings(seed=2, pairs=200_000),
    )

    def stage(settings: Settings, start: Path | None) -> tuple[Path, list[Pair]]:
        run = out / "training" / f"seed-{settings.seed}"
        try:
            every = make_pairs(data, settings.seed, encoder=open_encoder() if start else None)
        except FileNotFoundError as error:
            raise UsageError(f"{error.filename} is missing: give the folder of the public sets") from None
        train, tune = split(every)
        shorter = replace(settings, pairs=min(settings.pairs, pairs or settings.pairs))
        fit(train, tune, minilm_folder(), run, shorter, start)
        return run / "trained.safetensors", [pair for pair in every if pair.split == "tune"][CHOOSING:]

    begun, _ = stage(first, None)
    ended = [stage(settings, begun) for settings in seconds]
    mean = average([weights for weights, _ in ended], out / "training" / "mean.safetensors")
    return export(ended[-1][1], mean, out, TRAINED_ON)
