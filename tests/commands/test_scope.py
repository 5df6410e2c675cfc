"""scope eval, calibrate and train, as one types them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from scr.scope.cross_encoder import SHIPPED

from .conftest import Scr

trained = pytest.mark.skipif(not (SHIPPED / "model.safetensors").exists(), reason="no trained weights yet")
TOWNS = ["Lyon", "Porto", "Graz", "Turku", "Leeds", "Bari", "Gent", "Brno", "Split", "Vigo", "Cork", "Trier"]


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, ...]:
    """The options for 12 facts and 48 queries about them."""
    facts = [{"id": town, "text": f"The mayor of {town} is Ada {town}sen."} for town in TOWNS]
    queries = []
    for town in TOWNS:
        queries += [
            {"query": f"Who is the mayor of {town}?", "facts": [town], "kind": "direct"},
            {"query": f"{town} mayor", "facts": [town], "kind": "short"},
            {"query": f"How many people live in {town}?", "facts": [], "kind": "same subject"},
            {"query": f"Who is the bishop of {town}?", "facts": [], "kind": "same subject"},
        ]
    for name, rows in (("facts", facts), ("queries", queries)):
        (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return ("--facts", str(tmp_path / "facts.jsonl"), "--queries", str(tmp_path / "queries.jsonl"))


def test_eval_prints_the_public_shape(scr: Scr, files: tuple[str, ...]) -> None:
    found = scr("scope", "eval", *files, "--scope", "cosine", "--json").json
    assert list(found) == [
        "n", "auroc", "average_precision", "precision", "recall", "right_fact_rate", "false_fire_rate", "by_kind",
        "retrieval_recall", "cosine_auroc", "queries_per_second",
    ]  # fmt: skip
    assert found["n"] == 48
    assert found["auroc"] == found["cosine_auroc"] > 0.5
    assert set(found["by_kind"]) == {"direct", "short", "same subject"}
    assert found["retrieval_recall"]["20"] == 1.0


def test_eval_for_people(scr: Scr, files: tuple[str, ...]) -> None:
    ran = scr("scope", "eval", *files, "--scope", "serac")
    assert ran.status == 0
    assert ran.lines[0] == "serac on 48 queries, 12 facts"
    assert any(line.startswith("same subject") and "false fire rate" in line for line in ran.lines)


def test_eval_draws(scr: Scr, files: tuple[str, ...], tmp_path: Path) -> None:
    ran = scr("scope", "eval", *files, "--scope", "serac", "--plots", str(tmp_path / "plots"))
    assert ran.status == 0
    assert {path.name for path in (tmp_path / "plots").iterdir()} == {"scope-precision.png", "scope-scores.png"}
    assert "scope-precision.png" in ran.err


def test_plots_need_a_folder(scr: Scr, files: tuple[str, ...], tmp_path: Path) -> None:
    ran = scr("scope", "eval", *files, "--plots", tmp_path / "facts.jsonl")
    assert (ran.status, ran.out, len(ran.err.splitlines())) == (1, "", 1)
    assert f"cannot use {tmp_path / 'facts.jsonl'} (file exists): check the path" in ran.err


def test_a_threshold_needs_weights_to_be_kept_beside(scr: Scr, files: tuple[str, ...], tmp_path: Path) -> None:
    ran = scr("scope", "calibrate", *files, "--scope", "cosine", "-o", str(tmp_path / "out"))
    assert ran.status == 2
    assert "--scope cross-encoder" in ran.err
    assert len(ran.err.splitlines()) == 1


@trained
def test_calibrate_writes_a_classifier_that_keeps_the_budget(scr: Scr, files: tuple[str, ...], tmp_path: Path) -> None:
    out = str(tmp_path / "out")
    found = scr(
        "scope", "calibrate", *files, "--scope", "cross-encoder", "--max-false-fire", "0.1", "-o", out, "--json"
    ).json
    assert found["out_of_scope"] == 24
    measured = scr("scope", "eval", *files, "--scope", out, "--json").json
    assert measured["false_fire_rate"] <= 0.1
    assert measured["recall"] == found["recall"]
    refused = scr("scope", "calibrate", *files, "--scope", "cross-encoder", "--max-false-fire", "0.01", "-o", out)
    assert (refused.status, "at least 99" in refused.err) == (2, True)


@trained
def test_train_on_queries_of_ones_own(scr: Scr, files: tuple[str, ...], tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="training needs the extra `local`")
    out = tmp_path / "out"
    figures = scr("scope", "train", *files, "-o", str(out), "--json").json
    assert figures["folder"] == str(out)
    assert figures["auroc"] > 0.9
    assert "the user's own pairs" in (out / "README.md").read_text()
    assert scr("scope", "eval", *files, "--scope", str(out), "--json").json["auroc"] > 0.95


@pytest.mark.parametrize("arguments", [(), ("--facts", "f"), ("--data", "d", "--facts", "f")])
def test_train_asks_for_one_kind_of_data(scr: Scr, arguments: tuple[str, ...], tmp_path: Path) -> None:
    ran = scr("scope", "train", "-o", str(tmp_path / "out"), *arguments)
    assert (ran.status, len(ran.err.splitlines())) == (2, 1)
    assert not (tmp_path / "out").exists()


def test_train_names_a_missing_set(scr: Scr, tmp_path: Path) -> None:
    ran = scr("scope", "train", "-o", str(tmp_path / "out"), "--data", str(tmp_path))
    assert (ran.status, "is missing" in ran.err) == (2, True)
