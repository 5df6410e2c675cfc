"""A stand-in for an OpenAI-compatible server that misbehaves as a test says.

A real HTTP server on a real socket; only the model is missing. What real servers do when all is well is
tested on vLLM.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Action = Callable[["Handler"], None]


@dataclass
class Seen:
    """A request that came."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any


class Handler(BaseHTTPRequestHandler):
    """Does what the stand-in's script says."""

    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        self._act()

    def do_POST(self) -> None:
        self._act()

    def log_message(self, *_: Any) -> None:
        """Tests read what was seen instead."""

    def send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in ({"Content-Type": "application/json"} | (headers or {})).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def begin_events(self) -> None:
        """The head of an event stream that ends with the connection."""
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()

    def event(self, data: Any) -> None:
        text = data if isinstance(data, str) else json.dumps(data)
        self.wfile.write(f"data: {text}\n\n".encode())
        self.wfile.flush()

    def gone(self, seconds: float) -> bool:
        """Whether the client leaves within that time."""
        self.connection.settimeout(seconds)
        try:
            return self.connection.recv(1) == b""
        except TimeoutError:
            return False
        except OSError:
            return True

    def _act(self) -> None:
        data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.seen = Seen(self.command, self.path, dict(self.headers), json.loads(data) if data else None)
        try:
            self.server.next_action(self.seen)(self)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True


class Server(ThreadingHTTPServer):
    """Counts what is under way."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, actions: tuple[Action, ...]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.actions, self.seen = list(actions), list[Seen]()
        self.lock = threading.Lock()

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"

    def next_action(self, seen: Seen) -> Action:
        """The next of the script; its last one goes on for ever."""
        with self.lock:
            self.seen.append(seen)
            return self.actions.pop(0) if len(self.actions) > 1 else self.actions[0]

    def handle_error(self, *_: Any) -> None:
        """A client that leaves is no error."""


@contextmanager
def standin(*actions: Action) -> Iterator[Server]:
    """A server that answers one request after the other with these actions."""
    server = Server(actions)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def says(status: int, body: Any, **headers: str) -> Action:
    """Answer with a status and a document (or bytes as they are)."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return lambda handler: handler.send(status, data, {key.replace("_", "-"): value for key, value in headers.items()})


def fails(status: int, message: str, **headers: str) -> Action:
    """Answer with an error as vLLM words it."""
    return says(status, {"error": {"message": message, "type": "x", "param": None, "code": status}}, **headers)


def lists(*names: str) -> Action:
    """Answer with a list of models."""
    return says(200, {"object": "list", "data": [{"id": name, "object": "model"} for name in names]})


def answers(text: str = "fine", after: float = 0.0) -> Action:
    """Answer a chat or completion request."""

    def act(handler: Handler) -> None:
        time.sleep(after)
        chat = handler.seen.path.endswith("chat/completions")
        choice = {"message": {"role": "assistant", "content": text}} if chat else {"text": text}
        usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
        handler.send(200, json.dumps({"choices": [choice | {"finish_reason": "stop"}], "usage": usage}).encode())

    return act


def hangs_up(handler: Handler) -> None:
    """Close the connection without a word."""
    handler.close_connection = True
    handler.connection.close()


def piece(text: str | None, finish_reason: str | None = None) -> dict[str, Any]:
    """One event of a chat stream."""
    return {"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": finish_reason}]}


@dataclass
class Crowd:
    """An action that answers late and remembers the most requests that were under way at once."""

    delay: float = 0.05
    most: int = 0
    _now: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, handler: Handler) -> None:
        with self._lock:
            self._now += 1
            self.most = max(self.most, self._now)
        time.sleep(self.delay)
        with self._lock:
            self._now -= 1
        answers(str(handler.seen.body["messages"][0]["content"]))(handler)
