"""Methods in context: what the model is given for a question, and that the model itself stays as it is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib.metadata import EntryPoint

import pytest

from scr.context import ContextBuilder
from scr.editors import Asked, Edit, Prepared, registry
from scr.editors.baselines import Oracle
from scr.editors.registry import Workbench, names, open_editor, traits
from scr.encoder import Encoder
from scr.engines import Completion, Outcome, Prompt, Sampling, in_order
from scr.errors import EditError, UsageError

NORVANIA = Edit("The capital of Norvania is Elmsport.", "The capital of Norvania is", "Elmsport", "Norvania")
TILDA = Edit("Tilda Brenner works as a glassblower.", "The profession of Tilda Brenner is", "glassblower")
QUESTION = "What is the capital of Norvania?"
OTHER = "Who composed the anthem of Japan?"
CONTEXT = [name for name in names() if not traits(name).changes_weights]


class Scripted:
    """Stands in for a model, where its words are to be chosen: answers by a function, and counts."""

    model = "scripted"

    def __init__(self, says: Callable[[str], str] = lambda text: text) -> None:
        self.says, self.asked = says, [""][:0]

    def generate(self, prompts: Sequence[Prompt], sampling: Sampling) -> list[Completion]:
        return in_order(self.generate_each(prompts, sampling))

    def generate_each(self, prompts: Iterable[Prompt], sampling: Sampling) -> Iterator[tuple[int, Outcome]]:
        del sampling
        for place, prompt in enumerate(prompts):
            self.asked.append(prompt if isinstance(prompt, str) else str(prompt[-1]["content"]))
            yield place, Completion(self.says(self.asked[-1]), "stop", 1, 1)

    def stream(self, prompt: Prompt, sampling: Sampling) -> Iterator[str]:
        yield self.generate([prompt], sampling)[0].text

    def count_tokens(self, text: str) -> int | None:
        return len(text) // 4

    def close(self) -> None:
        return


def chat(text: str) -> list[dict[str, str]]:
    return [{"role": "system", "content": "Be brief."}, {"role": "user", "content": text}]


def prepared(
    method: str, encoder: Encoder, prompts: Sequence[Prompt], engine: Scripted | None = None, in_scope: bool = True
) -> list[Prepared]:
    bench = Workbench(engine or Scripted(), lambda: encoder, ContextBuilder())
    with open_editor(method, bench).apply([NORVANIA, TILDA]) as edited:
        assert edited.engine is bench.engine
        return edited.prepare([Asked(prompt, (NORVANIA,), in_scope) for prompt in prompts])


@pytest.mark.parametrize("method", CONTEXT)
@pytest.mark.parametrize("form", [chat, str], ids=["chat", "completion"])
def test_what_is_shown_stands_in_the_prompt_and_earlier_turns_stay(
    method: str, form: Callable[[str], Prompt], encoder: Encoder
) -> None:
    asked = form(QUESTION)
    (one,) = prepared(method, encoder, [asked])
    last = one.prompt if isinstance(one.prompt, str) else one.prompt[-1]["content"]
    assert QUESTION in last
    for fact in one.shown:
        assert fact in last
    if not isinstance(asked, str):
        assert one.prompt[: len(asked) - 1] == asked[:-1]
    if not one.shown:
        assert one.prompt is asked
    assert asked == form(QUESTION), "what came in is not altered"


@pytest.mark.parametrize("method", ["bare", "oracle", "scr", "scr:cosine", "scr:serac", "serac-icl"])
def test_what_no_fact_governs_is_the_very_object_that_came(method: str, encoder: Encoder) -> None:
    asked = chat(OTHER)
    (one,) = prepared(method, encoder, [asked], in_scope=False)
    assert one.prompt is asked
    assert one.shown == ()


def test_the_oracle_shows_the_records_own_fact_and_nothing_else(encoder: Encoder) -> None:
    (one,) = prepared("oracle", encoder, [chat(OTHER)], in_scope=True)
    assert one.shown == (NORVANIA.fact,)


def test_rag_shows_the_nearest_always(encoder: Encoder) -> None:
    assert prepared("rag:1", encoder, [chat(QUESTION)])[0].shown == (NORVANIA.fact,)
    assert len(prepared("rag:1", encoder, [chat(OTHER)])[0].shown) == 1
    assert len(prepared("rag", encoder, [chat(OTHER)])[0].shown) == 2


@pytest.mark.parametrize(
    ("method", "shown"),
    [
        ("scr:threshold=0", 2),
        ("scr:threshold=1", 0),
        ("scr:cosine;threshold=0", 2),
        ("scr:cosine;threshold=1.0", 0),
    ],
)
def test_a_threshold_of_its_own_decides_what_is_shown(method: str, shown: int, encoder: Encoder) -> None:
    (one,) = prepared(method, encoder, [chat(QUESTION)], Scripted(lambda _: "no"))
    assert len(one.shown) == shown
    assert {weighed.threshold for weighed in one.considered} == {float(shown == 0)}


def test_a_cascade_takes_the_threshold_of_its_classifier(encoder: Encoder) -> None:
    (one,) = prepared("scr:cascade;threshold=0.75", encoder, [chat(QUESTION)], Scripted(lambda _: "no"))
    assert {weighed.threshold for weighed in one.considered} == {0.75}


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("threshold=2", "the threshold is no number from 0 to 1"),
        ("cosine;threshold=nan", "the threshold is no number from 0 to 1"),
        ("cosine;threshold=", "the threshold is no number from 0 to 1"),
        ("llm;threshold=0.5", "the model answers yes or no: write scr:llm"),
        ("cosinethreshold=0.5", "no scope classifier is called 'cosinethreshold=0.5'"),
        ("threshold=0.5;cosine", "the threshold is no number from 0 to 1"),
    ],
)
def test_a_threshold_that_cannot_be_is_refused(option: str, said: str, encoder: Encoder) -> None:
    with pytest.raises(UsageError, match=said):
        open_editor(f"scr:{option}", Workbench(Scripted(), lambda: encoder))


def test_in_context_editing_shows_its_record_in_scope_or_not(encoder: Encoder) -> None:
    (one,) = prepared("ike", encoder, [QUESTION], in_scope=False)
    assert one.shown == (NORVANIA.fact,)
    assert str(one.prompt).count("New fact: ") == 33
    last = f"New fact: {NORVANIA.fact}\nPrompt: {QUESTION}"
    assert str(one.prompt).endswith(f"made his home? Oslo\n\n{last}")
    (one,) = prepared("ike", encoder, [chat(QUESTION)], in_scope=False)
    assert not isinstance(one.prompt, str)
    assert [turn["role"] for turn in one.prompt] == ["system", *["user", "assistant"] * 32, "user"]
    assert one.prompt[-2:] == [{"role": "assistant", "content": "Oslo"}, {"role": "user", "content": last}]


def test_the_published_scr_answers_from_what_the_model_said(encoder: Encoder) -> None:
    def repeats(text: str) -> str:
        return f"- {NORVANIA.fact}" if "word for word" in text else "?"

    (one,) = prepared("scr-2025", encoder, [chat(QUESTION)], Scripted(repeats))
    assert (one.shown, one.calls) == ((NORVANIA.fact,), 1)
    assert [weighed.applies for weighed in one.considered] == [True, False]
    (one,) = prepared("scr-2025", encoder, [chat(QUESTION)], Scripted(lambda _: "It is Dunmore.\nI think."))
    assert one.shown == ("It is Dunmore.",), "its own words, where it does not repeat a fact"
    asked = chat(QUESTION)
    for refusal in ("No relevant fact.", " no relevant fact applies", "None of the facts is needed", ""):
        (one,) = prepared("scr-2025", encoder, [asked], Scripted(lambda _, said=refusal: said))
        assert one.prompt is asked
        assert not any(weighed.applies for weighed in one.considered)


def test_eren_falls_back_to_the_question_when_the_notes_do_not_answer(encoder: Encoder) -> None:
    asked = chat(QUESTION)
    (one,) = prepared("eren", encoder, [asked], Scripted(lambda _: "Unanswerable."))
    assert one.prompt is asked
    assert (one.shown, one.calls) == ((), 1)
    (one,) = prepared("eren", encoder, [asked], Scripted(lambda _: "Elmsport"))
    assert set(one.shown) == {NORVANIA.fact, TILDA.fact}
    assert one.calls == 0, "the answer that counts is the one to this prompt"


def test_only_readers_ask_the_model_to_prepare(encoder: Encoder) -> None:
    for method in CONTEXT:
        engine = Scripted(lambda _: "Elmsport")
        prepared(method, encoder, [chat(QUESTION)], engine)
        assert bool(engine.asked) == (method in {"scr-2025", "eren"}), method


def test_edits_can_be_added_and_the_later_one_holds(encoder: Encoder) -> None:
    with open_editor("scr", Workbench(Scripted(), lambda: encoder)).apply([NORVANIA]) as edited:
        edited.add([Edit("The capital of Norvania is Dunmore.", NORVANIA.prompt, "Dunmore")])
        (one,) = edited.prepare([Asked(chat(QUESTION))])
        assert one.shown == ("The capital of Norvania is Dunmore.",)
        assert [report.edits for report in edited.reports] == [1, 1]


def test_an_edit_that_is_no_fact_is_refused(encoder: Encoder) -> None:
    with pytest.raises(EditError, match="no acceptable fact"):
        open_editor("scr", Workbench(Scripted(), lambda: encoder)).apply([Edit(" ", "p", "t")])


@pytest.fixture
def theirs(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """``theirs(mine="module:Class")``: what another package adds."""

    def add(**values: str) -> None:
        points = [EntryPoint(name, value, registry.ENTRY_POINTS) for name, value in values.items()]
        monkeypatch.setattr(registry, "entry_points", lambda group: points if group == registry.ENTRY_POINTS else [])

    return add


@pytest.mark.parametrize("extra", ["", " [all]"])
def test_methods_of_other_packages_are_found(theirs: Callable[..., None], extra: str) -> None:
    theirs(mine=f"scr.editors.baselines:Oracle{extra}", scr="scr.editors.baselines:Bare")
    assert names()[-1] == "mine"
    assert names().count("scr") == 1
    assert traits("scr").family == "context", "our own come first"
    assert isinstance(open_editor("mine", Workbench(Scripted(), lambda: None)), Oracle)  # type: ignore[arg-type, return-value]
    with pytest.raises(UsageError, match="no method is called 'theirs'"):
        traits("theirs")


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("no_such_package:Editor", "ModuleNotFoundError: No module named 'no_such_package'"),
        ("scr.editors.baselines:Lost", "AttributeError: .*Lost"),
        ("scr.editors.baselines", "AttributeError: .*traits"),
        ("pathlib:Path", "AttributeError: .*traits"),
        ("not an entry point", "Error"),
    ],
)
def test_a_broken_method_of_another_package_is_said_when_it_is_asked_for(
    theirs: Callable[..., None], value: str, reason: str
) -> None:
    theirs(broken=value)
    assert names()[-1] == "broken"
    assert traits("scr").family == "context"
    with pytest.raises(UsageError, match=f"the method broken of another package cannot be loaded.*{reason}") as raised:
        traits("broken")
    assert "\n" not in str(raised.value)
