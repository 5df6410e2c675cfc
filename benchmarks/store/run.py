"""What the store costs: ``python -m benchmarks.store.run PART…`` with the parts insert, import, check, million, cold.

Each part writes results/PART.json. ``check`` and ``million`` fill their stores with mixtures of encoded sentences'
vectors: encoding a million sentences takes the better part of an hour, and neither index nor ledger can tell.
"""

from __future__ import annotations

import argparse
import itertools
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from benchmarks.common import write_result
from benchmarks.sentences import sentences
from benchmarks.vectors import encoded, mixed
from scr.context import ContextBuilder
from scr.encoder import open_encoder
from scr.facts import Fact, NewFact, new_id
from scr.ledger.transaction import text_digest
from scr.pipeline import Pipeline
from scr.scope.opening import open_scope
from scr.store import FactStore, identify

RESULTS = Path(__file__).parent / "results"
_SEEDS = 100_000


@contextmanager
def folder() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="scr-benchmark-"))
    yield path
    shutil.rmtree(path)


class Timed:
    """An encoder that sums up the time spent in it."""

    def __init__(self) -> None:
        self.inner = open_encoder()
        self.name, self.revision, self.dimensions = self.inner.name, self.inner.revision, self.inner.dimensions
        self.seconds = 0.0

    def encode(self, texts: Sequence[str], progress: Callable[[int], None] | None = None) -> Any:
        start = time.perf_counter()
        vectors = self.inner.encode(texts, progress)
        self.seconds += time.perf_counter() - start
        return vectors


def spread(milliseconds: Sequence[float]) -> dict[str, float]:
    median, p95 = np.percentile(milliseconds, [50, 95])
    return {"median": round(float(median), 3), "p95": round(float(p95), 3), "n": len(milliseconds)}


def insert(count: int = 150) -> dict[str, Any]:
    """One fact at a time into a store of 1,000; after each, another process asks for it."""
    timings: dict[str, list[float]] = {"encode": [], "add_beyond_encoding": [], "visible_elsewhere_beyond_encoding": []}
    texts = [sentence.text for sentence in sentences(1_000 + count)]
    with folder() as path:
        encoder = Timed()
        with FactStore.open(path, encoder=encoder) as store:
            store.add_all([NewFact(text) for text in texts[:1_000]])
            reader = subprocess.Popen(
                [sys.executable, "-m", "benchmarks.store.reader", str(path)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            )  # fmt: skip
            if not reader.stdin or not reader.stdout:
                raise RuntimeError("the reader has no pipes")
            reader.stdout.readline()
            for text in texts[1_000:]:
                encoder.seconds, start = 0.0, time.perf_counter()
                store.add(NewFact(text))
                added = time.perf_counter() - start - encoder.seconds
                reader.stdin.write(text + "\n")
                reader.stdin.flush()
                seen = json.loads(reader.stdout.readline())
                elapsed = time.perf_counter() - start - encoder.seconds - seen["encode_s"]
                if seen["text"] != text:
                    raise RuntimeError(f"the other process found {seen['text']!r} and not {text!r}")
                timings["encode"].append(1000 * encoder.seconds)
                timings["add_beyond_encoding"].append(1000 * added)
                timings["visible_elsewhere_beyond_encoding"].append(1000 * elapsed)
            reader.communicate()
    return {f"{name}_ms": spread(values) for name, values in timings.items()}


def bulk(count: int, keep: Path) -> dict[str, Any]:
    """Import so many facts; the encoder alone, over a fifth of the texts, before it and after it."""
    texts = [sentence.text for sentence in sentences(count)]
    encoder = Timed()
    encoder.encode(texts[:500])

    def alone(first: int) -> float:
        encoder.seconds, some = 0.0, texts[first::10]
        encoder.encode(some)
        return encoder.seconds / len(some)

    before = alone(0)
    encoder.seconds, start = 0.0, time.perf_counter()
    with FactStore.open(keep, encoder=encoder) as store:
        counts = store.add_all(NewFact.of({"text": text}) for text in texts)
    seconds, encoding = time.perf_counter() - start, encoder.seconds
    bare = 2 / (before + alone(5))
    return {
        "facts": counts.added,
        "superseded": counts.superseded,
        "bare_encoder_per_second": round(bare, 1),
        "import_per_second": round(count / seconds, 1),
        "share_of_bare_throughput": round(count / seconds / bare, 3),
        "share_of_import_spent_encoding": round(encoding / seconds, 3),
        "beyond_encoding_us_per_fact": round(1e6 * (seconds - encoding) / count, 1),
        "disk_bytes_per_fact": round(sum(file.stat().st_size for file in keep.rglob("*") if file.is_file()) / count),
    }


def check(path: Path, size: int, count: int = 100) -> dict[str, Any]:
    """Decisions on questions near stored facts, and what the process holds for the facts."""
    stored = list(sentences(min(size, _SEEDS)))
    chance = np.random.default_rng(0)
    queries = [stored[place].question for place in chance.choice(len(stored), count + 5)]
    rss = psutil.Process().memory_info
    with FactStore.open(path) as store:
        pipeline = Pipeline(store, open_scope(), ContextBuilder())
        with folder() as empty, FactStore.open(empty, encoder=store.encoder) as other:
            other.add_all([NewFact(sentence.text) for sentence in stored[:50]])
            Pipeline(other, pipeline.scope, pipeline.context).decide_all(queries[:5])
        before, start = rss().rss, time.perf_counter()
        size = len(store.searcher)
        opened = time.perf_counter() - start
        for query in queries[:5]:
            pipeline.decide(query)
        decisions = [pipeline.decide(query) for query in queries[5:]]
        grown = rss().rss - before
        vectors, nearest = store.encoder.encode(queries[5:]), []
        for vector in vectors:
            start = time.perf_counter()
            store.searcher.search(vector[None], 20, store.namespace)
            nearest.append(1000 * (time.perf_counter() - start))
    steps = {step: [decision.timings_ms[step] for decision in decisions] for step in decisions[0].timings_ms}
    return {
        "facts": size,
        "open_index_s": round(opened, 3),
        "memory_bytes_per_fact": round(grown / size, 1),
        **{f"{step}_ms": spread(values) for step, values in steps.items()},
        "search_k20_encoded_ms": spread(nearest),
    }


def fill(path: Path, count: int, cache: Path) -> None:
    """A store of so many facts, through the ledger's own methods; vectors of all but the first are mixtures."""
    encoder = open_encoder()
    seeds, vectors = encoded(_SEEDS, cache)
    texts = (sentence.text for sentence in sentences(count))
    with FactStore.open(path, encoder=encoder) as store:
        for block in mixed(seeds, vectors, count):
            some = list(itertools.islice(texts, len(block)))
            store.ledger.put_embeddings(identify(encoder), zip(map(text_digest, some), block, strict=True))
            with store.ledger.write("import", store.namespace, "benchmark") as transaction:
                for text in some:
                    blank = dict.fromkeys(
                        ("subject", "relation", "object", "question", "source", "valid_from", "valid_to")
                    )
                    fact = Fact(new_id(), text, store.namespace, created_at=transaction.at, **blank)
                    transaction.put("added", fact, None)
        store.searcher.rebuild()


def in_a_process(*arguments: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.store.run", "--child", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def cold(path: Path, runs: int = 5) -> dict[str, Any]:
    """Wall time of whole commands, from start to exit, with caches made."""
    commands = {
        "scr --help": ["--help"],
        "scr list": ["list", "--store", str(path)],
        "scr check": ["check", "Where was Ada born?", "--store", str(path)],
        "scr add": ["add", "Fact number {} of the benchmark.", "--store", str(path)],
    }
    results = {}
    for name, arguments in commands.items():
        seconds = []
        for number in range(runs + 1):
            line = [
                sys.executable,
                "-c",
                "from scr.commands import main; main()",
                *(a.format(number) for a in arguments),
            ]
            start = time.perf_counter()
            subprocess.run(line, check=True, capture_output=True)
            seconds.append(time.perf_counter() - start)
        results[name] = {"median_s": round(statistics.median(seconds[1:]), 3), "best_s": round(min(seconds[1:]), 3)}
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="+")
    parser.add_argument("--child", action="store_true")
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "scr-benchmark-cache")
    parser.add_argument("--sizes", type=int, nargs="*", default=[10_000, 100_000])
    given = parser.parse_args()
    if given.child:
        part, path, count = given.parts
        work = {"bulk": lambda: bulk(int(count), Path(path)), "check": lambda: check(Path(path), int(count))}
        print(json.dumps(work[part]()))
        return
    with folder() as path:
        for part in given.parts:
            results: Any
            if part == "insert":
                results = insert()
            elif part == "import":
                results = [in_a_process("bulk", str(path / str(size)), str(size)) for size in given.sizes]
            elif part == "check":
                results = []
                for size in (1_000, *given.sizes):
                    fill(path / f"filled-{size}", size, given.cache)
                    results.append(in_a_process("check", str(path / f"filled-{size}"), str(size)))
            elif part == "million":
                fill(path / "million", 1_000_000, given.cache)
                results = in_a_process("check", str(path / "million"), "1000000")
            else:
                in_a_process("bulk", str(path / "cold"), "1000")
                results = cold(path / "cold")
            write_result(RESULTS / f"{part}.json", {"part": part, "sizes": given.sizes}, results)
            print(part, json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
