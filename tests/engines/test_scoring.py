"""Probabilities of a given text: two engines, and the same by hand."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from benchmarks.tools.vllm_cpu import Server
from scr.engines import Prompt
from scr.engines.openai import OpenAIEngine
from scr.engines.scoring import Scored, Scorer, after_anchor
from scr.engines.transformers import TransformersEngine
from scr.errors import EngineError, ModelNotFound

from ..contracts.engine_checks import TOO_LONG, chat
from .standin import Handler, answers, fails, lists, says, standin

llm, vllm = pytest.mark.llm, pytest.mark.vllm

FRANCE = chat("What is the capital of France?")
PAIRS: list[tuple[Prompt, str]] = [
    ("The capital of France is", " Paris"),
    ("The capital of France is", " the city of Antananarivo, on Madagascar"),
    (FRANCE, "Paris"),
    (FRANCE, "The capital of France is Paris."),
    (chat("What is the capital of France?", "The capital of France is the city of"), " Paris"),
    ([{"role": "system", "content": "Answer in one word."}, *chat("Who wrote Hamlet? " * 12)], "Shakespeare"),
    ("Was heißt „Eichhörnchen“ auf Japanisch?\n", "リスです 🐿️"),
    ("Two lines:", "\none\n\ntwo"),
    ("x", " y"),
]


@pytest.fixture(scope="module")
def served(vllm_server: Server) -> Iterator[OpenAIEngine]:
    with closing(OpenAIEngine.connect(vllm_server.base_url)) as engine:
        yield engine


def by_hand(engine: TransformersEngine, prompt: Prompt, target: str) -> tuple[list[float], list[bool]]:
    """One text at a time, its tokens found by the tokenizer's offsets."""
    import torch

    text = prompt
    if not isinstance(prompt, str):
        begun = prompt[-1]["role"] == "assistant"
        options = {"add_generation_prompt": not begun, "continue_final_message": begun}
        text = engine.tokenizer.apply_chat_template(prompt, tokenize=False, **options)
    encoded = engine.tokenizer(text + target, return_offsets_mapping=True)
    begin = next(at for at, (_, end) in enumerate(encoded["offset_mapping"]) if end > len(text))
    ids = torch.tensor([encoded["input_ids"]])
    with torch.inference_mode():
        logits = engine.network(input_ids=ids).logits[0, begin - 1 : -1].double()
    own = ids[0, begin:]
    logprobs = torch.log(torch.softmax(logits, -1))[torch.arange(len(own)), own]
    return logprobs.tolist(), (logits.argmax(-1) == own).tolist()


@llm
def test_the_embedded_engine_agrees_with_a_computation_by_hand(smollm2: TransformersEngine) -> None:
    assert isinstance(smollm2, Scorer)
    for pair, scored in zip(PAIRS, smollm2.score(PAIRS), strict=True):
        logprobs, greedy = by_hand(smollm2, *pair)
        assert scored.logprobs == pytest.approx(logprobs, abs=1e-4), pair
        assert list(scored.greedy) == greedy, pair


@llm
def test_what_the_model_says_is_what_it_holds_likeliest(smollm2: TransformersEngine) -> None:
    from scr.engines import Sampling

    for prompt in ("The three primary colours are", FRANCE):
        (answer,) = smollm2.generate([prompt], Sampling(max_tokens=6))
        (scored,) = smollm2.score([(prompt, answer.text)])
        assert scored.accuracy == 1
        (worse,) = smollm2.score([(prompt, answer.text + " Zanzibar zebra")])
        assert worse.accuracy < 1
        assert worse.logprob < scored.logprob - 5


@llm
def test_neighbours_in_a_batch_make_no_difference(smollm2: TransformersEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    together = smollm2.score(PAIRS)
    monkeypatch.setattr("scr.engines.transformers._LOGITS", 1)  # a row at a time
    for scored, alone in zip(together, smollm2.score(PAIRS), strict=True):
        assert scored.logprobs == pytest.approx(alone.logprobs, abs=1e-4)
        assert scored.greedy == alone.greedy
    assert smollm2.score([]) == []


@llm
def test_a_prompt_is_read_once_for_targets_of_one_token(smollm2: TransformersEngine) -> None:
    read: list[tuple[int, ...]] = []
    hook = smollm2.network.register_forward_pre_hook(
        lambda _, __, given: read.append(tuple(given["input_ids"].shape)), with_kwargs=True
    )
    with hook:
        several = smollm2.score([("The sky is", " blue"), ("The sky is", " red"), ("The sky is", " grey and dull")])
    (shape,) = read
    assert shape[0] == 2
    assert [len(scored.logprobs) for scored in several] == [1, 1, 3]


@llm
def test_a_target_is_text(smollm2: TransformersEngine) -> None:
    (scored,) = smollm2.score([("A turn ends with", "<|im_end|>")])
    assert len(scored.logprobs) > 1


@llm
def test_what_cannot_be_scored(smollm2: TransformersEngine) -> None:
    with pytest.raises(EngineError, match="target is empty"):
        smollm2.score([*PAIRS, ("x", "")])
    with pytest.raises(EngineError, match="shorten"):
        smollm2.score([(TOO_LONG, "x")])
    with pytest.raises(EngineError, match=r"prompt and the target are [\d,]+ tokens long"):
        smollm2.score([("x", "word " * 20_000)])


@vllm
@llm
def test_both_engines_agree(served: OpenAIEngine, smollm2: TransformersEngine) -> None:
    assert isinstance(served, Scorer)
    for pair, theirs, ours in zip(PAIRS, served.score(PAIRS), smollm2.score(PAIRS), strict=True):
        assert theirs.logprobs == pytest.approx(ours.logprobs, abs=2e-3), pair
        assert theirs.greedy == ours.greedy, pair


@vllm
def test_what_a_server_cannot_score(served: OpenAIEngine, vllm_server: Server) -> None:
    assert served.score([]) == []
    with pytest.raises(EngineError, match="target is empty"):
        served.score([("x", "")])
    with pytest.raises(EngineError, match="shorten"):
        served.score([PAIRS[0], (TOO_LONG, "x")])
    with (
        closing(OpenAIEngine.connect(vllm_server.base_url, "gpt-9")) as other,
        pytest.raises(ModelNotFound, match="SmolLM2"),
    ):
        other.score(PAIRS[:1])


def score(*actions: Any) -> list[Scored]:
    with standin(*actions) as server, closing(OpenAIEngine.connect(server.base_url, "m", retries=0)) as engine:
        return engine.score([("A", "B")])


def tokens(*ids: int) -> Any:
    return says(200, {"tokens": list(ids), "count": len(ids), "max_model_len": 100})


def says_logprobs(entries: Any) -> Any:
    return says(200, {"choices": [{"text": "", "finish_reason": "length", "prompt_logprobs": entries}]})


@pytest.mark.parametrize(
    ("actions", "what"),
    [
        ([fails(404, "Not Found"), lists("m")], "/tokenize"),
        ([says(200, {"count": 3})], "/tokenize"),
        ([says(200, [])], "/tokenize"),
        ([tokens(1), answers()], "/tokenize"),
        ([tokens(1), tokens(9), tokens(9, 2), answers()], "prompt_logprobs"),
        ([tokens(1), tokens(9), tokens(9, 2), says_logprobs(None)], "prompt_logprobs"),
        ([tokens(1), tokens(9), tokens(9, 2), says_logprobs([None, {"7": {"logprob": -1, "rank": 1}}])], "prompt_logp"),
        ([tokens(1), tokens(9), tokens(9, 2), says_logprobs([{"2": {"logprob": -1, "rank": 1}}])], "prompt_logprobs"),
        ([tokens(1), tokens(9), tokens(9, 2), says_logprobs([None, {"2": {"logprob": "x", "rank": 1}}])], "prompt_log"),
        ([tokens(1), tokens(9), tokens(9, 2), says_logprobs([None, {"2": {"logprob": -1, "rank": None}}])], "prompt_l"),
    ],
)
def test_servers_that_tell_no_probabilities(actions: list[Any], what: str) -> None:
    with pytest.raises(EngineError, match=f"has no {what}.*use a vLLM server") as caught:
        score(*actions)
    assert "\n" not in str(caught.value)


def test_a_server_is_asked_for_the_tokens_it_would_see() -> None:
    seen: list[Any] = []

    def remembered(action: Any) -> Any:
        def act(handler: Handler) -> None:
            seen.append((handler.seen.path, handler.seen.body))
            action(handler)

        return act

    entries = [None, {"5": {"logprob": -9.0, "rank": 4}}, {"2": {"logprob": -0.5, "rank": 1}}]
    actions = [tokens(1, 5), tokens(9), tokens(9, 2), says_logprobs(entries)]
    assert score(*map(remembered, actions)) == [Scored((-0.5,), (True,))]
    assert [path for path, _ in seen] == ["/tokenize"] * 3 + ["/v1/completions"]
    assert [body.get("add_special_tokens") for _, body in seen[:3]] == [True, False, False]
    assert seen[3][1]["prompt"] == [1, 5, 2]


def test_figures_of_a_target() -> None:
    scored = Scored((-0.5, -1.5, -1.0, -1.0), (True, False, True, True))
    assert scored.logprob == -4
    assert scored.accuracy == 0.75


def test_an_anchor_that_grew_together_with_the_target() -> None:
    assert after_anchor([9, 4, 5], [9]) == [4, 5]
    assert after_anchor([7, 5], [9]) is None
