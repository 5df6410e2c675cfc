"""Everything the training reads, made ready: records without the tests' subjects, pairs, tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from scr.encoder import Encoder

from .build import Builder, test_subjects
from .mined import mined
from .pairs import Pair, Record, normal
from .sources import every_source

MAX_TOKENS = 160


def load_records(folder: Path) -> list[Record]:
    """The records of every training set whose subject is in no development test."""
    tests = test_subjects(folder)
    return [r for source in every_source(folder) for r in source.records() if normal(r.subject) not in tests]


def make_pairs(folder: Path, seed: int, encoder: Encoder | None = None) -> list[Pair]:
    """Labelled pairs of every part, without duplicates, shuffled; with an encoder, mined negatives among them."""
    records = load_records(folder)
    found: dict[tuple[str, str], Pair] = {}
    if encoder:
        for pair in mined(records, encoder, seed):
            found.setdefault((pair.fact, pair.query), pair)
    for pair in Builder(records, seed).pairs():
        found.setdefault((pair.fact, pair.query), pair)
    pairs = list(found.values())
    Random(seed).shuffle(pairs)  # noqa: S311 - seeded on purpose
    return pairs


@dataclass(frozen=True)
class Tokens:
    """Tokenised pairs, flat: pair i is ids[starts[i]:starts[i + 1]], its second segment from second[i] on.

    Attributes:
        ids: shape (sum of lengths,), int32.
        starts: shape (n + 1,), int64.
        second: shape (n,), int64.
        labels: shape (n,), float32.
    """

    ids: NDArray[np.int32]
    starts: NDArray[np.int64]
    second: NDArray[np.int64]
    labels: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens of each pair, shape (n,)."""
        return np.diff(self.starts)

    def batch(
        self, rows: Sequence[int] | NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
        """Ids, mask and segments, each of shape (b, longest), and labels (b,)."""
        longest = int(self.lengths[rows].max())
        ids, mask, types = (np.zeros((len(rows), longest), np.int64) for _ in range(3))
        for place, row in enumerate(rows):
            start, stop = self.starts[row], self.starts[row + 1]
            ids[place, : stop - start] = self.ids[start:stop]
            mask[place, : stop - start] = 1
            types[place, self.second[row] - start : stop - start] = 1
        return ids, mask, types, self.labels[rows]


def tokenise(pairs: Sequence[Pair], tokenizer_file: Path) -> Tokens:
    """[CLS] fact [SEP] query [SEP], the fact as the first segment."""
    tokenizer = Tokenizer.from_file(str(tokenizer_file))
    tokenizer.no_padding()
    tokenizer.enable_truncation(MAX_TOKENS)
    coded = tokenizer.encode_batch([(pair.fact, pair.query) for pair in pairs])
    lengths = np.array([len(code.ids) for code in coded], np.int64)
    starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    second = np.array(
        [
            start + code.type_ids.index(1) if 1 in code.type_ids else start
            for start, code in zip(starts[:-1], coded, strict=True)
        ],
        np.int64,
    )
    ids = np.concatenate([np.array(code.ids, np.int32) for code in coded])
    return Tokens(ids, starts, second, np.array([pair.label for pair in pairs], np.float32))
