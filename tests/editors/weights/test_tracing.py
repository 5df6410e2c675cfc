"""Causal tracing, as the benchmark of editors does it, on tiny models."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from benchmarks.editors import tracing
from benchmarks.editors.tracing import KINDS, Fact, Tracer, known, summary, window
from scr.editors import Edit
from scr.editors.weights.host import Host
from scr.editors.weights.sequences import Row, row_of

from . import tiny

PROMPT = "Dame Oriel Pask plays the"


def _fact(host: Host) -> Fact:
    """What the model itself would say, taken for the answer."""
    ids = tuple(tiny.tokenizer()(PROMPT)["input_ids"])
    first, last = (row_of(tiny.tokenizer(), PROMPT, *span).subject for span in ((5, 6), (5, 15)))
    return Fact(ids, first, last, int(next(host.logits([Row(ids, last)]))[0, -1].argmax()))


def test_facts_are_those_whose_old_answer_the_model_gives() -> None:
    import torch

    def asked(prompt: str, answer: str, subject: str = "Oriel Pask") -> Any:
        return SimpleNamespace(edits=(Edit("", prompt, "harp", subject, answer),))

    said = torch.nn.functional.one_hot(torch.tensor(tiny.tokenizer()(" flute")["input_ids"][0]), 50_000)
    host: Any = SimpleNamespace(tokenizer=tiny.tokenizer(), logits=lambda _: iter([said[None, None].float()]))
    records = [asked(PROMPT, answer) for answer in ("lute", "flute", "flute", "flute")]
    found = known(host, [asked("She plays the", "flute"), *records], 2)
    assert len(found) == 2
    assert tiny.tokenizer().decode(list(found[0].ids[found[0].first : found[0].last + 1])) == " Oriel Pask"
    assert found[0].answer == int(said.argmax())


def test_facts_that_are_measured_are_not_traced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    records = [
        {
            "case_id": number,
            "subject": name,
            "prompt": f"{name} plays the",
            "target_new": "harp",
            "ground_truth": "lute",
        }
        for number, name in enumerate(("Oriel Pask", "Ivo Tamm"))
    ]
    path = tmp_path / "facts.json"
    path.write_text(json.dumps(records), "utf-8")
    every = tracing.load(f"counterfact={path}").cases
    monkeypatch.setattr(tracing, "cases", lambda count: every[:1] if count is None else ())
    assert [case.edits[0].prompt for case in tracing.candidates(path)] == ["Ivo Tamm plays the"]


@pytest.mark.parametrize("build", ["llama", "gpt2", "gptj"])
def test_what_is_restored_last_wins_everything_back(build: str, monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host.of(tiny.engine(build))
    fact = _fact(host)
    before = {name: tensor.clone() for name, tensor in host.network.state_dict().items()}
    found = Tracer(host, [fact], 4).effects(fact)
    (clean,), (noise,) = found["clean"], found["noise"]
    assert clean > noise
    assert found["state at last"][-1] == pytest.approx(clean - noise, abs=1e-5)
    assert found["state at subject"][-1] == pytest.approx(0, abs=1e-5)
    assert any(abs(effect) > 1e-4 for effect in found["mlp at subject"])
    assert {len(found[f"{kind} at {place}"]) for kind in KINDS for place in ("subject", "last")} == {3}
    monkeypatch.setattr(tracing, "_ROWS", 4)
    again = Tracer(host, [fact], 4).effects(fact)
    assert all(again[name] == pytest.approx(found[name], abs=1e-5) for name in found)
    after = host.network.state_dict()
    assert all((tensor == after[name]).all() for name, tensor in before.items())


def test_without_noise_nothing_is_to_be_won(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracing, "NOISE", 0.0)
    host = Host.of(tiny.engine())
    fact = _fact(host)
    found = Tracer(host, [fact], 2).effects(fact)
    assert found["clean"] == pytest.approx(found["noise"])
    assert all(effect == pytest.approx(0, abs=1e-5) for name in found if " at " in name for effect in found[name])


def test_windows_are_cut_off_at_the_ends() -> None:
    assert [list(window(layer, 3, 4)) for layer in range(4)] == [[0, 1], [0, 1, 2], [1, 2, 3], [2, 3]]
    assert list(window(2, 1, 4)) == [2]


def test_the_summary_says_where_an_effect_is_highest() -> None:
    rows = summary([{"clean": [0.5], "mlp at subject": [0.1, 0.4]}, {"clean": [0.7], "mlp at subject": [0.3, 0.2]}])
    assert rows["clean"][0]["value"] == 0.6
    assert [one["value"] for one in rows["mlp at subject"]] == [0.2, 0.3]
    assert rows["peaks"] == {"mlp at subject": 1}
