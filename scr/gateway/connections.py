"""Connections: how many there are, and what becomes of those whose client does not read its answer."""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
from collections.abc import Callable
from functools import partial
from ipaddress import IPv6Address
from typing import Any, TypeAlias

from scr.gateway.heads import BoundedHeads
from scr.gateway.refusals import RETRY_AFTER, Refusal
from scr.gateway.settings import Settings

CROWDED = "scr.crowded"
"""Key of the scope of a request whose connection is one too many; what it says is the refusal."""

SPARE = 16
"""Connections above the limit whose requests are read, so that health and metrics can still be asked for."""

SEND_BUFFER = 2**17
"""Bytes of an answer that the system may keep: it takes no more before it is rid of a part, so that is what is seen."""

MOST_PIPELINED = 16
"""Most requests that may wait on a connection for the answer to the one before them."""

Protocol: TypeAlias = Callable[..., asyncio.Protocol]

log = logging.getLogger("scr.gateway")


def protocol(settings: Settings) -> Protocol:
    """What uvicorn is to speak with its clients; it reaches worker processes as it is."""
    return partial(
        BoundedConnections,
        most=settings.max_connections,
        most_of_one=settings.max_connections_per_address,
        patience=settings.write_timeout,
    )


class BoundedConnections(BoundedHeads):
    """A protocol that bounds connections, the requests that wait on one, and how long an answer waits for its reader.

    Args:
        most: connections of this process.
        most_of_one: connections of one address; None is without limit.
        patience: seconds in which a client that is behind has to take some of what waits for it.
    """

    _spare = False
    _watch: asyncio.TimerHandle | None = None
    _unread = 0
    _address: bytes | None = None

    def __init__(self, *args: Any, most: int, most_of_one: int | None, patience: float, **more: Any) -> None:
        super().__init__(*args, **more)
        self._most, self._most_of_one, self._patience = most, most_of_one, patience

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        """Take a connection, unless there are far too many."""
        super().connection_made(transport)
        self._set(socket.SO_SNDBUF, SEND_BUFFER)
        self._spare = self._is_crowded()
        if len(self.connections) > self._most + SPARE:
            self._refuse(self._crowded())
        elif self._most_of_one is not None and self._of_its_address() > self._most_of_one:
            words = f"there are more than {self._most_of_one:,} connections from this address: close some"
            self._refuse(Refusal(429, "overloaded", words, {"Retry-After": RETRY_AFTER}))

    def connection_lost(self, exc: Exception | None) -> None:
        """Watch no longer."""
        self._watch_no_longer()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        """A client that asks again is not idle; whether it reads is seen when more is written."""
        if not self.flow.write_paused:
            self._watch_no_longer()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Mark a request of a connection too many, which ends with it."""
        crowded = self._spare and self._is_crowded()
        if crowded:
            self.scope[CROWDED] = self._crowded()  # type: ignore[literal-required]
        super().on_headers_complete()
        if crowded:
            self.cycle.keep_alive = False
        if len(self.pipeline) > MOST_PIPELINED:
            raise BufferError("too many requests wait on one connection")  # ends it, as what is no HTTP does

    def on_response_complete(self) -> None:
        """What is left of the answer is not to wait forever."""
        super().on_response_complete()
        if self.cycle.response_complete and self.transport.get_write_buffer_size():
            self._watch_reader()

    def pause_writing(self) -> None:
        """The client is behind."""
        super().pause_writing()
        self._watch_reader()

    def resume_writing(self) -> None:
        """The client has caught up."""
        super().resume_writing()
        self._watch_no_longer()

    def _is_crowded(self) -> bool:
        return len(self.connections) > self._most

    def _crowded(self) -> Refusal:
        words = f"there are more than {self._most:,} connections: try again later"
        return Refusal(503, "overloaded", words, {"Retry-After": RETRY_AFTER})

    def _of_its_address(self) -> int:
        self._address = _network(self.client[0]) if self.client else None
        return sum(getattr(one, "_address", None) == self._address for one in self.connections)

    def _watch_reader(self) -> None:
        self._watch_no_longer()
        self._unread = self.transport.get_write_buffer_size()
        self._watch = self.loop.call_later(self._patience, self._look)

    def _watch_no_longer(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None

    def _look(self) -> None:
        left = self.transport.get_write_buffer_size()
        if not left:
            return
        if left < self._unread:
            self._watch_reader()
            return
        log.warning("a client took nothing of its answer in %g s: its connection is closed", self._patience)
        self._set(socket.SO_LINGER, struct.pack("ii", 1, 0))  # the system is not to keep the rest for it either
        self.transport.abort()  # which ends its request, and that at the model server

    def _set(self, option: int, value: int | bytes) -> None:
        own = self.transport.get_extra_info("socket")
        if own is not None:
            own.setsockopt(socket.SOL_SOCKET, option, value)


def _network(address: str) -> bytes:
    """Whose an address is: of IPv6 the first half, as one client has all that begin so."""
    return IPv6Address(address).packed[:8] if ":" in address else address.encode()
