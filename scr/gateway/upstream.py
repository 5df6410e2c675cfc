"""The model server behind the gateway."""

from __future__ import annotations

import re
from collections.abc import Iterable

import httpx

from scr.engines.http import parse_base_url, public
from scr.errors import UsageError
from scr.gateway.refusals import RETRY_AFTER, Refusal

RawHeaders = list[tuple[bytes, bytes]]

_CONNECT_SECONDS = 5.0
# vLLM closes a connection that was idle for 5 seconds; one that is about to be closed is not to be used again.
_IDLE_SECONDS = 2.0
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_HOP_BY_HOP = frozenset(
    b"connection keep-alive proxy-authenticate proxy-authorization proxy-connection te trailer transfer-encoding "
    b"upgrade".split()
)
_OURS = frozenset({b"host", b"content-length", b"cookie", b"expect", b"date", b"server", b"set-cookie"})

_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")


def end_to_end(headers: Iterable[tuple[bytes, bytes]]) -> RawHeaders:
    """The headers that are for the other end, without those that concern one connection or the gateway itself."""
    # Blanks about a value are none of it; uvicorn leaves them, and httpx sends no header that has them.
    lower = [(name.lower(), value.strip(b" \t")) for name, value in headers]
    named = {word.strip().lower() for name, value in lower if name == b"connection" for word in value.split(b",")}
    dropped = _HOP_BY_HOP | _OURS | named
    return [
        (name, value)
        for name, value in lower
        if name not in dropped and not name.startswith(b"x-scr-") and not _CONTROL.search(value)
    ]


class Upstream:
    """Sends requests to the model server; nothing is ever sent twice.

    Args:
        base_url: its address, with or without ``/v1``.
        api_key: sent in place of the clients' own.
        timeout: seconds that a silence may last, before the answer and within it.
        forward_authorization: whether the clients' own keys are sent where there is no ``api_key``.

    Raises:
        UsageError: the address or the key cannot be one.
    """

    def __init__(
        self, base_url: str, *, api_key: str | None = None, timeout: float = 600.0, forward_authorization: bool = False
    ) -> None:
        self._v1 = parse_base_url(base_url)
        if not self._v1.path.endswith("/v1"):
            raise UsageError(f"the upstream {public(self._v1)!r} does not end in /v1: write http://HOST:PORT or …/v1")
        if api_key and not (api_key.isascii() and api_key.isprintable()):
            raise UsageError("the upstream's API key holds a character that cannot be sent: copy it again")
        self._root = self._v1.copy_with(path=self._v1.path.removesuffix("/v1"))
        self.address = public(self._root)
        self._authorization = f"Bearer {api_key}".encode() if api_key else None
        self._forward_authorization = forward_authorization
        self._timeout = httpx.Timeout(timeout, connect=min(timeout, _CONNECT_SECONDS), pool=None)
        self._client = httpx.AsyncClient(
            timeout=self._timeout,
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=256, keepalive_expiry=_IDLE_SECONDS),
            trust_env=self._v1.host not in _LOOPBACK,  # a proxy does not lead to this machine
        )

    def request(
        self, method: str, path: str, headers: Iterable[tuple[bytes, bytes]], query: bytes, content: bytes | None
    ) -> httpx.Request:
        """A request for the server, with the client's headers; ``path`` is the route's own, never the client's.

        Raises:
            UsageError: the query cannot be sent.
        """
        kept = end_to_end(headers)
        if self._authorization or not self._forward_authorization:
            kept = [(name, value) for name, value in kept if name not in (b"authorization", b"x-api-key", b"api-key")]
        if self._authorization:
            kept.append((b"authorization", self._authorization))
        target = f"{self._root.path.rstrip('/')}{path}".encode() + (query and b"?" + query)
        try:
            url = self._root.copy_with(raw_path=target)
        except (UnicodeDecodeError, httpx.InvalidURL):
            raise UsageError("the address's query cannot be sent on: encode it in less than 64 KiB of ASCII") from None
        # Not the client's own way to make one, which adds headers that nobody asked for.
        timeout = {"timeout": self._timeout.as_dict()}
        return httpx.Request(method, url, headers=kept, content=content, extensions=timeout)

    async def open(self, request: httpx.Request) -> httpx.Response:
        """Send a request and read the head of the answer; the body is left to be read.

        Raises:
            Refusal: there is no answer.
        """
        try:
            response = await self._send(request, stream=True)
        except httpx.HTTPError as error:
            raise refusal_of_transport(error) from error
        if response.is_redirect and response.status_code != 304:
            await response.aclose()
            raise Refusal(502, "upstream_redirects", "the model server sends requests elsewhere: correct --upstream")
        if not 200 <= response.status_code < 600:
            await response.aclose()
            raise Refusal(502, "upstream_error", "the model server does not answer in HTTP: correct --upstream")
        return response

    async def healthy(self) -> bool:
        """Whether the server says that it is well."""
        request = httpx.Request("GET", self._root.copy_with(raw_path=self._root.raw_path.rstrip(b"/") + b"/health"))
        request.extensions["timeout"] = httpx.Timeout(2.0).as_dict()
        try:
            return (await self._send(request)).status_code == 200
        except httpx.HTTPError:
            return False

    async def _send(self, request: httpx.Request, *, stream: bool = False) -> httpx.Response:
        try:
            return await self._client.send(request, stream=stream)
        except AttributeError as error:
            # What httpx says (anyio 4 with uvloop) of a connection that was reset as soon as it was made.
            raise httpx.ConnectError("reset", request=request) from error

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()


def refusal_of_transport(error: httpx.HTTPError) -> Refusal:
    """What a client is told of a connection that failed; addresses stay inside."""
    again = {"Retry-After": RETRY_AFTER}
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.ProxyError):
        return Refusal(503, "upstream_unavailable", "the model server cannot be reached: try again later", again)
    if isinstance(error, httpx.TimeoutException):
        return Refusal(504, "upstream_timeout", "the model server did not answer in time: ask for less, or later")
    return Refusal(502, "upstream_broke", "the model server broke the connection: try again", again)
