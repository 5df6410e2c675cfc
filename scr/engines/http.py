"""JSON over HTTP to a server that may be slow, busy, down, or something else altogether."""

from __future__ import annotations

import asyncio
import json
import posixpath
import random
import re
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Any, TypeVar

import httpx

from scr.errors import EngineError, EngineRefused, EngineTimeout, EngineUnavailable, UsageError

MAX_BYTES = 16 * 2**20
"""Most bytes of one answer that are read."""

MAX_WAIT = 60.0
"""Most seconds waited before one more try, whatever the server asks for."""

FIRST_PAUSE = 0.25
"""Seconds before the first retry, about; each further pause is twice as long."""

_T = TypeVar("_T")
_BUSY = frozenset({429, 502, 503, 504})
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class StatusError(EngineError):
    """The server answered with an error; whoever called says it in words that fit the request.

    Attributes:
        status: the HTTP status.
        detail: the server's own words, in one line, without the key.
    """

    def __init__(self, address: str, status: int, detail: str) -> None:
        super().__init__(f"{address} answered with status {status}: {detail}")
        self.status, self.detail = status, detail


class _Again(Exception):
    """This try failed and another may not; carries the error in case it was the last."""

    def __init__(self, error: EngineError, wait: float | None = None) -> None:
        super().__init__(str(error))
        self.error, self.wait = error, wait


def parse_base_url(base_url: str) -> httpx.URL:
    """The address of an OpenAI-compatible API, with the ``/v1`` that people leave out.

    Raises:
        UsageError: it cannot be one.
    """
    example = "write it like http://127.0.0.1:8000/v1"
    try:
        url = httpx.URL(base_url.strip())
    except httpx.InvalidURL as error:
        raise UsageError(f"the base URL is not an address ({error}): {example}") from None
    if url.scheme not in {"http", "https"} or not url.host:
        raise UsageError(f"the base URL {public(url)!r} does not begin with http:// or https:// and a host: {example}")
    if url.query or url.fragment:
        raise UsageError(f"the base URL {public(url)!r} goes on after its path: {example}")
    path = url.path.rstrip("/")
    return url.copy_with(path=path if re.search(r"/v\d\w*(/|$)", path) else f"{path}/v1")


def public(url: httpx.URL) -> str:
    """The address as messages show it: without user, password and query."""
    return str(url.copy_with(userinfo=b"", query=None, fragment=None))


class Api:
    """An address that answers JSON; its coroutines all run in one event loop."""

    def __init__(self, url: httpx.URL, *, api_key: str | None, timeout: float, concurrency: int, retries: int) -> None:
        """Open no connection yet.

        Args:
            url: paths are relative to it.
            api_key: sent as a bearer token; never part of a message.
            timeout: seconds that one answer, or one silence within a stream, may take.
            concurrency: most requests under way at once.
            retries: how often a request is sent again after a failure that may pass.

        Raises:
            UsageError: the key cannot be sent.
        """
        if api_key and not (api_key.isascii() and api_key.isprintable() and api_key.strip() == api_key):
            raise UsageError("the API key holds a character that cannot be sent: copy it again, without line breaks")
        self.address = public(url)
        self._url, self._key, self._timeout, self._retries = url, api_key, timeout, retries
        self._turn = asyncio.Semaphore(concurrency)
        self._client = httpx.AsyncClient(
            headers={"Authorization": f"Bearer {api_key}"} if api_key else {},
            timeout=httpx.Timeout(timeout, connect=min(timeout, 10.0), pool=None),
            limits=httpx.Limits(max_connections=concurrency, max_keepalive_connections=concurrency),
            trust_env=url.host not in _LOOPBACK,  # a proxy does not lead to this machine
        )

    async def get(self, path: str) -> Any:
        """Fetch a JSON document."""
        return await self._retrying(lambda: self._document("GET", path, None, min(self._timeout, 30.0)))

    async def post(self, path: str, body: dict[str, Any], *, patient: bool = True) -> Any:
        """Send a JSON document and read another.

        Raises:
            EngineError: one of its subclasses; ``patient`` says whether to try again before.
        """
        async with self._turn:
            retries = self._retries if patient else 0
            return await self._retrying(lambda: self._document("POST", path, body, self._timeout), retries)

    async def events(self, path: str, body: dict[str, Any]) -> AsyncGenerator[Any, None]:
        """Send a JSON document and yield the server-sent events that answer it, up to ``[DONE]``.

        Nothing is sent again once the answer has begun. A stream that ends without ``[DONE]`` just ends.
        """
        async with self._turn:
            response = await self._retrying(lambda: self._open("POST", path, body))
            try:
                async with aclosing(self._lines(response)) as lines:
                    async for line in lines:
                        data = line.removeprefix(b"data:").strip() if line.startswith(b"data:") else b""
                        if data == b"[DONE]":
                            return
                        if data:
                            yield self._parse(data)
            except _Again as again:
                raise again.error from again.__cause__
            finally:
                await response.aclose()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def _retrying(self, attempt: Callable[[], Awaitable[_T]], retries: int | None = None) -> _T:
        pause = FIRST_PAUSE
        for left in reversed(range((self._retries if retries is None else retries) + 1)):
            try:
                return await attempt()
            except _Again as again:
                if not left:
                    raise again.error from again.__cause__
                # Many clients that failed together should not come back together.
                wait = pause * random.uniform(0.5, 1.0) if again.wait is None else again.wait  # noqa: S311
                await asyncio.sleep(wait)
                pause *= 2
        raise AssertionError("unreachable")

    async def _document(self, method: str, path: str, body: dict[str, Any] | None, timeout: float) -> Any:
        try:
            async with asyncio.timeout(timeout):
                response = await self._open(method, path, body)
                try:
                    data = b"\n".join([line async for line in self._lines(response)])
                finally:
                    await response.aclose()
        except TimeoutError:
            raise self._slow(timeout) from None
        return self._parse(data)

    async def _open(self, method: str, path: str, body: dict[str, Any] | None) -> httpx.Response:
        """Send the request and read the head of the answer; the body is left to be read."""
        url = self._url.copy_with(path=posixpath.normpath(f"{self._url.path}/{path}"))
        content = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"} if content else {}
        try:
            request = self._client.build_request(method, url, content=content, headers=headers)
            response = await self._client.send(request, stream=True)
        except httpx.HTTPError as error:
            raise self._failure(error) from error
        if response.status_code == 200:
            return response
        try:
            raise await self._refusal(response)
        finally:
            await response.aclose()

    async def _lines(self, response: httpx.Response) -> AsyncGenerator[bytes, None]:
        """The answer's lines, up to a bound on their sum."""
        rest, total = b"", 0
        try:
            async for chunk in response.aiter_bytes():
                total += len(chunk)
                if total > MAX_BYTES:
                    raise EngineError(
                        f"{self.address} sent more than {MAX_BYTES >> 20} MiB for one answer: lower --max-tokens, "
                        "or check that it is an OpenAI-compatible server"
                    )
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    yield line
        except httpx.HTTPError as error:
            raise self._failure(error) from error
        if rest:
            yield rest

    def _parse(self, data: bytes) -> Any:
        try:
            return json.loads(data)
        except (ValueError, RecursionError):
            raise self.not_openai("something other than JSON") from None

    def not_openai(self, what: str) -> EngineError:
        """The error for an answer that makes no sense."""
        return EngineError(
            f"{self.address} answered {what}: give the address of an OpenAI-compatible server, "
            "such as http://127.0.0.1:8000/v1"
        )

    def _slow(self, timeout: float) -> EngineTimeout:
        return EngineTimeout(
            f"{self.address} gave no answer within {timeout:g} seconds: lower --max-tokens, "
            "or ask fewer questions at once (`scr batch --chunk`)"
        )

    def _failure(self, error: httpx.HTTPError) -> Exception:
        """What a transport failure means; wrapped in ``_Again`` where another try may help."""
        if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.ProxyError):
            reason = self.clean(str(error)) or "no connection"
            return _Again(
                EngineUnavailable(
                    f"no server answers at {self.address} ({reason}): start it (for example with "
                    "`vllm serve MODEL`), or correct --base-url"
                )
            )
        if isinstance(error, httpx.TimeoutException):
            return self._slow(self._timeout)
        if isinstance(error, httpx.NetworkError | httpx.RemoteProtocolError):
            return _Again(
                EngineUnavailable(f"{self.address} broke the connection: check that it still runs, and its log")
            )
        return EngineError(f"the request to {self.address} failed: {self.clean(str(error))}")

    async def _refusal(self, response: httpx.Response) -> Exception:
        status = response.status_code
        if status in {401, 403}:
            what = "refused the API key" if self._key else "asks for an API key"
            return EngineRefused(f"{self.address} {what} (status {status}): set --api-key or SCR_API_KEY")
        if response.is_redirect:
            target = self.clean(response.headers.get("location", ""))
            return EngineError(f"{self.address} redirects to {target}: give that server's address as --base-url")
        body = b""
        try:
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > 2**16:
                    break
        except (_Again, httpx.HTTPError):
            pass
        error = StatusError(
            self.address, status, self.clean(error_words(body)) or response.reason_phrase or "no reason"
        )
        if status not in _BUSY:
            return error
        words = "has too many requests" if status == 429 else f"is not ready (status {status})"
        busy = EngineUnavailable(f"{self.address} {words}: try again later ({error.detail})")
        return _Again(busy, retry_after(response.headers.get("retry-after")))

    def clean(self, text: str) -> str:
        """A server's words in one bounded line, without the key if it quotes that."""
        text = text.replace(self._key, "***") if self._key else text
        line = "".join(char if char.isprintable() else " " for char in text)
        line = " ".join(line.split())
        return line if len(line) <= 300 else f"{line[:299]}…"


def error_words(body: bytes) -> str:
    """The message in an error's body."""
    try:
        record = json.loads(body)
    except (ValueError, RecursionError):
        return re.sub(r"<[^>]*>", " ", body.decode(errors="replace"))
    for key in ("error", "message", "detail"):
        if isinstance(record, dict) and key in record:
            inner = record[key]
            return str(inner["message"] if isinstance(inner, dict) and "message" in inner else inner)
    return str(record)


def retry_after(header: str | None) -> float | None:
    """Seconds that a Retry-After header asks for; None for none, and for a date."""
    try:
        return min(max(float(header or ""), 0.0), MAX_WAIT)
    except ValueError:
        return None
