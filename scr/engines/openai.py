"""The engine behind a server: vLLM, or anything else that speaks the OpenAI protocol."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Coroutine, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import aclosing, closing
from functools import lru_cache
from itertools import islice
from queue import SimpleQueue
from typing import Any, TypeVar

from scr.engines import Completion, Outcome, Prompt, Sampling, in_order
from scr.engines.http import Api, StatusError, parse_base_url
from scr.engines.loop import BackgroundLoop
from scr.engines.scoring import ANCHOR, Scored, after_anchor, empty_target, scored_by_server
from scr.errors import EngineError, EngineUnavailable, ModelNotFound, UsageError

_T = TypeVar("_T")


class OpenAIEngine:
    """Answers through ``/v1/chat/completions`` (chat turns) and ``/v1/completions`` (raw text)."""

    def __init__(self, api: Api, loop: BackgroundLoop, model: str, concurrency: int) -> None:
        """Take an API, the loop that it lives in, and the served model's name."""
        self._api, self._loop, self._model, self._concurrency = api, loop, model, concurrency
        self._can_count = True
        self._anchor: list[int] = []
        self._counted = lru_cache(4096)(self._count)

    @classmethod
    def connect(
        cls,
        base_url: str,
        model: str | None = None,
        *,
        api_key: str | None = None,
        timeout: float = 300.0,
        concurrency: int = 64,
        retries: int = 3,
    ) -> OpenAIEngine:
        """Prepare to talk to a server; it is only asked anything here to find the model's name.

        Args:
            base_url: such as ``http://127.0.0.1:8000/v1``; ``/v1`` may be left out.
            model: the name that it is served under; None takes the only one there is.
            api_key: sent as a bearer token.
            timeout: seconds that one answer, or one silence within a stream, may take.
            concurrency: most requests under way at once.
            retries: how often a request is sent again after a failure that may pass (no connection, status 429,
                502, 503, 504). Nothing is sent again once an answer has begun to stream.

        Raises:
            UsageError: the address or the key cannot be one, or there are several models and none is named.
            EngineUnavailable: the server cannot be reached.
            EngineRefused: it refuses the key.
            ModelNotFound: it serves no model.
            EngineError: it is no OpenAI-compatible server.
        """
        api = Api(parse_base_url(base_url), api_key=api_key, timeout=timeout, concurrency=concurrency, retries=retries)
        loop = BackgroundLoop()
        engine = cls(api, loop, model or "", concurrency)
        if model is None:
            try:
                engine._model = engine._only(engine.served())
            except BaseException:
                engine.close()
                raise
        return engine

    @property
    def model(self) -> str:
        """The name that the server calls it by."""
        return self._model

    def served(self) -> list[str]:
        """The names of the models that the server has.

        Raises:
            EngineError: it does not say.
        """
        return self._loop.run(self._served())

    def check(self) -> None:
        """Make sure that the server has the model, before any work is sent to it.

        Raises:
            EngineError: it does not, or cannot be reached.
        """
        if self._model not in (names := self.served()):
            raise self._no_model(names)

    def generate(self, prompts: Sequence[Prompt], sampling: Sampling) -> list[Completion]:
        """Answer a batch of prompts, in their order, as many at once as ``concurrency`` allows.

        Raises:
            EngineError: the first failure; what was still under way is cancelled.
        """
        with closing(self.generate_each(prompts, sampling)) as outcomes:
            return in_order(outcomes)

    def generate_each(
        self, prompts: Iterable[Prompt], sampling: Sampling
    ) -> Generator[tuple[int, Outcome], None, None]:
        """Answer prompts as the server finishes them, drawing more as it does."""
        yield from self.generate_mixed((prompt, sampling) for prompt in prompts)

    def generate_mixed(self, requests: Iterable[tuple[Prompt, Sampling]]) -> Generator[tuple[int, Outcome], None, None]:
        """:meth:`generate_each` for prompts that have each their own sampling."""
        yield from self._each(self._outcome(prompt, sampling) for prompt, sampling in requests)

    def score(self, pairs: Sequence[tuple[Prompt, str]]) -> list[Scored]:
        """See :meth:`scr.engines.scoring.Scorer.score`; needs vLLM's ``/tokenize`` and ``prompt_logprobs``."""
        done: dict[int, Scored] = {}
        with closing(self._each(self._scored(prompt, target) for prompt, target in pairs)) as outcomes:
            for place, outcome in outcomes:
                if isinstance(outcome, EngineError):
                    raise outcome
                done[place] = outcome
        return [done[place] for place in range(len(pairs))]

    def _each(self, work: Iterable[Coroutine[Any, Any, _T]]) -> Generator[tuple[int, _T], None, None]:
        """Run coroutines, drawn as they are needed, and yield each one's place and result as it ends."""
        numbered = enumerate(work)
        ended: SimpleQueue[tuple[int, Future[_T]]] = SimpleQueue()
        running: set[Future[_T]] = set()

        def start(place: int, coroutine: Coroutine[Any, Any, _T]) -> None:
            future = self._loop.start(coroutine)
            running.add(future)
            future.add_done_callback(lambda future: ended.put((place, future)))

        try:
            while True:
                # Twice as many as may be under way, so that the server need not wait for the caller.
                for place, coroutine in islice(numbered, 2 * self._concurrency - len(running)):
                    start(place, coroutine)
                if not running:
                    return
                place, future = ended.get()
                running.discard(future)
                yield place, future.result()
        finally:
            for future in running:
                future.cancel()

    def stream(self, prompt: Prompt, sampling: Sampling) -> Iterator[str]:
        """Answer one prompt piece by piece; leaving the iterator closes the connection.

        Raises:
            EngineError: the request failed, or the stream broke; the pieces that came are then not the answer.
        """
        arrived: SimpleQueue[str | BaseException | None] = SimpleQueue()

        async def pump() -> None:
            try:
                async with aclosing(self._pieces(prompt, sampling)) as pieces:
                    async for piece in pieces:
                        arrived.put(piece)
                arrived.put(None)
            except BaseException as error:  # handed to the thread that reads
                arrived.put(error)
                if not isinstance(error, Exception):
                    raise

        future = self._loop.start(pump())
        try:
            while isinstance(item := arrived.get(), str):
                yield item
            if item is not None:
                raise item
        finally:
            future.cancel()

    def count_tokens(self, text: str) -> int | None:
        """Length of a text in the model's tokens, where the server has vLLM's ``/tokenize``; None elsewhere."""
        return self._counted(text) if self._can_count else None

    def close(self) -> None:
        """Cancel what is under way and close the connections."""
        if not self._loop.closed:
            self._loop.run(self._api.aclose())
            self._loop.close()

    def _only(self, names: list[str]) -> str:
        if len(names) == 1:
            return names[0]
        if not names:
            raise ModelNotFound(f"{self._api.address} serves no model: start the server with one")
        raise UsageError(f"{self._api.address} serves several models: choose one with --model: {_listed(names)}")

    async def _served(self) -> list[str]:
        try:
            answer = await self._api.get("models")
            return [str(entry["id"]) for entry in answer["data"]]
        except StatusError as error:
            if error.status == 404:
                raise self._api.not_openai("that it has no list of models") from None
            raise
        except (LookupError, TypeError):
            raise self._api.not_openai("something other than a list of models") from None

    async def _outcome(self, prompt: Prompt, sampling: Sampling) -> Outcome:
        try:
            path, body = self._request(prompt, sampling)
            return self._completion(await self._asked(self._api.post(path, body), path))
        except EngineError as error:
            return error

    async def _scored(self, prompt: Prompt, target: str) -> Scored | EngineError:
        try:
            if not target:
                return empty_target()
            ids = await self._ids(prompt)
            self._anchor = self._anchor or await self._ids(ANCHOR, plain=True)
            rest = after_anchor(await self._ids(ANCHOR + target, plain=True), self._anchor)
            rest = await self._ids(target, plain=True) if rest is None else rest
            body = {"model": self._model, "prompt": ids + rest, "max_tokens": 1, "temperature": 0, "prompt_logprobs": 0}
            answer = await self._asked(self._api.post("completions", body), "completions")
            return scored_by_server(answer, ids + rest, len(rest)) or self._no_probabilities("prompt_logprobs")
        except EngineError as error:
            return error

    async def _ids(self, prompt: Prompt, *, plain: bool = False) -> list[int]:
        """Token ids as the server itself would make them of a prompt, or (plain) of a piece of text."""
        path, body = self._request(prompt, Sampling())
        kept = ("model", "prompt", "messages", "add_generation_prompt", "continue_final_message")
        body = {name: body[name] for name in kept if name in body}
        if path == "completions":
            body["add_special_tokens"] = not plain
        try:
            answer = await self._api.post("../tokenize", body)
            return [int(token) for token in answer["tokens"]]
        except StatusError as error:
            explained = await self._explained(error, "tokenize")
            missing = error.status in {404, 405} and not isinstance(explained, ModelNotFound)
            raise self._no_probabilities("/tokenize") if missing else explained from None
        except (LookupError, TypeError, ValueError):
            raise self._no_probabilities("/tokenize") from None

    def _no_probabilities(self, what: str) -> EngineError:
        return EngineError(
            f"{self._api.address} has no {what}, so the probability of a given text cannot be told: use a vLLM server, "
            "or a model in this process"
        )

    async def _asked(self, request: Any, path: str) -> Any:
        """Await a request, and say what its failure means."""
        try:
            return await request
        except StatusError as error:
            raise await self._explained(error, path) from None

    async def _pieces(self, prompt: Prompt, sampling: Sampling) -> AsyncGenerator[str, None]:
        path, body = self._request(prompt, sampling)
        finished = False
        try:
            async with aclosing(self._api.events(path, body | {"stream": True})) as events:
                async for event in events:
                    piece, reason = self._piece(event)
                    finished = finished or reason is not None
                    if piece:
                        yield piece
        except StatusError as error:
            raise await self._explained(error, path) from None
        if not finished:
            raise EngineUnavailable(f"{self._api.address} cut the answer short: check that it still runs, and its log")

    def _request(self, prompt: Prompt, sampling: Sampling) -> tuple[str, dict[str, Any]]:
        body: dict[str, Any] = {
            "model": self._model,
            "max_tokens": sampling.max_tokens,
            "temperature": sampling.temperature,
        }
        if sampling.seed is not None:
            body["seed"] = sampling.seed
        if sampling.stop:
            body["stop"] = list(sampling.stop)
        if isinstance(prompt, str):
            return "completions", body | {"prompt": prompt}
        messages = [dict(message) for message in prompt]
        if messages and messages[-1].get("role") == "assistant":
            body |= {"add_generation_prompt": False, "continue_final_message": True}  # vLLM's words for it
        return "chat/completions", body | {"messages": messages}

    def _completion(self, answer: Any) -> Completion:
        try:
            choice = answer["choices"][0]
            text = choice["message"]["content"] if "message" in choice else choice["text"]
            usage = answer.get("usage") or {}
            return Completion(
                text=_text(text),
                finish_reason=str(choice.get("finish_reason") or "stop"),
                prompt_tokens=int(usage.get("prompt_tokens") or 0),
                completion_tokens=int(usage.get("completion_tokens") or 0),
            )
        except (LookupError, TypeError, ValueError, AttributeError):
            raise self._api.not_openai("something other than a completion") from None

    def _piece(self, event: Any) -> tuple[str, str | None]:
        """The text of one event of a stream, and why the answer ended there, if it did."""
        if isinstance(event, dict) and (error := event.get("error")):
            message = error.get("message") if isinstance(error, dict) else error
            raise EngineError(f"{self._api.address} broke off the answer: {self._api.clean(str(message))}")
        try:
            if not event["choices"]:
                return "", None
            choice = event["choices"][0]
            text = (choice.get("delta") or {}).get("content") if "delta" in choice else choice["text"]
            return _text(text), choice.get("finish_reason")
        except (LookupError, TypeError, ValueError, AttributeError):
            raise self._api.not_openai("something other than a completion") from None

    async def _explained(self, error: StatusError, path: str) -> EngineError:
        """An error status in words that name the remedy."""
        if error.status == 404:
            return await self._missing(error, path)
        words = error.detail.lower()
        if error.status in {400, 413, 422} and ("context length" in words or "context_length" in words):
            return EngineError(
                "the prompt and the answer do not fit the model's context: shorten the prompt or lower --max-tokens "
                f"({error.detail})"
            )
        return EngineError(str(error))

    async def _missing(self, error: StatusError, path: str) -> EngineError:
        try:
            names = await self._served()
        except EngineError:
            return self._api.not_openai(f"that it has no /{path}")
        if self._model in names:
            return EngineError(f"{self._api.address} has no /{path} for {self._model} ({error.detail})")
        return self._no_model(names)

    def _no_model(self, names: list[str]) -> ModelNotFound:
        return ModelNotFound(
            f"{self._api.address} serves no model {self._model!r}: set --model to one of: {_listed(names)}"
        )

    def _count(self, text: str) -> int | None:
        body = {"model": self._model, "prompt": text, "add_special_tokens": False}
        try:
            answer = self._loop.run(self._api.post("../tokenize", body, patient=False))
            return int(answer["count"])
        except (EngineError, LookupError, TypeError, ValueError):
            self._can_count = False
            return None


def _text(value: Any) -> str:
    """A text that a server may leave out."""
    if value is not None and not isinstance(value, str):
        raise TypeError("not a text")
    return value or ""


def _listed(names: list[str]) -> str:
    return ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")
