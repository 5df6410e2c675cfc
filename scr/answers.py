"""The file of answers to bulk questions: a line each, in the order of the input, whatever order they come in.

Each answer is on the disk when it is there. One that waits for an earlier one lies in ``OUT.early`` until its turn, so
that a run which is killed loses none, and the next one asks for none again. What the answers depend on is kept in
``OUT.parameters``, so that no run goes on with other ones.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, TextIO, TypeAlias

from scr.errors import UsageError
from scr.lines import as_json

Record: TypeAlias = dict[str, Any]

# What a line begins with that a kill has cut off; anything else is somebody's file, and nothing is taken from it.
_BEGINNINGS = (b'{"id": ', b'{"custom_id": ')
_EARLY = (b'{"place": ',)


@dataclass(frozen=True, slots=True)
class Earlier:
    """What earlier runs have answered.

    Attributes:
        done: ids of the lines that the output has, in order.
        early: answers that waited for an earlier one, by the question's place in the input, from 0.
    """

    done: Collection[str | int] = ()
    early: Mapping[int, Record] = field(default_factory=dict)


def resume(output: Path) -> Earlier:
    """What earlier runs have answered; a last line that a kill has cut off is taken away.

    Without the output, what waited for it is of no use and goes too.

    Raises:
        UsageError: the file is not one that this wrote, or cannot be one.
    """
    try:
        early = {int(line["place"]): dict(line["record"]) for line in _whole_lines(_beside(output), _EARLY)}
        if not output.exists():
            _beside(output).unlink(missing_ok=True)
            return Earlier()
        return Earlier(_Ids(output, sum(1 for _ in map(_id, _whole_lines(output, _BEGINNINGS)))), early)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        raise UsageError(
            f"{output} (or {_beside(output).name}) is not an output of `scr batch`: choose another -o"
        ) from None


@contextmanager
def held(output: Path) -> Iterator[Earlier]:
    """What :func:`resume` finds, with other processes kept from the output until the block ends.

    Raises:
        UsageError: another one is writing it, it cannot be written, or is not one that this wrote.
    """
    if output.is_dir() or not output.absolute().parent.is_dir():
        raise UsageError(f"cannot write {output}: it is a folder or lies in none: choose another -o")
    from filelock import FileLock, Timeout

    lock = output.with_name(output.name + ".lock")
    try:
        with FileLock(lock, timeout=0):
            try:
                yield resume(output)
            finally:
                with suppress(OSError):  # a file that is held open cannot go everywhere
                    lock.unlink()
    except Timeout:
        raise UsageError(f"another `scr batch` is writing {output}: wait for it, or choose another -o") from None


def _whole_lines(path: Path, beginnings: tuple[bytes, ...]) -> Iterator[Any]:
    if not path.exists():
        return
    with path.open("r+b") as file:
        end = 0
        for data in file:
            if not data.endswith(b"\n"):
                if not any(data.startswith(one[: len(data)]) for one in beginnings):
                    raise ValueError("not a line that was cut off")
                break
            yield json.loads(data)
            end += len(data)
        file.truncate(end)


def _beside(output: Path) -> Path:
    return output.with_name(output.name + ".early")


class _Ids(Collection[str | int]):
    """Ids of an output's first lines: read as they are asked for, since an output may have any number of them."""

    def __init__(self, output: Path, number: int) -> None:
        self._output, self._number = output, number

    def __len__(self) -> int:
        return self._number

    def __iter__(self) -> Iterator[str | int]:
        with self._output.open("rb") as file:
            for data in islice(file, self._number):
                yield _id(json.loads(data))

    def __contains__(self, identity: object) -> bool:
        return any(one == identity for one in self)


def _agree(output: Path, parameters: Mapping[str, Any], *, begun: bool) -> None:
    """Keep what the answers depend on beside an output that begins; one that was begun has to have the same.

    Earlier versions kept none. It is not known what their answers depend on, so nothing is added to these.

    Raises:
        UsageError: it was begun with other parameters, or the file beside it is of something else.
    """
    path = output.with_name(output.name + ".parameters")
    if path.exists():
        try:
            there = dict(json.loads(path.read_bytes()))
        except (ValueError, TypeError, RecursionError):
            raise UsageError(f"{path} is damaged, or not of `scr batch`: choose another -o") from None
        names = [name for name in parameters if name in there and there[name] != parameters[name]]
        if begun and names:
            different = ", ".join(f"{name} {there[name]!r}, not {parameters[name]!r}" for name in names)
            raise UsageError(
                f"{output} was begun with other parameters ({different}): choose another -o, repeat them, or delete it "
                "to begin anew"
            )
    if begun:
        return
    # Written aside and renamed, so that a kill leaves no half of it.
    aside = path.with_name(path.name + ".part")
    aside.write_text(json.dumps(parameters, indent=1) + "\n", encoding="utf-8")
    aside.replace(path)


def _id(record: Mapping[str, Any]) -> str | int:
    if not record.keys() & {"answer", "error"}:
        raise KeyError("answer")
    identity: str | int = record["custom_id"] if "custom_id" in record else record["id"]
    return identity


class Answers:
    """Takes records in any order and writes them in the order of their places.

    Attributes:
        done: ids of the lines that are there already.
        claimed: how many records of an earlier run were claimed.
    """

    def __init__(self, out: TextIO, earlier: Earlier | None = None, beside: Path | None = None) -> None:
        """Write to ``out``, and to the file ``beside`` what waits; None keeps that in memory alone."""
        earlier = earlier or Earlier()
        self.done = earlier.done
        self.claimed = 0
        self._out, self._beside = out, beside
        self._next = len(self.done)
        self._early: dict[int, Record] = {}
        self._unclaimed = {place: record for place, record in earlier.early.items() if place >= self._next}
        self._waiting: TextIO | None = None

    @classmethod
    @contextmanager
    def append_to(
        cls, output: Path, earlier: Earlier, parameters: Mapping[str, Any] | None = None
    ) -> Iterator[Answers]:
        """Go on with a file that :func:`resume` has read; no answer is left beside it unless the block raises.

        Args:
            output: the file.
            earlier: what it has.
            parameters: what the answers depend on, as JSON knows it; kept beside the output. None asks for none.

        Raises:
            UsageError: answers are there that depend on other parameters.
        """
        if parameters is not None:
            _agree(output, parameters, begun=bool(earlier.done or earlier.early))
        beside = _beside(output)
        with output.open("a", encoding="utf-8") as out:
            answers = cls(out, earlier, beside)
            try:
                yield answers
                beside.unlink(missing_ok=True)
            finally:
                if answers._waiting:
                    answers._waiting.close()

    def claim(self, place: int, identity: str | int) -> Record | None:
        """The record that an earlier run has made of this question, if it did."""
        record = self._unclaimed.pop(place, None)
        if record is None or _id(record) != identity:
            return None
        self.claimed += 1
        return record

    def put(self, place: int, record: Record) -> None:
        """Keep the record of the question at this place of the input, from 0."""
        if place != self._next:
            self._keep(place, record)
            return
        self._early[place] = record
        while self._next in self._early:
            self._out.write(as_json(self._early.pop(self._next)) + "\n")
            self._next += 1
        self._out.flush()
        if self._waiting and not (self._early or self._unclaimed):
            self._waiting.truncate(0)

    def _keep(self, place: int, record: Record) -> None:
        self._early[place] = record
        if self._beside is None:
            return
        if self._waiting is None:
            # For appending: else what is written after it was emptied would begin behind a hole.
            self._waiting = self._beside.open("a", encoding="utf-8")
        self._waiting.write(as_json({"place": place, "record": record}) + "\n")
        self._waiting.flush()
