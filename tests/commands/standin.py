"""A stand-in for a language model server, in a thread: it repeats what it is asked. It is no model.

It stands for what a real server cannot be made to do at will: refuse a key, fail on one question, be counted.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128  # as many connections as an engine opens at once; the others are kept waiting for seconds

    def handle_error(self, *_: Any) -> None:
        """A client that leaves is no error: it would be told on the stderr that a command's words are read from."""


class StandIn:
    """Attributes: what it serves and demands, and the bodies of the requests that it answered."""

    def __init__(self, key: str | None = None, models: tuple[str, ...] = ("stand-in",)) -> None:
        self.key, self.models = key, models
        self.asked: list[dict[str, Any]] = []
        self.dead_after: int | None = None
        self.url = ""

    @contextmanager
    def running(self) -> Iterator[StandIn]:
        server = _Server(("127.0.0.1", 0), self._handler())
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        self.url = f"http://127.0.0.1:{server.server_port}"
        try:
            yield self
        finally:
            server.shutdown()
            server.server_close()
            thread.join()

    def answer(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        if body.get("model") not in self.models:
            return 404, {"error": {"message": f"The model `{body.get('model')}` does not exist."}}
        said = body["prompt"] if "prompt" in body else body["messages"][-1]["content"]
        if "impossible" in said:
            return 400, {"error": {"message": "this question is too long for the stand-in"}}
        self.asked.append(body)
        if self.dead_after is not None and len(self.asked) > self.dead_after:
            return 401, {"error": {"message": "the key has run out"}}
        text = f"you said: {said}"
        choice = {"text": text} if "prompt" in body else {"message": {"role": "assistant", "content": text}}
        usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
        return 200, {"id": "x", "choices": [{"index": 0, **choice, "finish_reason": "stop"}], "usage": usage}

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        stand_in = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _send(self, status: int, document: dict[str, Any]) -> None:
                data = json.dumps(document).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def _allowed(self) -> bool:
                if stand_in.key and self.headers.get("Authorization") != f"Bearer {stand_in.key}":
                    self._send(401, {"error": {"message": "Unauthorized"}})
                    return False
                return True

            def do_GET(self) -> None:
                if self._allowed():
                    self._send(200, {"object": "list", "data": [{"id": name} for name in stand_in.models]})

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if not self._allowed():
                    return
                if not self.path.endswith("completions"):
                    self._send(404, {"error": {"message": "Not Found"}})
                    return
                self._send(*stand_in.answer(body))

            def log_message(self, *_: object) -> None:
                pass

        return Handler
