"""Heads of requests that never end, which uvicorn takes as long as their connection lasts, or that say two things."""

from __future__ import annotations

import asyncio
import json
import re
from http import HTTPStatus
from urllib.parse import urlsplit

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from scr.gateway.refusals import Refusal

HEAD_SECONDS = 20.0
"""How long a head may take to come, from the beginning of its connection or the end of the answer before it."""

HEAD_BYTES = 2**16
"""How much may come on a connection that is nothing of a body: a head, or what stands about and after its chunks."""

IDLE_SECONDS = 15
"""How long a connection is kept between requests: longer than clients do (httpx: 5 s), or it ends as one is sent."""


_HOST = re.compile(rb"(?:[\w.-]+|\[[0-9a-fA-F:.]+\])(?::[0-9]{1,5})?")


class BoundedHeads(HttpToolsProtocol):
    """Uvicorn's protocol with a limit on heads, in seconds and in bytes.

    A connection that is still silent when its time is up is closed without a word, as an idle one is; one that
    has begun a head is told why. Within an answer nothing is timed. Headers that come after a body are dropped: whoever
    stands before the gateway has not seen them.
    """

    _timer: asyncio.TimerHandle | None = None
    _begun = False
    _barren = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        """Begin to wait for the first head."""
        super().connection_made(transport)
        self.timeout_keep_alive = IDLE_SECONDS
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer."""
        self._wait_no_longer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what came; a head is not let grow forever."""
        self._barren += len(data)
        super().data_received(data)
        if self._barren > HEAD_BYTES:
            self._refuse(
                Refusal(431, "too_large", f"the request's head is larger than {HEAD_BYTES:,} bytes: shorten it")
            )

    def on_message_begin(self) -> None:
        """A head begins."""
        self._begun = True
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header; one that comes after the body is none."""
        if self._begun:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """A head has come.

        Raises:
            ValueError: it names no host or several, so that others may take it for another's; that is no HTTP.
        """
        hosts = [value for name, value in self.headers if name == b"host"]
        if len(hosts) != 1 and (hosts or self.parser.get_http_version() == "1.1"):
            raise ValueError("a request has one host")
        if hosts and not _is_host(hosts[0]):
            raise ValueError("the host is none")
        self._begun, self._barren = False, 0
        self._wait_no_longer()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A part of a body."""
        self._barren = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """A request has come."""
        self._barren = 0
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Begin to wait for the next head, if there is not one already."""
        super().on_response_complete()
        if self.cycle.response_complete and not self.transport.is_closing():
            self._wait()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - the protocol's own words help nobody
        """Refuse what is no HTTP, in the form of all errors."""
        self._refuse(Refusal(400, "invalid_request", "the request is no HTTP/1.1: send it with an HTTP client"))

    def _wait(self) -> None:
        self._wait_no_longer()
        self._timer = self.loop.call_later(HEAD_SECONDS, self._late)

    def _wait_no_longer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _late(self) -> None:
        if self._begun:
            words = f"the request's head took more than {HEAD_SECONDS:g} seconds to come: send it again"
            self._refuse(Refusal(408, "slow_request", words))
        else:
            self.transport.close()

    def _refuse(self, refusal: Refusal) -> None:
        if self.transport.is_closing():
            return
        if self.cycle is None or self.cycle.response_complete:  # else it would stand within another answer
            content = json.dumps(refusal.document).encode()
            headers = {
                "Content-Type": "application/json",
                "Content-Length": str(len(content)),
                "Connection": "close",
                **refusal.headers,
            }
            lines = [f"HTTP/1.1 {refusal.status} {HTTPStatus(refusal.status).phrase}"]
            lines += [f"{name}: {value}" for name, value in headers.items()]
            self.transport.write("\r\n".join([*lines, "", ""]).encode() + content)
        self.transport.close()


def _is_host(value: bytes) -> bool:
    """Whether it is one also for the routes, which take this machine's for what they cannot read."""
    try:
        _ = urlsplit(b"//" + value).port  # neither this nor an IPv6 address is any that is made of the right letters
    except ValueError:
        return False
    return _HOST.fullmatch(value) is not None
