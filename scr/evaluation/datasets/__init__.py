"""Data sets of knowledge editing, each as cases: edits with the questions that measure them.

A data set is asked for by a name (its file lies in ``SCR_DATA``, or is fetched by its public name), as ``NAME=PATH``,
as a path whose layout its records show, or as ``hf:ID[:SPLIT]``, which goes through the ``datasets`` library.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scr.errors import UsageError
from scr.evaluation.cases import Case
from scr.evaluation.datasets.hub import fetch
from scr.evaluation.datasets.layout import Layout
from scr.evaluation.datasets.reading import read
from scr.evaluation.datasets.records import Record
from scr.evaluation.datasets.registry import KNOWN, Known, data_folder, find, names, recognise

__all__ = ["Loaded", "load", "names"]

_HUB = "hf:"


@dataclass(frozen=True, slots=True)
class Loaded:
    """A data set as cases.

    Attributes:
        name: as it was asked for; of a path, the file's name without its suffix; of a file that stands in for the
            set's own, both names ("wiki_recent (wiki_recent_train)").
        cases: in the order of the file.
        source: the path, or ``hf:ID:SPLIT``.
        skipped: records that ask nothing about their own edit, and so are no cases.
        records: how many there are to draw from, those that are skipped included.
        digest: of the file, or of its records where it is no file.
        stand_in: whether the file is another than the name's own.
    """

    name: str
    cases: tuple[Case, ...]
    source: str
    skipped: int = 0
    records: int = 0
    digest: str = ""
    stand_in: bool = False

    @property
    def file(self) -> str:
        """Which file it is, or public name: nothing of where it lies on this machine."""
        where = self.source.removeprefix(_HUB)
        place = where if where == self.source else where.rpartition(":")[0]
        if where == self.source or Path(place).exists():
            return Path(place).name
        return self.source

    def provenance(self) -> dict[str, Any]:
        """What results say of it."""
        told = {"file": self.file, "digest": self.digest, "records": self.records, "drawn": len(self.cases)}
        return {**told, "skipped": self.skipped}


def load(what: str, *, limit: int | None = None, seed: int = 0) -> Loaded:
    """Load a data set and check every record of it.

    Args:
        what: a name, a path, ``NAME=PATH``, ``NAME=hf:ID[:SPLIT]`` or ``hf:ID[:SPLIT]``. A NAME that is none
            of the known ones is what to call it.
        limit: take a random sample of so many cases, in the order of the file; None for all.
        seed: decides the sample. A larger sample of one seed holds the smaller ones.

    Raises:
        UsageError: there is no such data set, or a record of it is not as it should be.
        MissingExtra: it is to be fetched by its public name, and the library for that is missing.
    """
    if limit is not None and limit < 1:
        raise UsageError(f"a sample of {limit} cases measures nothing: choose at least 1")
    found = _find(what)
    layout = (found.layout or _recognised(found)).beside(found.path)
    made = [layout.case(record) for record in found.records]
    cases = [case for case in made if case is not None]
    if not cases:
        raise UsageError(f"{found.source}: no record asks anything about its own edit: give another file")
    _check_ids(cases)
    drawn, skipped = tuple(_sample(cases, limit, seed)), len(made) - len(cases)
    return Loaded(found.name, drawn, found.source, skipped, len(made), _digest(found), found.stand_in)


@dataclass(frozen=True, slots=True)
class _Found:
    """Records with what is known of them."""

    name: str
    records: list[Record]
    source: str
    path: Path | None = None
    layout: type[Layout] | None = None
    stand_in: bool = False


def _digest(found: _Found) -> str:
    """SHA-256 of the file, as ``sha256sum`` prints it; of records that are no single file, of them as JSON."""
    if found.path and found.path.is_file():
        with found.path.open("rb") as file:
            return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
    digest = hashlib.sha256()
    for record in found.records:
        digest.update(json.dumps(record.fields, sort_keys=True, default=str).encode() + b"\n")
    return f"sha256:{digest.hexdigest()}"


def _find(what: str) -> _Found:
    before, equals, after = what.partition("=")
    if equals and (known := find(before)):
        return _at(before, after, known.open())
    if known := find(what):
        return _named(what, known)
    if what.startswith(_HUB) or Path(what).exists():
        return _at("", what, None)
    if before and after and (after.startswith(_HUB) or Path(after).expanduser().exists()):
        return _at(before, after, None)
    raise UsageError(
        f"{before if equals else what} is neither a data set nor a file; there are {', '.join(names())}, or NAME=PATH"
    )


def _named(name: str, known: Known) -> _Found:
    folder = data_folder()
    there = [folder / file for file in (*known.files, *known.stand_ins) if folder and (folder / file).exists()]
    if folder and there:
        path = there[0]
        stand_in = path.relative_to(folder).as_posix() in known.stand_ins
        called = f"{name} ({path.stem})" if stand_in else name
        return _Found(called, read(path), str(path), path, known.open(), stand_in)
    if known.hub:
        source = f"{_HUB}{known.hub}:{known.split}"
        return _Found(name, fetch(known.hub, known.split, known.part), source, None, known.open())
    place = f"no {known.files[0]} in the folder of data (SCR_DATA)" if known.files else "no file of its own"
    raise UsageError(f"{name} has {place}: give yours as {name}=PATH")


def _at(name: str, where: str, layout: type[Layout] | None) -> _Found:
    if not where.startswith(_HUB):
        path = Path(where).expanduser()
        return _Found(name or path.stem, read(path), str(path), path, layout)
    one, colon, split = where.removeprefix(_HUB).rpartition(":")
    if not colon or "/" in split or "\\" in split:
        one, split = where.removeprefix(_HUB), ""
    several = [known for known in KNOWN.values() if known.hub == one and known.part]
    if several and not layout:
        named = [name for name, known in KNOWN.items() if known in several]
        raise UsageError(f"{_HUB}{one} holds several data sets: ask for one by name: {', '.join(named)}")
    split = split or next((known.split for known in KNOWN.values() if known.hub == one), "train")
    return _Found(name or Path(one).name, fetch(one, split), f"{_HUB}{one}:{split}", None, layout)


def _recognised(found: _Found) -> type[Layout]:
    layout = recognise(found.records[0].fields)
    if layout is None:
        keys = ", ".join(map(str, list(found.records[0].fields)[:8]))
        raise UsageError(f"{found.records[0].where}: no known layout has the keys {keys}: say it as NAME=PATH")
    return layout


def _check_ids(cases: Sequence[Case]) -> None:
    seen: set[str] = set()
    for case in cases:
        # They become names of files, and some systems do not tell capitals apart.
        if case.id.lower() in seen:
            raise UsageError(f'two records have the "id" {case.id} (capitals do not count): give each its own')
        seen.add(case.id.lower())


def _sample(cases: list[Case], limit: int | None, seed: int) -> list[Case]:
    if limit is None or limit >= len(cases):
        return cases
    order = list(range(len(cases)))
    random.Random(seed).shuffle(order)  # noqa: S311 (a sample that can be drawn again, not a secret)
    return [cases[place] for place in sorted(order[:limit])]
