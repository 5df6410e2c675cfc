"""A real HTTP server in a thread that keeps the very bytes it was sent. Only the model is missing."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = Callable[["Handler"], None]


@dataclass
class Sent:
    """A request as it came."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Recorder

    def do_GET(self) -> None:
        self._do()

    def do_POST(self) -> None:
        self._do()

    def do_HEAD(self) -> None:
        self._do()

    def log_message(self, *_: Any) -> None:
        """Tests read what was sent instead."""

    def _do(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.sent = Sent(self.command, self.path, {k.lower(): v for k, v in self.headers.items()}, body)
        if self.path == "/health":
            self.say(200, b"", "text/plain")
            return
        self.server.sent.append(self.sent)
        try:
            self.server.answer(self)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def say(self, status: int, body: bytes, kind: str = "application/json", **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def begin_events(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream; charset=utf-8")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))
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

    def hang_up(self) -> None:
        self.close_connection = True
        self.connection.close()


class Recorder(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 256

    def __init__(self, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.sent: list[Sent] = []
        self.answer: Answer = completes
        self._connections: list[socket.socket] = []

    def process_request(self, request: Any, client_address: Any) -> None:
        self._connections.append(request)
        super().process_request(request, client_address)

    def die(self) -> None:
        """End as a killed process does: with every connection."""
        self.shutdown()
        self.server_close()
        for connection in self._connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    @property
    def last(self) -> Sent:
        return self.sent[-1]

    def handle_error(self, *_: Any) -> None:
        """A client that leaves is no error."""


COMPLETION = b'{"id": "c1",  "choices":[{"index":0,"message":{"role":"assistant","content":"Fine."}}] }'
EVENTS = (
    b'data: {"id":"c1","choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}\n\n',
    b": a comment\n\n",
    b'data: {"id":"c1","choices":[{"index":0,"delta":{"content":"L\xc3\xa9"}}]}\n\n',
    b"data: [DONE]\n\n",
)


def completes(handler: Handler) -> None:
    """Answer as the request wants it: at once or in events."""
    if b'"stream":true' not in handler.sent.body.replace(b" ", b""):
        handler.say(200, COMPLETION)
        return
    handler.begin_events()
    for event in EVENTS:
        handler.chunk(event)
    handler.chunk(b"")


@contextmanager
def recording(port: int = 0) -> Iterator[Recorder]:
    server = Recorder(port)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.die()
        thread.join()
