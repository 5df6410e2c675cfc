"""What the gateway costs: ``python -m benchmarks.gateway.run --cache FOLDER``.

Each part writes results/latency-PART.json.

In each part the same closed loops of clients ask a model server directly, and the same server through the gateway,
with 0, 10 and 100 % of the questions about stored facts, in rounds that take turns. Every answer is a stream of as many
tokens. Nothing is pinned to cores unless an option says so: clients, gateway and model server share them all.

``vllm``: a real vLLM with SmolLM2 in float32 on the CPU. It fills all cores by itself, so that whatever the gateway
and the clients compute is taken from it, and times to first token are long.

``stub``: in place of a model server a stand-in that computes nothing and answers at a fixed pace. What is added is the
gateway's own. LiteLLM's proxy stands before it too, passing on what it is sent; it looks nothing up. ``gateway off``
is the gateway with ``"scr": {"mode": "off"}`` in each request: what passing on alone costs.

``memory``: two worker processes of the gateway, after some requests to each.

The facts are made up (benchmarks/sentences.py), the questions out of scope are of everyday matters. So many facts lie
about that their nearest are still of some cosine.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psutil

from benchmarks.common import write_result
from benchmarks.gateway.figures import Round, Row, plot, row
from benchmarks.gateway.load import closed_loop
from benchmarks.gateway.questions import Questions
from benchmarks.gateway.servers import Serving, gateway, litellm, litellm_environment, on_cores, stand_in
from benchmarks.sentences import sentences
from benchmarks.store.run import fill
from benchmarks.tools import vllm_cpu
from scr.assets import smollm2_folder
from scr.facts import NewFact
from scr.store import FactStore

RESULTS = Path(__file__).parent / "results"
TITLES = {"stub": "before a stand-in for a model server", "vllm": "before vLLM on the CPU"}
PARTS = (*TITLES, "memory")
_FEW = 5_000
_WARM_SECONDS = 2.0


class Measurement:
    """One run with its options, as :func:`options` reads them."""

    def __init__(self, given: argparse.Namespace) -> None:
        self.given, self.questions = given, Questions(given.facts)
        self.store = given.cache / f"gateway-facts-{given.facts}"
        self.logs = Path(tempfile.mkdtemp(prefix="scr-gateway-"))
        if not self.store.is_dir():
            make_store(self.store, given.facts, given.cache)

    def part(self, name: str) -> list[Row]:
        """Every row of a part."""
        with ExitStack() as stack:
            bare = stack.enter_context(self._vllm() if name == "vllm" else self._stand_in())
            servers: dict[str, tuple[Serving, float | None]] = {"bare": (bare, 0.0)}
            with on_cores(self.given.gateway_cores):
                before = gateway(bare.url, bare.model, self.store, self.logs / "gateway.log", self._options())
                standing = stack.enter_context(before)
                servers |= {f"gateway {share:g} %": (standing, share / 100) for share in self.given.shares}
                if name == "stub":
                    servers["gateway off"] = (standing, None)
                if name == "stub" and (peer := self._peer()):
                    proxy = litellm(bare.url, bare.model, peer, self.logs / "litellm.log")
                    servers["litellm"] = (stack.enter_context(proxy), 0.0)
            with on_cores(self.given.client_cores):
                rounds = self._rounds(servers)
        found = []
        for clients in self.given.clients:
            for server in servers:
                beside = None if server == "bare" else rounds["bare", clients]
                found.append(row(server, clients, rounds[server, clients], beside))
                print(name, found[-1], flush=True)
        return found

    def _rounds(self, servers: Mapping[str, tuple[Serving, float | None]]) -> dict[tuple[str, int], list[Round]]:
        for server, share in servers.values():
            self._round(server, share, max(self.given.clients), min(_WARM_SECONDS, self.given.seconds), seed=-1)
        rounds: dict[tuple[str, int], list[Round]] = {}
        for number in range(self.given.rounds):
            for clients in self.given.clients:
                names = list(servers)
                for name in names[number % len(names) :] + names[: number % len(names)]:  # nobody is always first
                    one = self._round(*servers[name], clients, self.given.seconds, seed=1000 * number + clients)
                    rounds.setdefault((name, clients), []).append(one)
        return rounds

    def _round(self, server: Serving, share: float | None, clients: int, seconds: float, seed: int) -> Round:
        """One loop; a share of None has the gateway look nothing up."""
        before = server.cpu_seconds()
        more = {"max_tokens": self.given.tokens} | ({"scr": {"mode": "off"}} if share is None else {})
        questions = self.questions.draw(share or 0, seed)
        load = asyncio.run(closed_loop(server, questions, clients=clients, seconds=seconds, more=more))
        return Round(load, 1000 * (server.cpu_seconds() - before) / max(len(load.samples), 1))

    @contextmanager
    def _vllm(self) -> Iterator[Serving]:
        options = ["--dtype", "float32", "--max-num-seqs", str(max(self.given.clients))]
        with ExitStack() as stack:
            with on_cores(self.given.upstream_cores):
                running = vllm_cpu.running(str(smollm2_folder()), options, log=self.logs / "vllm.log")
                server = stack.enter_context(running)
            yield Serving(server.base_url.removesuffix("/v1"), psutil.Process(server.process.pid), server.model)

    @contextmanager
    def _stand_in(self) -> Iterator[Serving]:
        given = self.given
        with ExitStack() as stack:
            with on_cores(given.upstream_cores):
                server = stand_in(given.first_ms, given.gap_ms, given.tokens, self.logs / "stub.log")
                serving = stack.enter_context(server)
            yield serving

    def _options(self) -> list[str]:
        return ["--scope", self.given.scope] if self.given.scope else []

    def _peer(self) -> Path | None:
        """Where LiteLLM is, if it is wanted and can be had."""
        if not self.given.litellm:
            return None
        try:
            return litellm_environment(self.given.cache / "litellm")
        except (vllm_cpu.ToolError, OSError) as problem:
            print(f"without LiteLLM: {problem}", flush=True)
            return None

    def memory(self) -> dict[str, Any]:
        """MiB of each of two workers."""
        with (
            self._stand_in() as bare,
            gateway(
                bare.url, bare.model, self.store, self.logs / "workers.log", [*self._options(), "--workers=2"]
            ) as two,
        ):
            self._round(two, 0.5, max(self.given.clients), max(_WARM_SECONDS, self.given.seconds), seed=0)
            return {"processes_mib": two.memory()}


def make_store(path: Path, count: int, cache: Path) -> None:
    """A store of made-up facts; few are added as anyone would, many as the store's own benchmark fills them in."""
    if count > _FEW:
        fill(path, count, cache)
        return
    with FactStore.open(path) as store:
        store.add_all(NewFact(sentence.text) for sentence in sentences(count))


def options(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path, required=True, help="folder for the store, its vectors, and LiteLLM")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder for the results")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--facts", type=int, default=100_000)
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 16, 64])
    parser.add_argument(
        "--shares", type=float, nargs="+", default=[0, 10, 100], help="percent of questions with a fact"
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=6.0, help="of each loop in a round")
    parser.add_argument("--tokens", type=int, default=16, help="of each answer")
    parser.add_argument("--first-ms", type=float, default=100.0, help="the stand-in's time to first token")
    parser.add_argument("--gap-ms", type=float, default=25.0, help="the stand-in's time between tokens")
    parser.add_argument("--scope", help="classifier of the gateway, as scr serve takes it")
    parser.add_argument("--litellm", action="store_true", help="measure it too; installed in the cache, on its own")
    for who in ("client", "gateway", "upstream"):
        parser.add_argument(f"--{who}-cores", type=int, nargs="+", default=[], help="cores for it alone; default: all")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    given = options(arguments)
    measurement = Measurement(given)
    parameters = {
        name: value for name, value in vars(given).items() if name not in {"cache", "out", "parts", "litellm"}
    }
    for part in given.parts:
        rows = [] if part == "memory" else measurement.part(part)
        results: Any = [asdict(one) for one in rows] or measurement.memory()
        write_result(given.out / f"latency-{part}.json", {"part": part, **parameters}, results)
        if rows:
            plot(rows, f"{part}: {TITLES[part]}", given.out / f"latency-{part}.png")


if __name__ == "__main__":
    main()
