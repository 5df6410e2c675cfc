"""A server that answers prompts with themselves, as a process that can be killed.

``python -m tests.gateway.echo FILE PORT`` starts it. Each request is written to the file as soon as it has come, so
that it can be seen whether one came twice.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from .recorder import Handler, Recorder

ROOT = Path(__file__).resolve().parents[2]
_SECONDS = 0.1
"""How long an answer takes, so that some are under way when the server is killed."""


@contextmanager
def echoing(log: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """The server, ready."""
    process = subprocess.Popen([sys.executable, "-m", "tests.gateway.echo", str(log), str(port)], cwd=ROOT)
    try:
        end = time.monotonic() + 60
        while True:
            try:
                httpx.get(f"http://127.0.0.1:{port}/health", trust_env=False)
                break
            except httpx.TransportError:
                assert process.poll() is None, "the server ended"
                assert time.monotonic() < end, "the server did not start"
                time.sleep(0.02)
        yield process
    finally:
        process.kill()
        process.wait()


def main(log: str, port: str) -> None:
    """Serve until killed."""
    seen = os.open(log, os.O_CREAT | os.O_APPEND | os.O_WRONLY)

    def answer(handler: Handler) -> None:
        os.write(seen, handler.sent.body.replace(b"\n", b" ") + b"\n")
        asked = handler.sent.json
        choices = [{"index": place, "text": text} for place, text in enumerate(asked["prompt"])]
        if not asked["stream"]:
            time.sleep(_SECONDS)
            handler.say(200, json.dumps({"choices": choices}).encode())
            return
        handler.begin_events()
        for choice in choices:
            handler.chunk(b"data: %b\n\n" % json.dumps({"choices": [choice]}).encode())
            time.sleep(_SECONDS / len(choices))
        handler.chunk(b"data: [DONE]\n\n")
        handler.chunk(b"")

    server = Recorder(int(port))
    server.answer = answer
    server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
