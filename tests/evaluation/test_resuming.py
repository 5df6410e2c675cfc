"""A run that is gone on with holds answers to what is asked, and says what is wrong with its folder."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest

from scr.editors import Asked, Edit, EditReport, Prepared, Traits, registry
from scr.editors.registry import Workbench
from scr.encoder import Encoder
from scr.engines import Completion, Outcome, Prompt, Sampling
from scr.errors import EngineUnavailable, UsageError
from scr.evaluation import settings
from scr.evaluation.datasets import load
from scr.evaluation.evaluate import evaluate
from scr.evaluation.lint import Finding
from scr.evaluation.plan import Model, Plan
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


def run(folder: Path, *datasets: str | Path, engine: Echo | None = None, **changes: Any) -> Results:
    """The two baselines, with a stand-in for a model."""
    asked = engine or Echo()
    loaded = [load(str(one)) for one in datasets]
    plan = Plan(loaded, [], [Model("echo", lambda: asked)], [None], Settings(), no_encoder, timed=0)
    return evaluate(replace(plan, **changes), folder, silent)


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


def test_cases_that_are_kept_have_the_flaws_that_are_found_now(mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, key = mine.parent / "run", RowKey("mine", "echo", "bare", 3)
    run(folder, mine, edits=[1, None])
    before, *_ = read_cases(folder, key)
    found = [Finding(before.case, 1, "contradicted", "by a rule that is new")]
    monkeypatch.setattr("scr.evaluation.evaluate.findings", lambda _: found)
    asked = Echo()
    results = run(folder, mine, engine=asked, edits=[1])
    assert asked.asked == []
    after, *same = read_cases(folder, key)  # a row that is not asked for again
    assert same
    assert not any(one.flaws for case in same for one in case.answered)
    assert [one.flaws for one in after.answered] == [
        ("contradicted",) if n == 1 else () for n in range(len(after.answered))
    ]
    assert [replace(one, flaws=()) for one in after.answered] == [replace(one, flaws=()) for one in before.answered]
    assert results.lint == {"mine": {"contradicted": 1}}


@pytest.mark.parametrize("method", ["scr:llm", "scr:cascade"])
def test_a_question_to_the_model_that_cannot_be_used_is_said_before_any_work(method: str, mine: Path) -> None:
    prompts = mine.parent / "prompts"
    prompts.mkdir()
    (prompts / "chat.jinja").write_text("{% for fact in facts %}{{ fact.text }} {% endfor %}{{ query }}")
    (prompts / "scope.jinja").write_text("{{ query")
    asked = Echo()
    with pytest.raises(UsageError, match=r"scope\.jinja, line 1 cannot be used"):
        run(mine.parent / "run", mine, engine=asked, methods=[method], prompts=prompts)
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


class Marked:
    """Stands for a weight editor of another package: its model marks what it says."""

    traits: ClassVar[Traits] = Traits("marked", "weights")
    applied: ClassVar[list[int]] = []

    def __init__(self) -> None:
        self.engine = Echo()
        self.reports: list[EditReport] = []

    @classmethod
    def open(cls, bench: Workbench, option: str) -> Marked:
        del bench, option
        return cls()

    def apply(self, edits: Sequence[Edit]) -> Marked:
        self.reports = []
        self.add(edits)
        return self

    def add(self, edits: Sequence[Edit]) -> None:
        self.applied.append(len(edits))
        self.reports.append(EditReport(len(edits), 2.0 * len(edits), 1000 + len(self.reports)))

    def prepare(self, asked: Sequence[Asked]) -> list[Prepared]:
        return [Prepared(one.prompt) for one in asked]

    def __enter__(self) -> Marked:
        return self

    def __exit__(self, *_: object) -> None:
        return


@pytest.fixture
def marked(monkeypatch: pytest.MonkeyPatch) -> type[Marked]:
    monkeypatch.setitem(registry._OWN, "marked", f"{__name__}:Marked")
    monkeypatch.setattr(Marked, "applied", [])
    return Marked


@pytest.mark.parametrize("one_by_one", [False, True])
def test_the_cost_of_a_change_of_weights_is_that_of_the_application_which_is_scored(
    mine: Path, marked: type[Marked], one_by_one: bool
) -> None:
    changes = {"methods": ["marked"], "timed": 2, "settings": Settings(one_by_one=one_by_one)}
    made = run(mine.parent / "run", mine, **changes)
    assert marked.applied == ([1, 1, 1] if one_by_one else [3]), "and not once more to be timed"
    (cost,) = (row.cost for row in made.rows if (row.method, row.split) == ("marked", "raw"))
    assert (cost["seconds_per_edit"], cost["peak_bytes"]) == (2.0, 1002 if one_by_one else 1000)
    assert cost["added_ms_per_query"] is not None
    assert run(mine.parent / "run", mine, **changes).rows == made.rows


@pytest.mark.parametrize(
    ("traits", "changes", "said"),
    [
        ({"sequential": False}, {"settings": Settings(one_by_one=True)}, "takes no further edits on top of earlier"),
        ({"batch": False}, {}, "takes one edit at a time: use --edits 1 or --one-by-one"),
        ({"batch": False, "sequential": False}, {}, "takes one edit at a time: use --edits 1$"),
        ({"needs": ("statistics",)}, {}, "marked needs a text .* SCR_CORPUS, or as --method 'marked:corpus=FILE'"),
        (
            {"needs": ("statistics",)},
            {"methods": ["marked:corpus=no.txt"]},
            r"there is no text file no\.txt for marked",
        ),
    ],
)
def test_what_a_method_cannot_do_is_said_before_any_work(
    mine: Path,
    marked: type[Marked],
    traits: dict[str, Any],
    changes: dict[str, Any],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("SCR_CORPUS", raising=False)
    monkeypatch.setattr(marked, "traits", Traits("marked", "weights", **traits))
    asked = Echo()
    with pytest.raises(UsageError, match=said):
        run(mine.parent / "run", mine, engine=asked, **{"methods": ["marked"], **changes})
    assert (asked.asked, marked.applied) == ([], [])


def test_other_contents_of_a_method_s_file_are_refused(
    mine: Path, marked: type[Marked], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(marked, "traits", Traits("marked", "weights", needs=("statistics",)))
    text = mine.parent / "wiki.txt"
    text.write_text("one")
    monkeypatch.setenv("SCR_CORPUS", str(text))
    folder = mine.parent / "run"
    run(folder, mine, methods=["marked"])
    text.write_text("two")
    with pytest.raises(UsageError, match=r"answers made with other contents of .*wiki\.txt: choose another -o"):
        run(folder, mine, methods=["marked"])
    run(folder, mine)
    text.write_text("one")
    run(folder, mine, methods=["marked"])


def test_another_encoder_in_the_same_folder_is_refused(mine: Path) -> None:
    folder, place = mine.parent / "encoder", mine.parent / "run"
    (folder / "1_Pooling").mkdir(parents=True)
    (folder / "1_Pooling" / "config.json").write_text("{}")
    run(place, mine, encoder_name=str(folder))
    (folder / "1_Pooling" / "config.json").write_text('{"pooling_mode_cls_token": true}')
    asked = Echo()
    with pytest.raises(UsageError, match=r"answers made with other contents of .*encoder: choose another -o"):
        run(place, mine, encoder_name=str(folder), engine=asked)
    assert asked.asked == []


def test_another_model_in_the_same_folder_is_refused(mine: Path) -> None:
    folder, place = mine.parent / "model", mine.parent / "run"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    models = [Model(str(folder), Echo)]
    run(place, mine, models=models)
    (folder / "config.json").write_text('{"rope_theta": 1}')
    with pytest.raises(UsageError, match=r"answers made with other contents of .*model: choose another -o"):
        run(place, mine, models=models)


def test_results_say_which_file_the_records_are_from(mine: Path) -> None:
    data = run(mine.parent / "run", f"own={mine}").parameters["data"]
    digest = hashlib.sha256(mine.read_bytes()).hexdigest()
    assert data == {"own": {"file": "mine.jsonl", "digest": f"sha256:{digest}", "records": 3, "drawn": 3, "skipped": 0}}
    other = invented.write(mine.parent / "other.jsonl")
    assert list(run(mine.parent / "run", other).parameters["data"]) == ["own", "other"]


def test_every_commit_that_a_run_was_made_by_is_kept(mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def made_by(commit: str | None) -> Callable[[], dict[str, Any]]:
        return lambda: {"commit": commit, "scr": "1.2.3"}

    folder = mine.parent / "run"
    monkeypatch.setattr(settings, "environment", made_by("aaaaaaa"))
    with pytest.raises(EngineUnavailable):  # cut off: there are no results that could say so
        run(folder, mine, engine=Echo(broken="anthem"))
    for commit in ("bbbbbbb+changes", None, "aaaaaaa"):
        monkeypatch.setattr(settings, "environment", made_by(commit))
        made = run(folder, mine).made
    assert made["commits"] == ["aaaaaaa", "bbbbbbb+changes", "1.2.3"]


def test_a_run_with_refused_questions_lists_them(mine: Path) -> None:
    results = run(mine.parent / "run", mine, engine=Echo(refused="The anthem of Norvania"))
    assert [(one.method, one.case, one.question) for one in results.errors] == [
        ("bare", "case-0", 3),
        ("oracle", "case-0", 3),
    ]
    assert {row.errors for row in results.rows} == {1}
    assert Results.read(mine.parent / "run") == results
