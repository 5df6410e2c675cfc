from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs the extra `local`")
pytest.importorskip("transformers", reason="training needs the extra `local`")

from safetensors.numpy import load_file

from scr.assets import minilm_folder
from scr.scope.cross_encoder import CrossEncoder
from scr.scope.training.data import tokenise
from scr.scope.training.export import average, export
from scr.scope.training.model import PairModel
from scr.scope.training.pairs import Pair
from scr.scope.training.recipes import train_own
from scr.scope.training.train import Settings, Trainer

ASKED = ["Where was {} born?", "{} birthplace", "Who is {} married to?", "{} occupation"]
LABELS = {True: (1.0, "asked"), False: (0.0, "other")}
SETTINGS = Settings(pairs=32, batch=8, warmup=1, every=2)


def made(split: str, names: str) -> list[Pair]:
    return [
        Pair(
            f"{name} was born in Oslo.",
            query.format(name),
            float(place < 2),
            "asked" if place < 2 else "other",
            "made",
            split,
        )
        for name in names.split()
        for place, query in enumerate(ASKED)
    ]


def run(out: Path, settings: Settings) -> dict[str, np.ndarray]:
    import torch

    torch.manual_seed(0)
    out.mkdir(exist_ok=True)
    tokenizer = minilm_folder() / "tokenizer.json"
    train, tune = made("train", "Ada Ben Carla Dora Emil Finn"), made("tune", "Gro Hugo")
    trainer = Trainer(PairModel(minilm_folder()), settings, out)
    trainer.run(tokenise(train, tokenizer), tokenise(tune, tokenizer), [pair.kind for pair in tune])
    return load_file(out / "checkpoint.safetensors")


def test_a_run_that_was_cut_goes_on_as_if_it_had_not_been(tmp_path):
    # Nothing has cooled in the first half of the steps, so a shorter run takes the same steps.
    settings = replace(SETTINGS, cooling=0.5)
    whole = run(tmp_path / "whole", settings)
    run(tmp_path / "cut", replace(settings, pairs=16, cooling=0.01))
    resumed = run(tmp_path / "cut", settings)
    assert int(resumed["step"]) == int(whole["step"]) == 4
    for name, tensor in whole.items():
        if name.startswith("model."):
            np.testing.assert_allclose(resumed[name], tensor, atol=1e-5, err_msg=name)


def test_only_a_run_of_its_own_pairs_and_seed_is_gone_on_with(tmp_path, monkeypatch):
    found = []

    def fit(*given):
        checkpoint = given[3] / "checkpoint.safetensors"
        found.append(checkpoint.exists())
        checkpoint.touch()

    monkeypatch.setattr("scr.scope.training.train.fit", fit)
    monkeypatch.setattr("scr.scope.training.export.export", lambda *_: {})
    pairs = [*made("train", "Ada Ben"), *made("tune", "Gro")]
    for given, seed in ((pairs, 0), (pairs[::-1], 0), (pairs, 1), (pairs, 1), (pairs[1:], 1)):
        train_own(given, tmp_path, seed=seed)
    assert found == [False, True, False, True, False]


def test_trained_weights_export_to_a_classifier_that_scores_as_the_network_did(tmp_path):
    import torch

    run(tmp_path / "run", SETTINGS)
    pairs = made("tune", "Ida Jon Kim")
    figures = export(pairs, tmp_path / "run/trained.safetensors", tmp_path / "out", ("names",), "fp32")
    assert "- names" in (tmp_path / "out/README.md").read_text()
    assert figures["pairs"] == len(pairs)
    classifier = CrossEncoder.from_pretrained(tmp_path / "out")
    assert 0.5 <= classifier.threshold <= 0.95
    model = PairModel(minilm_folder()).eval()
    model.load_trained(tmp_path / "run/trained.safetensors")
    tokens = tokenise(pairs, minilm_folder() / "tokenizer.json")
    ids, mask, types, _ = (torch.from_numpy(part) for part in tokens.batch(np.arange(len(pairs))))
    with torch.no_grad():
        expected = model(ids, mask, types).numpy()
    np.testing.assert_allclose(classifier.logits([(p.fact, p.query) for p in pairs]), expected, atol=1e-4)


def test_word_embeddings_stay_the_base_s_own(tmp_path):
    run(tmp_path / "run", SETTINGS)
    names = load_file(tmp_path / "run/trained.safetensors")
    assert not any("word_embeddings" in name or "position_embeddings" in name for name in names)
    assert sum(tensor.nbytes for tensor in names.values()) < 25e6


def test_the_mean_of_two_runs_lies_between_them(tmp_path):
    run(tmp_path / "one", SETTINGS)
    run(tmp_path / "two", replace(SETTINGS, rate=SETTINGS.rate * 3))
    paths = [tmp_path / name / "trained.safetensors" for name in ("one", "two")]
    one, two, mean = (load_file(path) for path in (*paths, average(paths, tmp_path / "mean.safetensors")))
    assert any((one[name] != two[name]).any() for name in one)
    for name, values in mean.items():
        assert values.dtype == one[name].dtype
        np.testing.assert_allclose(values, (one[name].astype("f4") + two[name].astype("f4")) / 2, atol=1e-3)
    export(made("tune", "Ida Jon Kim"), tmp_path / "mean.safetensors", tmp_path / "out", ("names",), "fp32")
