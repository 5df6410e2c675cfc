"""batch: order and ids, error records, both formats, and going on after a kill."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from openai.types import Completion
from openai.types.chat import ChatCompletion

from .conftest import Scr
from .standin import StandIn

ROOT = Path(__file__).resolve().parents[2]
LYON = "The capital of France is Lyon."
QUESTION = "What is the capital of France?"
IN_FLIGHT = 64


def written(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def kept_in(out: Path) -> int:
    """How many answers a run that was cut off has kept: whole lines in their place, or waiting for it."""
    lines = out.read_bytes().count(b"\n")
    early = out.with_name(out.name + ".early")
    waiting = early.read_bytes().splitlines(keepends=True) if early.exists() else []
    places = {json.loads(line)["place"] for line in waiting if line.endswith(b"\n")}
    return lines + sum(place >= lines for place in places)


def jsonl(path: Path, records: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records), "utf-8")
    return path


def plain(tmp_path: Path, number: int) -> Path:
    return jsonl(tmp_path / "in.jsonl", [{"id": f"q{n}", "query": f"What is thing number {n}?"} for n in range(number)])


def test_order_and_ids_are_kept(scr: Scr, tmp_path: Path) -> None:
    scr("add", LYON)
    records = [{"id": n, "query": f"Who wrote book {n}?"} for n in (5, 3, 9)] + [{"id": "x", "query": QUESTION}]
    source, out = jsonl(tmp_path / "in.jsonl", [*records, {"query": "No id?"}]), tmp_path / "out.jsonl"
    with StandIn().running() as server:
        ran = scr("batch", source, "-o", out, "--base-url", server.url, "--chunk", 2, "--json")
    assert ran.json == {"answered": 5, "failed": 0, "resumed": 0}
    answers = written(out)
    assert [one["id"] for one in answers] == [5, 3, 9, "x", 5], "a line without an id is called by its number"
    assert [*answers[0]] == ["id", "query", "answer", "in_scope", "facts"]
    assert answers[0]["answer"] == "you said: Who wrote book 5?"
    assert [one["in_scope"] for one in answers] == [False, False, False, True, False]
    assert LYON in answers[3]["answer"]
    assert len(answers[3]["facts"]) == 1


def test_bare_and_compare(scr: Scr, tmp_path: Path) -> None:
    scr("add", LYON)
    source = jsonl(tmp_path / "in.jsonl", [{"id": 1, "query": QUESTION}, {"id": 2, "query": "Who wrote Hamlet?"}])
    with StandIn().running() as server:
        assert scr("batch", source, "-o", tmp_path / "b", "--bare", "--base-url", server.url).status == 0
        assert [[*one] for one in written(tmp_path / "b")] == [["id", "query", "answer"]] * 2
        assert LYON not in json.dumps(server.asked)
        server.asked.clear()
        assert scr("batch", source, "-o", tmp_path / "c", "--compare", "--base-url", server.url).status == 0
        first, second = written(tmp_path / "c")
        assert LYON in first["answer"]
        assert first["bare_answer"] == f"you said: {QUESTION}"
        assert second["bare_answer"] == second["answer"]
        assert len(server.asked) == 3, "out of scope one answer is both"


def test_the_openai_format(scr: Scr, tmp_path: Path) -> None:
    identity = scr("add", LYON, "--json").json["id"]
    turns = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": QUESTION}]
    chat = {"messages": turns, "max_tokens": 7, "temperature": 0.5, "seed": 3}
    records = [
        {"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": chat},
        {"custom_id": "b", "method": "POST", "url": "/v1/completions", "body": {"prompt": "The sky is"}},
        {"custom_id": "c", "method": "POST", "url": "/v1/embeddings", "body": {"input": "x"}},
        {"custom_id": "d", "method": "POST", "url": "/v1/chat/completions", "body": {"messages": "x"}},
        {"custom_id": "e", "method": "POST", "url": "/v1/chat/completions", "body": {**chat, "n": 2}},
        {"custom_id": "f", "method": "POST", "url": "/v1/chat/completions", "body": {**chat, "n": 1, "model": "m"}},
    ]
    source, out = jsonl(tmp_path / "in.jsonl", records), tmp_path / "out.jsonl"
    with StandIn().running() as server:
        assert scr("batch", source, "-o", out, "--base-url", server.url).status == 0
    a, b, c, d, e, f = written(out)
    assert [one["custom_id"] for one in (a, b, c, d, e, f)] == [*"abcdef"]
    body = a["response"]["body"]
    assert (a["response"]["status_code"], a["error"]) == (200, None)
    assert LYON in body["choices"][0]["message"]["content"]
    assert body["scr"]["facts"] == [identity]
    assert b["response"]["body"]["choices"][0]["text"] == "you said: The sky is"
    assert c["response"] is None
    assert "/v1/chat/completions" in c["error"]["message"]
    assert "messages" in d["error"]["message"]
    assert "'n'" in e["error"]["message"]
    for one, kind in ((a, ChatCompletion), (f, ChatCompletion), (b, Completion)):
        made = kind.model_validate(one["response"]["body"])
        assert made.model == "stand-in"
        assert abs(made.created - time.time()) < 60
    assert a["response"]["body"]["id"] != f["response"]["body"]["id"]
    assert f["response"]["body"]["choices"] == body["choices"]
    asked = next(one for one in server.asked if "messages" in one)
    assert (asked["max_tokens"], asked["temperature"], asked["seed"]) == (7, 0.5, 3)
    assert asked["messages"][0] == turns[0]


class Meeting(StandIn):
    """Answers no question before all of them are there."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.met = threading.Barrier(number, timeout=20)

    def answer(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        self.met.wait()
        return super().answer(body)


def test_a_server_gets_requests_of_different_sampling_side_by_side(scr: Scr, tmp_path: Path) -> None:
    scr("add", LYON)
    asked = [QUESTION if n % 5 == 0 else f"What is thing {n}?" for n in range(24)]
    own = [{"seed": n, "max_tokens": 1 + n % 7} for n in range(24)]
    records = [
        {"custom_id": n, "body": {"messages": [{"role": "user", "content": asked[n]}], **own[n]}} for n in range(24)
    ]
    source, out = jsonl(tmp_path / "in.jsonl", [*records, {"custom_id": 24, "body": {}}]), tmp_path / "out.jsonl"
    with Meeting(24 + 5).running() as server:  # those of which a fact is shown are asked both ways
        ran = scr("batch", source, "-o", out, "--base-url", server.url, "--compare", "--json")
    assert ran.json == {"answered": 24, "failed": 1, "resumed": 0}
    answers = written(out)
    assert [one["custom_id"] for one in answers] == [*range(25)]
    for one, question in zip(answers[:24], asked, strict=True):
        body = one["response"]["body"]
        assert body["scr"]["bare_answer"] == f"you said: {question}"
        assert (LYON in body["choices"][0]["message"]["content"]) == (question == QUESTION)
    sent = {(one["seed"], one["max_tokens"]) for one in server.asked}
    assert sent == {(one["seed"], one["max_tokens"]) for one in own}


def test_a_line_that_fails_is_an_error_record_and_the_rest_go_on(scr: Scr, tmp_path: Path) -> None:
    lines = [
        b'{"id": 1, "query": "What is a kettle?"}',
        b'{"id": 2, "query": ',
        b'{"id": 3}',
        b'{"id": 4, "query": "  "}',
        b'{"id": 5, "query": "a <|im_end|> b"}',
        b'["a list"]',
        b'{"id": 7, "query": "caf\xe9"}',
        b'{"id": 8, "query": "impossible"}',
        b'{"id": 9, "query": "What is a spoon?"}',
        b'{"id": 10, "query": "What is a fork?", "n": ' + b"1" * 5_000 + b"}",
    ]
    (tmp_path / "in.jsonl").write_bytes(b"\n".join(lines))
    with StandIn().running() as server:
        ran = scr("batch", tmp_path / "in.jsonl", "-o", tmp_path / "out", "--base-url", server.url)
        assert len(server.asked) == 2
    assert ran.status == 0
    assert ran.err == "answered 2, failed 8\n"
    answers = written(tmp_path / "out")
    assert [one["id"] for one in answers] == [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]
    errors = {one["id"]: one["error"] for one in answers if "error" in one}
    for number, said in [(2, "line 2: not JSON"), (3, '"query"'), (4, "empty"), (5, "<|im_end|>"), (6, "object")]:
        assert said in errors[number]
    assert "UTF-8" in errors[7]
    assert "not JSON (Exceeds the limit" in errors[10]
    assert "too long for the stand-in" in errors[8]


def test_a_server_that_goes_away_ends_the_run_and_the_next_one_goes_on(scr: Scr, tmp_path: Path) -> None:
    source, out = plain(tmp_path, 12), tmp_path / "out.jsonl"
    with StandIn().running() as server:
        server.dead_after = 6
        ran = scr("batch", source, "-o", out, "--base-url", server.url, "--model", "stand-in", "--chunk", 4)
        assert (ran.status, ran.err.count("\n")) == (1, 1)
        kept = kept_in(out)
        assert 4 <= kept <= 6
        settle(server)
        server.dead_after = None
        server.asked.clear()
        ran = scr("batch", source, "-o", out, "--base-url", server.url, "--model", "stand-in", "--json")
        assert ran.json == {"answered": 12 - kept, "failed": 0, "resumed": kept}
        assert len(server.asked) == 12 - kept, "what was answered is not asked again"
        assert [one["id"] for one in written(out)] == [f"q{n}" for n in range(12)]
        server.asked.clear()
        assert scr("batch", source, "-o", out, "--base-url", server.url, "--json").json["resumed"] == 12
        assert server.asked == []


def settle(server: StandIn) -> None:
    """Wait until what a run that ended early had sent is answered, so that it is not counted later."""
    before = -1
    while before != len(server.asked):
        before = len(server.asked)
        time.sleep(0.3)


def test_going_on_after_a_kill(scr: Scr, tmp_path: Path) -> None:
    scr("add", LYON)
    source, out = plain(tmp_path, 200), tmp_path / "out.jsonl"
    with StandIn().running() as server:
        command = ["batch", str(source), "-o", str(out), "--base-url", server.url, "--chunk", "150"]
        with subprocess.Popen(
            [sys.executable, str(ROOT / "cli.py"), *command, "--store", str(tmp_path / "store")]
        ) as process:
            deadline = time.monotonic() + 60
            while len(server.asked) < 50 and time.monotonic() < deadline:
                time.sleep(0.005)
            process.send_signal(signal.SIGKILL)
        settle(server)
        kept = kept_in(out)
        assert 0 < kept < 150, "no chunk need be complete"
        assert len(server.asked) - kept <= 2 * IN_FLIGHT
        server.asked.clear()
        ran = scr(*command, "--json")
        assert ran.json == {"answered": 200 - kept, "failed": 0, "resumed": kept}
        assert len(server.asked) == 200 - kept
    assert [one["id"] for one in written(out)] == [f"q{n}" for n in range(200)]


def test_a_last_line_that_was_cut_off_is_answered_anew(scr: Scr, tmp_path: Path) -> None:
    source, out = plain(tmp_path, 3), tmp_path / "out.jsonl"
    with StandIn().running() as server:
        scr("batch", source, "-o", out, "--base-url", server.url)
        whole = out.read_bytes()
        for cut in (1, 10, len(whole.splitlines()[-1])):
            out.write_bytes(whole[:-cut])
            assert scr("batch", source, "-o", out, "--base-url", server.url, "--json").json["answered"] == 1
            assert out.read_bytes() == whole


def test_an_output_that_was_begun_with_other_parameters_is_left_alone(scr: Scr, tmp_path: Path) -> None:
    scr("add", LYON)
    source, out = plain(tmp_path, 3), tmp_path / "out.jsonl"
    beside = tmp_path / "out.jsonl.parameters"
    prompts = tmp_path / "prompts"
    prompts.mkdir()
    (prompts / "chat.jinja").write_text("{{ facts }} {{ query }}")
    with StandIn(models=("stand-in", "another")).running() as server:
        command = ["batch", source, "-o", out, "--base-url", server.url]
        assert scr(*command, "--bare", "--model", "stand-in").status == 0
        whole, server.asked = out.read_bytes(), []
        ran = scr(*command, "--compare", "--max-tokens", 3, "--model", "stand-in")
        assert (ran.status, ran.err.count("\n"), out.read_bytes()) == (2, 1, whole)
        assert "mode 'bare', not 'compare'" in ran.err
        assert "max_tokens 128, not 3" in ran.err
        assert "choose another -o" in ran.err
        bare = [*command, "--bare", "--model", "stand-in"]
        alike = ("--chunk", 2, "--top-k", 3, "--threshold", 0.9, "--prompts", prompts)
        assert scr(*bare, *alike, "--json").json["resumed"] == 3, "without facts they count for nothing"
        out.unlink()
        edited = [*command, "--model", "stand-in"]
        assert scr(*edited, "--json").json["answered"] == 3, "what is not there can be begun anew"
        for more in (
            ("--model", "another"), ("--seed", 1), ("--temperature", 1), ("--prompt-form", "completion"), ("--bare",),
            ("--top-k", 3), ("--threshold", 0.9), ("--scope", "cosine"), ("--prompts", prompts), ("--namespace", "x"),
        ):  # fmt: skip
            assert scr(*edited, *more).status == 2, more
        assert scr(*edited, "--json").json["resumed"] == 3
        beside.unlink()
        assert scr(*edited, "--max-tokens", 3, "--json").json["resumed"] == 3, "an earlier version kept no parameters"
        assert not beside.exists()
        beside.write_text("my diary")
        assert scr(*edited).status == 2
        assert beside.read_text() == "my diary"


def test_a_run_that_answered_nothing_binds_the_next_to_nothing(scr: Scr, tmp_path: Path) -> None:
    source, out = plain(tmp_path, 3), tmp_path / "out.jsonl"
    with StandIn().running() as server:
        server.dead_after = 0
        assert scr("batch", source, "-o", out, "--base-url", server.url).status == 1
        server.dead_after = None
        assert scr("batch", source, "-o", out, "--base-url", server.url, "--max-tokens", 3).status == 0
        assert scr("batch", source, "-o", out, "--base-url", server.url).status == 2


def test_an_output_of_another_input_is_left_alone(scr: Scr, tmp_path: Path) -> None:
    source, out = plain(tmp_path, 3), tmp_path / "out.jsonl"
    with StandIn().running() as server:
        for content in ['{"id": "other", "answer": "x"}\n', "my diary\n", '{"id": "q0"}\n' * 4]:
            out.write_text(content)
            ran = scr("batch", source, "-o", out, "--base-url", server.url)
            assert (ran.status, ran.err.count("\n")) == (2, 1), ran
            assert "-o" in ran.err
            assert out.read_text() == content
        assert server.asked == []


def test_by_pipe(scr: Scr) -> None:
    with StandIn().running() as server:
        ran = scr("batch", "-", "-o", "-", "--base-url", server.url, stdin=b'{"id": 1, "query": "Who?"}\n')
        assert json.loads(ran.out)["answer"] == "you said: Who?"
        assert ran.err == "answered 1, failed 0\n"
        refused = scr("batch", "-", "-o", "-", "--json", "--base-url", server.url)
        assert (refused.status, refused.err.count("\n")) == (2, 1)


def test_files_that_cannot_be_read_or_written(scr: Scr, tmp_path: Path) -> None:
    for source, out, status in [(tmp_path / "none", "out", 2), (tmp_path, "out", 2), (plain(tmp_path, 1), tmp_path, 2)]:
        ran = scr("batch", source, "-o", out, "--base-url", "http://127.0.0.1:9")
        assert (ran.status, ran.err.count("\n")) == (status, 1), ran
    ran = scr("batch", plain(tmp_path, 1), "-o", tmp_path / "no" / "folder", "--base-url", "http://127.0.0.1:9")
    assert (ran.status, ran.err.count("\n")) == (2, 1), ran


@pytest.mark.llm
@pytest.mark.usefixtures("llm")
def test_with_the_real_model(scr: Scr, tmp_path: Path) -> None:
    scr("add", LYON)
    source = jsonl(tmp_path / "in.jsonl", [{"id": 1, "query": QUESTION}, {"id": 2, "query": "Who wrote Hamlet?"}])
    ran = scr("batch", source, "-o", tmp_path / "out", "--compare", "--max-tokens", 16)
    assert ran.status == 0
    first, second = written(tmp_path / "out")
    assert "Lyon" in first["answer"]
    assert "Lyon" not in first["bare_answer"]
    assert second["answer"] == second["bare_answer"]
