"""The command that measures the gateway: small, and what it says of answers that went wrong."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path

import pytest

from benchmarks.gateway import run
from benchmarks.gateway.figures import Round, row
from benchmarks.gateway.load import Load, Sample, closed_loop

from .recorder import Handler, Recorder


@dataclass
class Server:
    url: str
    model: str = "m"
    key: str = "none"


def load(server: Server, clients: int = 2) -> Load:
    return asyncio.run(closed_loop(server, repeat("Why?"), clients=clients, seconds=0.1, more={"max_tokens": 3}))


def test_whole_answers_are_timed(upstream: Recorder) -> None:
    found = load(Server(upstream.url))
    assert len(found.good) == len(found.samples) >= 2
    assert all(0 < sample.first_ms <= sample.total_ms <= 1000 * found.seconds for sample in found.good)
    assert upstream.last.json["messages"] == [{"role": "user", "content": "Why?"}]
    assert (upstream.last.json["max_tokens"], upstream.last.json["stream"]) == (3, True)


def broken(handler: Handler) -> None:
    handler.begin_events()
    handler.chunk(b'data: {"choices": []}\n\n')
    handler.hang_up()


def unfinished(handler: Handler) -> None:
    handler.begin_events()
    handler.chunk(b'data: {"choices": []}\n\n')
    handler.chunk(b"")


@pytest.mark.parametrize(
    "answer", [broken, unfinished, lambda handler: handler.say(503, b"{}")], ids=["broken", "unfinished", "refused"]
)
def test_other_answers_are_errors(upstream: Recorder, answer: Callable[[Handler], None]) -> None:
    upstream.answer = answer
    found = load(Server(upstream.url))
    assert found.samples
    assert not found.good
    assert all(sample.problem for sample in found.samples)
    assert row("bare", 2, [Round(found, 0.0)], None).errors == len(found.samples)


def test_what_is_added_is_the_difference_of_the_quantiles() -> None:
    def rounds(milliseconds: float) -> list[Round]:
        samples = tuple(Sample(milliseconds + number, 200) for number in range(100))
        return [Round(Load(samples, seconds), 1.0) for seconds in (1, 2, 4)]

    found = row("gateway 0 %", 1, rounds(50), rounds(40))
    assert found.added_ms is not None
    assert found.throughput_share == [1, 1, 1]
    for name, value in (("median", 10), ("p99", 10)):
        seen, low, high = found.added_ms[name]
        assert seen == pytest.approx(value)
        assert low <= seen <= high
        assert high - low < 20


def test_the_command(tmp_path: Path) -> None:
    given = [
        "--cache",
        str(tmp_path),
        "--out",
        str(tmp_path / "out"),
        "--parts",
        "stub",
        "--facts",
        "20",
    ]
    run.main(
        [
            *given,
            "--clients",
            "2",
            "--shares",
            "100",
            "--rounds",
            "1",
            "--seconds",
            "0.3",
            "--tokens",
            "3",
            "--first-ms",
            "5",
            "--gap-ms",
            "1",
        ]
    )
    document = json.loads((tmp_path / "out" / "latency-stub.json").read_text("utf-8"))
    rows = {one["server"]: one for one in document["results"]}
    assert set(rows) == {"bare", "gateway 100 %", "gateway off"}
    assert all(one["requests"] and not one["errors"] for one in rows.values())
    assert rows["gateway 100 %"]["edited"] > 0.5  # some of the questions are hard to tell
    assert rows["gateway off"]["edited"] == rows["bare"]["edited"] == 0
    assert document["parameters"]["facts"] == 20
    assert str(tmp_path) not in json.dumps(document)
    assert (tmp_path / "out" / "latency-stub.png").stat().st_size
