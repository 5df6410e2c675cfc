"""The file of answers: order, what waits beside it, and what a kill leaves."""

from __future__ import annotations

import io
import json
from contextlib import suppress
from pathlib import Path

import pytest

from scr.answers import Answers, Earlier, resume
from scr.errors import UsageError


class Killed(BaseException):
    """Stands for a kill: nothing is done after it but what files hold."""


def record(number: int) -> dict[str, object]:
    return {"id": f"q{number}", "answer": f"é{number}"}


def written(path: Path) -> list[object]:
    return [json.loads(line)["id"] for line in path.read_text("utf-8").splitlines()]


def found(out: Path) -> tuple[list[object], object]:
    earlier = resume(out)
    assert len(earlier.done) == len([*earlier.done])
    return [*earlier.done], earlier.early


def test_the_order_is_that_of_the_places() -> None:
    out = io.StringIO()
    answers = Answers(out)
    for place, lines in ((1, 0), (3, 0), (0, 2), (2, 4)):
        answers.put(place, record(place))
        assert out.getvalue().count("\n") == lines
    assert [json.loads(line)["id"] for line in out.getvalue().splitlines()] == ["q0", "q1", "q2", "q3"]


def test_each_answer_is_on_the_disk_when_put_returns(tmp_path: Path) -> None:
    out, beside = tmp_path / "out", tmp_path / "out.early"
    with suppress(Killed), Answers.append_to(out, resume(out)) as answers:
        for place in (0, 2, 3):
            answers.put(place, record(place))
        assert found(out) == (["q0"], {2: record(2), 3: record(3)})
        answers.put(1, record(1))
        assert (written(out), beside.read_bytes()) == (["q0", "q1", "q2", "q3"], b"")
        answers.put(5, record(5))
        raise Killed
    with Answers.append_to(out, resume(out)) as answers:
        assert [*answers.done] == ["q0", "q1", "q2", "q3"]
        assert answers.claim(4, "q4") is None
        assert answers.claim(5, "q5") == record(5)
        answers.put(5, record(5))
        answers.put(4, record(4))
    assert written(out) == [f"q{n}" for n in range(6)]
    assert not beside.exists()


def test_torn_lines_are_cut_off(tmp_path: Path) -> None:
    out, beside = tmp_path / "out", tmp_path / "out.early"
    assert resume(out) == Earlier()
    out.write_bytes(b'{"id": 1, "answer": "x"}\n{"custom_id": "b", "error": null}\n{"id": 3, "ans')
    beside.write_bytes(b'{"place": 4, "record": {"id": 5}}\n{"place": 3, "record": {"id": 4')
    assert found(out) == ([1, "b"], {4: {"id": 5}})
    assert out.read_bytes().endswith(b"null}\n")
    assert beside.read_bytes().endswith(b"5}}\n")


@pytest.mark.parametrize("content", [b"[1]\n", b'{"answer": "x"}\n', b"\xff\n", b"my diary\n"])
@pytest.mark.parametrize("name", ["out", "out.early"])
def test_a_file_of_something_else_is_left_alone(tmp_path: Path, content: bytes, name: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UsageError, match="-o"):
        resume(tmp_path / "out")
    assert (tmp_path / name).read_bytes() == content


def test_what_waited_for_an_output_that_was_thrown_away_is_too(tmp_path: Path) -> None:
    out, beside = tmp_path / "out", tmp_path / "out.early"
    beside.write_text('{"place": 1, "record": {"id": "q1"}}\n')
    assert resume(out) == Earlier()
    with Answers.append_to(out, resume(out)) as answers:
        answers.put(2, record(2))
        assert resume(out).early == {2: record(2)}


def test_an_answer_to_another_question_is_not_claimed() -> None:
    answers = Answers(io.StringIO(), Earlier(["q0"], {0: record(0), 1: record(1), 2: record(2)}))
    assert answers.claim(0, "q0") is None, "it is in the output"
    assert answers.claim(1, "another") is None
    assert answers.claim(2, "q2") == record(2)
    assert answers.claim(2, "q2") is None
