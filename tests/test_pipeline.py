"""The promises of a query's way: untouched out of scope, and the fact shown is the fact stored."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from numpy.typing import NDArray

from scr.context import ContextBuilder
from scr.engines import Completion, Engine, Outcome, Prompt, Sampling
from scr.facts import NewFact
from scr.pipeline import Pipeline
from scr.scope import Candidate
from scr.scope.opening import open_scope
from scr.store import FactStore


class Recorder:
    """Not a model: it keeps the very objects that it is given."""

    model = "recorder"

    def __init__(self) -> None:
        self.given: list[Prompt] = []

    def generate(self, prompts: Sequence[Prompt], sampling: Sampling) -> list[Completion]:  # noqa: ARG002
        self.given += prompts
        return [Completion(f"answer {place}", "stop", 1, 1) for place in range(len(prompts))]

    def generate_each(self, prompts: Iterable[Prompt], sampling: Sampling) -> Iterator[tuple[int, Outcome]]:
        yield from enumerate(self.generate(list(prompts), sampling))

    def stream(self, prompt: Prompt, sampling: Sampling) -> Iterator[str]:
        yield self.generate([prompt], sampling)[0].text

    def count_tokens(self, text: str) -> int | None:  # noqa: ARG002
        return None

    def close(self) -> None:
        pass


class Everything:
    """Not a classifier: every candidate applies, or none."""

    name = "everything"

    def __init__(self, threshold: float = 0.5) -> None:
        self.threshold = threshold

    def score(self, pairs: Sequence[tuple[str, Candidate]]) -> NDArray[np.float32]:
        return np.linspace(0.9, 0.8, len(pairs), dtype=np.float32)


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def pipeline(store: FactStore, recorder: Recorder) -> Pipeline:
    return Pipeline(store, open_scope(), ContextBuilder(), recorder)


@pytest.fixture
def eager(store: FactStore, recorder: Recorder) -> Callable[..., Pipeline]:
    return lambda **options: Pipeline(store, Everything(), ContextBuilder(), recorder, **options)


def ask(text: object) -> list[dict[str, object]]:
    return [{"role": "user", "content": text}]


PROMPTS: list[Prompt] = [
    ask("Who wrote Romeo and Juliet?"),
    "Romeo and Juliet was written by",
    (
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Who wrote Hamlet?", "name": "x", "own": [1]},
    ),
    ask([{"type": "image_url", "image_url": {"url": "data:,"}}, {"type": "text", "text": "Who wrote Hamlet?"}]),
    [{"role": "system", "content": "No user turn."}],
]


@pytest.mark.parametrize("prompt", PROMPTS)
def test_out_of_scope_the_very_object_reaches_the_engine(
    pipeline: Pipeline, recorder: Recorder, prompt: Prompt, store: FactStore
) -> None:
    store.add(NewFact("The warranty of the Brightwell kettle is seven years."))
    before = repr(prompt)
    answer = pipeline.ask(prompt)
    assert recorder.given[0] is prompt
    assert answer.context.prompt is prompt
    assert repr(prompt) == before
    assert not answer.decision.in_scope
    assert answer.decision.facts, "the candidates are told, though none applies"


def test_with_no_facts_nothing_is_touched(pipeline: Pipeline, recorder: Recorder) -> None:
    prompt = ask("What is the capital of France?")
    assert pipeline.ask(prompt).decision.facts == ()
    assert recorder.given[0] is prompt


TEXTS = [
    "The capital of France is Lyon.",
    'She said "no", and it\'s final — naïve Zoë, 東京, عربى, 👩‍👩‍👧.',
    "Braces {{ fact.text }} and {% raw %} and {# a comment #} stay.",
    "<b>HTML</b> & ampersands &amp; stay, C:\\path\\n and %s too.",
    "Line one.\nLine two.\n\n\tA tab.",
    "e\u0301 is not é, and \u200b\u202e stay.",
    "x" * 4_000,
]


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("form", ["chat", "completion"])
def test_the_fact_shown_is_the_fact_stored(
    eager: Callable[..., Pipeline], recorder: Recorder, store: FactStore, text: str, form: str
) -> None:
    fact = store.add(NewFact.of({"text": text})).fact
    assert fact.text == text
    question = "What {{ query }} is asked, “here”?\nNow."
    answer = eager().ask(question if form == "completion" else ask(question))
    (given,) = recorder.given
    shown = given if isinstance(given, str) else given[-1]["content"]
    assert text in shown
    assert question in shown
    assert answer.context.shown == (fact,)
    assert answer.to_json()["messages"] == given


def test_only_the_last_user_turn_changes(eager: Callable[..., Pipeline], recorder: Recorder, store: FactStore) -> None:
    store.add(NewFact("The mayor of Lyon is Ada Roux."))
    image = {"type": "image_url", "image_url": {"url": "data:,"}}
    turns = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Hi."},
        {"role": "user", "content": [image, {"type": "text", "text": "Who is the mayor of Lyon?"}], "name": "me"},
    ]
    before = repr(turns)
    eager().ask(turns)
    (given,) = recorder.given
    assert list(given[:3]) == turns[:3]
    assert given[3]["name"] == "me"
    assert given[3]["content"][0] == image
    assert "Ada Roux" in given[3]["content"][1]["text"]
    assert repr(turns) == before, "the caller's turns are the caller's"


def test_a_turn_that_leans_finds_its_fact(pipeline: Pipeline, store: FactStore) -> None:
    store.add(NewFact("The capital of France is Lyon."))
    asked = ask("What is the capital of France?")
    turns = [*asked, {"role": "assistant", "content": "Paris."}, {"role": "user", "content": "Is that so?"}]
    assert pipeline.decide(turns).query == "What is the capital of France? Is that so?"
    assert pipeline.decide(turns).facts[0].similarity > pipeline.decide(ask("Is that so?")).facts[0].similarity


def test_several_facts_are_shown_best_first(eager: Callable[..., Pipeline], store: FactStore) -> None:
    for city in ("Lyon", "Nice", "Metz", "Brest"):
        store.add(NewFact(f"{city} is a city."))
    pipeline = eager(k=3)
    decision = pipeline.decide(ask("Is Lyon a city?"))
    assert len(decision.facts) == 3
    assert [judged.score for judged in decision.facts] == sorted((j.score for j in decision.facts), reverse=True)
    assert decision.facts[0].fact.text == "Lyon is a city."
    assert pipeline.messages(ask("Is Lyon a city?"), decision).shown == decision.applying


def test_as_of_and_validity(eager: Callable[..., Pipeline], store: FactStore) -> None:
    old = store.add(NewFact("The capital of France is Lyon.")).fact
    store.update(old.id, NewFact("The capital of France is Nice."))
    pipeline, question, now = eager(), ask("What is the capital of France?"), datetime.now(UTC)

    def texts(as_of: datetime | None = None) -> list[str]:
        return [fact.text for fact in pipeline.decide(question, as_of=as_of).applying]

    assert texts() == ["The capital of France is Nice."]
    assert texts(old.created_at) == ["The capital of France is Lyon."]
    assert texts(old.created_at - timedelta(seconds=1)) == []
    store.add(NewFact("The capital of Peru is Cusco.", valid_to=now - timedelta(days=1)))
    store.add(NewFact("The capital of Chile is Arica.", valid_from=now + timedelta(days=1)))
    assert texts() == ["The capital of France is Nice."]
    store.remove([old.id])
    assert texts() == []


def test_many_are_answered_in_their_order(pipeline: Pipeline, recorder: Recorder, store: FactStore) -> None:
    store.add(NewFact("The capital of France is Lyon."))
    prompts = [ask("Who wrote Hamlet?"), ask("What is the capital of France?"), ask("What is a kettle?")]
    answers = pipeline.ask_all(prompts)
    assert [answer.decision.in_scope for answer in answers] == [False, True, False]
    assert [answer.text for answer in answers] == ["answer 0", "answer 1", "answer 2"]
    assert recorder.given[0] is prompts[0]
    assert recorder.given[2] is prompts[2]
    assert pipeline.ask_all([]) == []


def test_a_pipeline_without_an_engine_decides_and_does_not_ask(store: FactStore) -> None:
    pipeline = Pipeline(store, open_scope(), ContextBuilder())
    assert not pipeline.decide(ask("Who?")).in_scope
    with pytest.raises(ValueError, match="no engine"):
        pipeline.ask(ask("Who?"))


@pytest.mark.llm
def test_the_real_model_is_corrected_and_otherwise_left_alone(store: FactStore, smollm2: Engine) -> None:
    store.add(NewFact("The capital of France is Lyon."))
    pipeline = Pipeline(store, open_scope(), ContextBuilder(), smollm2)
    sampling = Sampling(max_tokens=24)
    assert "Lyon" in pipeline.ask(ask("What is the capital of France?"), sampling).text
    outside = ask("Who wrote Romeo and Juliet?")
    (bare,) = pipeline.ask_bare([outside], sampling)
    assert pipeline.ask(outside, sampling).completion == bare


def test_a_fact_asked_for_within_a_long_turn_applies_once(store: FactStore, eager: Callable[..., Pipeline]) -> None:
    fact = store.add(NewFact("Anton Velde was born in Ulmbach.")).fact
    long = "I was reading for hours and my head hurts. " * 6 + "In which town was Anton Velde born? " + "Thanks! " * 9
    decision = eager().decide(long)
    assert decision.query == long
    assert [judged.fact for judged in decision.facts] == [fact]


def test_decisions_together_are_the_decisions_alone(store: FactStore, pipeline: Pipeline) -> None:
    store.add_all([NewFact("Anton Velde was born in Ulmbach."), NewFact("The river Sarn flows through Ulmbach.")])
    prompts = ["Where was Anton Velde born?", "I like tea. " * 12 + "Where was Anton Velde born? Who knows?", "Hello"]
    for one, together in zip(prompts, pipeline.decide_all(prompts), strict=True):
        alone = pipeline.decide(one)
        assert [j.fact for j in alone.facts] == [j.fact for j in together.facts]
        assert alone.applying == together.applying
