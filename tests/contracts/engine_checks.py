"""What every engine promises, as plain functions that take an open engine on a small chat model.

They need no pytest, so that they also run where only an engine's own libraries are installed:
``python -m tests.contracts.engine_checks MODEL`` checks the vLLM engine in its environment.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from itertools import islice

from scr.engines import Completion, Engine, Prompt, Sampling, in_order
from scr.errors import EngineError, ScrError

Check = Callable[[Engine], None]


def chat(*contents: str) -> Prompt:
    """Turns of user and assistant, in alternation."""
    return [{"role": ("user", "assistant")[at % 2], "content": content} for at, content in enumerate(contents)]


FOX = chat("Tell me a long story about a fox.")
PROMPTS: list[Prompt] = [
    chat("What is the capital of France?"),
    "The three primary colours are",
    FOX,
    chat(
        "Hello!", "Hello! How can I help you today?", "What is the largest planet? " + "Think before you answer. " * 20
    ),
    [{"role": "system", "content": "Answer in one word."}, {"role": "user", "content": "Who wrote Hamlet?"}],
    chat("Was heißt „Eichhörnchen“ auf 日本語? 🐿️"),
]
SHORT = Sampling(max_tokens=12)
TOO_LONG = chat("word " * 20_000)


def is_an_engine(engine: Engine) -> None:
    assert isinstance(engine, Engine)
    assert engine.model


def batch_equals_single(engine: Engine) -> None:
    together = engine.generate(PROMPTS, SHORT)
    assert together == [engine.generate([prompt], SHORT)[0] for prompt in PROMPTS]


def order_is_kept(engine: Engine) -> None:
    answers = engine.generate(PROMPTS, SHORT)
    assert len({answer.text for answer in answers}) == len(PROMPTS)
    assert engine.generate(PROMPTS[::-1], SHORT) == answers[::-1]


def empty_batch(engine: Engine) -> None:
    assert engine.generate([], SHORT) == []


def max_tokens_is_obeyed(engine: Engine) -> None:
    for limit in (1, 7):
        (answer,) = engine.generate([FOX], Sampling(max_tokens=limit))
        assert (answer.finish_reason, answer.completion_tokens) == ("length", limit)


def an_answer_ends_by_itself(engine: Engine) -> None:
    (answer,) = engine.generate([PROMPTS[0]], Sampling(max_tokens=64))
    assert answer.finish_reason == "stop"
    assert "Paris" in answer.text
    assert 1 < answer.completion_tokens < 64
    assert answer.prompt_tokens > 7
    assert "<|" not in answer.text


def stop_strings_end_it(engine: Engine) -> None:
    (whole,) = engine.generate([FOX], Sampling(max_tokens=24))
    words = whole.text.split()
    stops = (f"{words[5]} {words[6][:2]}", words[9])  # one that ends within a word, one that comes too late
    (answer,) = engine.generate([FOX], Sampling(max_tokens=24, stop=stops))
    assert answer.finish_reason == "stop"
    assert answer.text == whole.text[: min(whole.text.find(stop) for stop in stops)]
    assert "".join(engine.stream(FOX, Sampling(max_tokens=24, stop=stops))) == answer.text


def a_stream_joins_to_the_answer(engine: Engine) -> None:
    for prompt in PROMPTS:
        (answer,) = engine.generate([prompt], SHORT)
        pieces = list(engine.stream(prompt, SHORT))
        assert "".join(pieces) == answer.text
        assert not any("\ufffd" in piece for piece in pieces), "a character came in halves"


def a_stream_may_be_left(engine: Engine) -> None:
    stream = engine.stream(FOX, Sampling(max_tokens=400))
    assert next(stream)
    del stream
    assert engine.generate([PROMPTS[0]], SHORT)[0].text


def a_seed_repeats_a_draw(engine: Engine) -> None:
    draws = [engine.generate([FOX], Sampling(max_tokens=24, temperature=1.0, seed=seed))[0] for seed in (1, 1, 2)]
    assert draws[0] == draws[1]
    assert draws[0].text != draws[2].text


def draws_do_not_depend_on_neighbours(engine: Engine) -> None:
    sampling = Sampling(max_tokens=12, temperature=1.0, seed=7)
    assert engine.generate([*PROMPTS, FOX], sampling)[-1] == engine.generate([FOX], sampling)[0]


def an_answer_may_be_begun(engine: Engine) -> None:
    begun = chat("What is the capital of France?", "The capital of France is the city of")
    (answer,) = engine.generate([begun], Sampling(max_tokens=4))
    assert answer.text.startswith(" Paris"), answer


def text_parts_are_text(engine: Engine) -> None:
    parts = [{"role": "user", "content": [{"type": "text", "text": "What is the capital of France?"}]}]
    assert engine.generate([parts], SHORT) == engine.generate([PROMPTS[0]], SHORT)


def a_prompt_too_long_says_so(engine: Engine) -> None:
    message = ""
    try:
        engine.generate([PROMPTS[0], TOO_LONG], SHORT)
    except EngineError as error:
        message = str(error)
    assert "shorten" in message
    assert "\n" not in message
    assert len(message) < 600


def one_failure_does_not_stop_the_others(engine: Engine) -> None:
    prompts = [PROMPTS[0], TOO_LONG, PROMPTS[1]]
    outcomes = dict(engine.generate_each(iter(prompts), SHORT))
    assert sorted(outcomes) == [0, 1, 2]
    assert isinstance(outcomes[1], EngineError)
    assert [outcomes[0], outcomes[2]] == engine.generate([PROMPTS[0], PROMPTS[1]], SHORT)


def bulk_may_be_left(engine: Engine) -> None:
    first = list(islice(engine.generate_each([FOX] * 6, SHORT), 1))
    assert isinstance(first[0][1], Completion)
    assert in_order([(0, first[0][1])]) == engine.generate([FOX], SHORT)


def tokens_are_counted_or_not(engine: Engine) -> None:
    assert engine.count_tokens("") in (0, None)
    count = engine.count_tokens("The capital of France is Paris.")
    assert count is None or 5 <= count <= 12


CHECKS: tuple[Check, ...] = (
    is_an_engine,
    batch_equals_single,
    order_is_kept,
    empty_batch,
    max_tokens_is_obeyed,
    an_answer_ends_by_itself,
    stop_strings_end_it,
    a_stream_joins_to_the_answer,
    a_stream_may_be_left,
    a_seed_repeats_a_draw,
    draws_do_not_depend_on_neighbours,
    an_answer_may_be_begun,
    text_parts_are_text,
    a_prompt_too_long_says_so,
    one_failure_does_not_stop_the_others,
    bulk_may_be_left,
    tokens_are_counted_or_not,
)


def main(model: str) -> int:
    """Check the vLLM engine; one line a check, exit status 1 if one failed."""
    from scr.engines.vllm import VLLMEngine

    engine = VLLMEngine.from_pretrained(model, dtype="float32", max_model_len=4096, enforce_eager=True)
    failed = 0
    for check in CHECKS:
        try:
            check(engine)
            print(f"passed {check.__name__}")  # noqa: T201
        except (AssertionError, ScrError):
            failed += 1
            print(f"failed {check.__name__}")  # noqa: T201
            traceback.print_exc(file=sys.stdout)
    engine.close()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
