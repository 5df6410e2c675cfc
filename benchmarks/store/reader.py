"""A second process at the store: answers each line of stdin with the nearest fact, and the time it spent encoding."""

from __future__ import annotations

import json
import sys
import time

from scr.store import FactStore


def main() -> None:
    with FactStore.open(sys.argv[1]) as store:
        store.search(["warm"], 1)
        print("ready", flush=True)
        for line in sys.stdin:
            start = time.perf_counter()
            vector = store.encoder.encode([line.strip()])
            encoded = time.perf_counter() - start
            nearest = store.searcher.search(vector, 1, store.namespace)[0][0]
            print(json.dumps({"text": nearest.fact.text, "encode_s": encoded}), flush=True)


if __name__ == "__main__":
    main()
