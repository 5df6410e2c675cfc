"""A run that is gone on with holds answers to what is asked, and says what is wrong with its folder."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from scr.encoder import Encoder
from scr.engines import Completion, Outcome, Prompt, Sampling
from scr.errors import UsageError
from scr.evaluation.datasets import load
from scr.evaluation.evaluate import Model, Plan, evaluate
from scr.evaluation.results import Results, RowKey, read_cases
from scr.evaluation.settings import Settings

from . import invented
from .echo import Echo


@contextmanager
def silent(label: str, total: int) -> Iterator[Callable[[int], None]]:
    del label, total
    yield lambda _: None


def no_encoder() -> Encoder:
    raise AssertionError("neither bare nor oracle needs one")


def run(folder: Path, *datasets: str | Path, engine: Echo | None = None) -> Results:
    """The two baselines, with a stand-in for a model."""
    asked = engine or Echo()
    loaded = [load(str(one)) for one in datasets]
    plan = Plan(loaded, [], [Model("echo", lambda: asked)], [None], Settings(), no_encoder, timed=0)
    return evaluate(plan, folder, silent)


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    return invented.write(tmp_path / "mine.jsonl")


def test_a_file_of_ones_own_may_be_named(mine: Path) -> None:
    assert (load(f"own={mine}").name, len(load(f"own={mine}").cases)) == ("own", 3)
    with pytest.raises(UsageError, match="own is neither a data set nor a file"):
        load(f"own={mine}x")


@pytest.mark.parametrize(("old", "new"), [("Elmsport", "Otherport"), ("The anthem", "The new anthem")])
def test_other_records_of_one_name_are_refused(mine: Path, old: str, new: str) -> None:
    folder = mine.parent / "run"
    first = run(folder, mine)
    content = mine.read_text("utf-8")
    mine.write_text(content.replace(old, new), "utf-8")
    asked = Echo()
    with pytest.raises(UsageError, match="has answers to other records called mine: choose another -o"):
        run(folder, mine, engine=asked)
    assert asked.asked == []
    mine.write_text(content, "utf-8")
    assert run(folder, mine, engine=asked).rows == first.rows
    assert asked.asked == []


def test_data_sets_of_one_folder_are_refused(mine: Path) -> None:
    with pytest.raises(UsageError, match="two data sets are called a-b"):
        run(mine.parent / "run", f"a b={mine}", f"a-b={mine}")


@pytest.mark.parametrize("left", [0.0, 0.5])
@pytest.mark.parametrize(
    ("file", "said"),
    [
        ("cases/*/*/bare/*/*.json", r"a case in .*bare.* is damaged: delete the file case-0\.json"),
        ("cases/*/*/oracle/*/*.json", r"a case in .*oracle.* is damaged: delete the file case-0\.json"),
        ("cases/*/*/oracle/*.row.json", r"3\.row\.json is damaged: delete it"),
        ("answers/echo.jsonl", r"echo\.jsonl, line [0-9]+ is damaged: delete it"),
    ],
)
def test_a_damaged_file_is_named(mine: Path, file: str, said: str, left: float) -> None:
    folder = mine.parent / "run"
    first = run(folder, mine)
    path = min(folder.glob(file))
    content = path.read_text("utf-8")
    path.write_text(content[: int(len(content) * left)] + "\n", "utf-8")
    with pytest.raises(UsageError, match=said):
        run(folder, mine)
    path.unlink()
    assert run(folder, mine).rows == first.rows


def test_results_that_are_damaged_are_made_anew(mine: Path) -> None:
    folder = mine.parent / "run"
    first = run(folder, mine)
    (folder / "results.json").write_text("{", "utf-8")
    assert run(folder, mine) == first == Results.read(folder)


def test_a_kill_before_the_first_answer_leaves_a_folder_to_go_on_with(mine: Path) -> None:
    folder = mine.parent / "run"
    folder.mkdir()
    (folder / ".lock").touch()
    assert len(run(folder, mine).rows) == 4


class Half(Echo):
    """Answers with half of a surrogate pair, as servers that cut an emoji in two do."""

    def generate_each(self, prompts: Iterable[Prompt], sampling: Sampling) -> Iterator[tuple[int, Outcome]]:
        for place, _ in super().generate_each(prompts, sampling):
            yield place, Completion("half \ud83d", "stop", 1, 1)


def test_half_of_a_surrogate_pair_is_an_answer_like_others(mine: Path) -> None:
    folder, asked = mine.parent / "run", Half()
    run(folder, mine, engine=Half())
    key = RowKey("mine", "echo", "oracle", 3)
    assert {one.answer for case in read_cases(folder, key) for one in case.answered} == {"half \ud83d"}
    run(folder, mine, engine=asked)
    assert asked.asked == []
