"""What all rows of a run share, and the folder that holds one run and no other."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from scr.context import Form
from scr.engines import Prompt, Sampling
from scr.errors import UsageError
from scr.evaluation.environment import environment, fingerprint
from scr.evaluation.results import Results, slug

_LOCK = ".lock"


@dataclass(frozen=True, slots=True)
class Settings:
    """How every question of a run is put and scored; rows can be added to a run, these cannot change.

    Attributes:
        prompt_form: ``chat``, or ``completion`` for a text to go on with.
        instruction: the system's turn before each question; empty for none. The same for every method.
        max_tokens: longest answer.
        one_by_one: whether edits are applied one after another, each scored right after too, or all at once.
        limit: how many records are drawn from a data set; None is all.
        ask: how many of these records' questions are asked, drawn too, with the edits of all in force; None is all.
        seed: of these draws.
        k: how many facts methods retrieve that leave that open.
        legacy: whether to measure probabilities under teacher forcing, and the fluency of free text.
    """

    prompt_form: Form = "chat"
    instruction: str = ""
    max_tokens: int = 32
    one_by_one: bool = False
    limit: int | None = None
    ask: int | None = None
    seed: int = 0
    k: int = 10
    legacy: bool = False

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        if self.instruction and self.prompt_form != "chat":
            raise UsageError("--instruction is a turn of a chat: leave it out with --prompt-form completion")

    @property
    def sampling(self) -> Sampling:
        """Greedy, up to the longest answer."""
        return Sampling(max_tokens=self.max_tokens)

    def asked(self, cases: int) -> frozenset[int]:
        """Places of the cases whose questions are asked, of so many."""
        places = list(range(cases))
        random.Random(self.seed).shuffle(places)  # noqa: S311 (a sample that can be drawn again, not a secret)
        return frozenset(places[: self.ask])

    def prompt(self, question: str) -> Prompt:
        """A question as it is put to the model."""
        if self.prompt_form == "completion":
            return question
        asked = {"role": "user", "content": question}
        return [{"role": "system", "content": self.instruction}, asked] if self.instruction else [asked]


@contextmanager
def opened_run(run: Path, settings: Settings, identity: dict[str, Any]) -> Iterator[None]:
    """A folder for a run with these settings, kept from other processes meanwhile.

    Args:
        run: the folder; made if it is not there.
        settings: have to be those of an earlier run in it.
        identity: what else answers depend on, such as the weights of the classifier.

    Raises:
        UsageError: it holds another run, or something else, or another process is at work on it.
    """
    wanted = {**asdict(settings), **identity}
    path = run / "parameters.json"
    if not path.exists() and run.exists() and (not run.is_dir() or any(one.name != _LOCK for one in run.iterdir())):
        raise UsageError(f"{run} is not empty and holds no run of `scr eval`: choose another -o")
    begun = (run / "cases").exists()
    if path.exists() and begun and (different := _differences(path, wanted)):
        raise UsageError(f"{run} holds a run with other parameters ({different}): choose another -o, or repeat them")
    run.mkdir(parents=True, exist_ok=True)
    with held(run):
        if not (path.exists() and begun):
            path.write_text(json.dumps(wanted, indent=1) + "\n", encoding="utf-8")
        yield


@contextmanager
def held(run: Path) -> Iterator[None]:
    """A run kept from other processes.

    Raises:
        UsageError: another one is at work on it.
    """
    from filelock import FileLock, Timeout

    try:
        with FileLock(run / _LOCK, timeout=0):
            yield
    except Timeout:
        raise UsageError(f"another process is at work on {run}: wait for it, or choose another run") from None


def claim(note: Path, identity: str) -> str | None:
    """Note what a name stands for in a run; if it stands for something else already, return that."""
    if note.exists():
        earlier = note.read_text(encoding="utf-8", errors="surrogateescape")
        return None if earlier == identity else earlier
    note.parent.mkdir(parents=True, exist_ok=True)
    write_whole(note, identity)
    return None


def check_contents(run: Path, name: str, path: Path, files: str = "**/*", made: str = "cases") -> None:
    """Refuse a file or folder whose contents are others than when the run's answers were made.

    Args:
        run: the folder.
        name: what the file is to the run.
        path: of the file or folder.
        files: which files of a folder count.
        made: where in the run the answers lie that depend on it; before there are any it may change.

    Raises:
        UsageError: they are others.
    """
    note = run / "inputs" / slug(name)
    if next(run.glob(made), None) is None:
        note.unlink(missing_ok=True)
    if claim(note, f"{name} {fingerprint(path, files)}") is not None:
        raise UsageError(f"{run} has answers made with other contents of {path}: choose another -o, or put those back")


def note_commit(run: Path) -> None:
    """Add this commit to those by which the run was made."""
    made = environment()
    commit, earlier = made["commit"] or made["scr"], commits(run)
    if commit not in earlier:
        claimed = run / "inputs" / "commits"
        claimed.parent.mkdir(exist_ok=True)
        write_whole(claimed, "\n".join([*earlier, commit]))


def commits(run: Path) -> list[str]:
    """By which the run was made, in their order; of an installed package, the versions."""
    note = run / "inputs" / "commits"
    if note.exists():
        return note.read_text(encoding="utf-8").splitlines()
    with suppress(UsageError):  # no results yet, or damaged ones
        return [commit] if (commit := Results.read(run).made.get("commit")) else []
    return []


def write_whole(path: Path, text: str) -> None:
    """Write a file aside and rename it, so that a kill leaves no half of it."""
    aside = path.with_suffix(".part")
    aside.write_text(text, encoding="utf-8", errors="surrogateescape")
    aside.replace(path)


def _differences(path: Path, wanted: dict[str, Any]) -> str:
    try:
        there = dict(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError):
        raise UsageError(f"{path} is damaged: choose another -o") from None
    names = [name for name in {**there, **wanted} if there.get(name) != wanted.get(name)]
    return ", ".join(f"{name} {there.get(name)!r}, not {wanted.get(name)!r}" for name in names)
