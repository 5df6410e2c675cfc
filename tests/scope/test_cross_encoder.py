import json
import shutil
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from scr.encoder import open_encoder
from scr.errors import AssetError
from scr.facts import Fact, new_id
from scr.scope import Candidate, ScopeClassifier
from scr.scope.cross_encoder import SHIPPED, CrossEncoder, CrossEncoderConfig
from scr.scope.measure import auroc

NEAR_MISSES = Path(__file__).parent / "near_misses.jsonl"
needs_weights = pytest.mark.skipif(
    not (SHIPPED / "model.safetensors").exists(), reason="no trained weights in scr/scope/weights yet: train and export"
)


def candidate(text: str) -> Candidate:
    nothing = dict.fromkeys(("subject", "relation", "object", "question", "source", "valid_from", "valid_to"))
    return Candidate(Fact(id=new_id(), text=text, namespace="default", created_at=datetime.now(UTC), **nothing), 0.5)


def near_misses() -> list[dict[str, object]]:
    return [json.loads(line) for line in NEAR_MISSES.read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """The base with a head drawn at random: it knows nothing, and does everything that a trained one does."""
    folder = tmp_path_factory.mktemp("untrained")
    rng = np.random.default_rng(0)
    head = {"head.weight": rng.normal(size=(1, 384)).astype(np.float16), "head.bias": np.zeros(1, np.float16)}
    save_file(head, folder / "model.safetensors")
    CrossEncoderConfig(threshold=0.7, scale=0.5, shift=-0.1).write(folder)
    return folder


@pytest.fixture(scope="module")
def untrained(folder) -> CrossEncoder:
    return CrossEncoder.from_pretrained(folder)


def test_is_a_scope_classifier(untrained):
    assert isinstance(untrained, ScopeClassifier)
    assert untrained.name == "cross-encoder"
    assert untrained.threshold == 0.7


def test_scores_are_calibrated_logits_in_the_order_of_the_candidates(untrained):
    facts = ["Lena Hofstad was born in Velmora.", "The capital of Ardenia is Velmora.", "Tomas plays the cello."]
    query = "What is the capital of Ardenia?"
    scores = untrained.score([(query, candidate(fact)) for fact in facts])
    logits = np.concatenate([untrained.logits([(fact, query)]) for fact in facts])
    assert scores.dtype == np.float32
    assert len(set(scores.tolist())) == 3
    np.testing.assert_allclose(scores, 1 / (1 + np.exp(-(0.5 * logits - 0.1))), atol=1e-5)


def test_only_what_is_near_enough_is_read(untrained):
    nearer = CrossEncoder(
        untrained.folder, replace(untrained.config, floor=0.3, margin=0.25), untrained._tokenizer, untrained._network
    )
    pairs = [
        (query, Candidate(candidate("Tomas plays the cello.").fact, cosine))
        for query, cosines in (("Who plays?", (0.8, 0.56, 0.54)), ("Who sings?", (0.4, 0.31, 0.29)))
        for cosine in cosines
    ]
    scores, every = nearer.score(pairs), untrained.score(pairs)
    np.testing.assert_array_equal(scores > 0, [True, True, False, True, True, False])
    np.testing.assert_allclose(scores[scores > 0], every[scores > 0], atol=1e-6)


def test_the_others_are_read_where_one_of_the_first_may_fire(untrained):
    facts = ["Tomas plays the cello.", "Lena Hofstad was born in Velmora.", "The capital of Ardenia is Velmora."]
    pairs = [(query, candidate(fact)) for query in ("Who plays?", "Who sings?") for fact in facts]
    pairs = [(query, Candidate(one.fact, 0.9 - 0.1 * (place % 3))) for place, (query, one) in enumerate(pairs)]
    every = untrained.score(pairs)
    plays, sings = every[:2].max(), every[3:5].max()
    config = replace(untrained.config, first=2, doubt=float(plays + sings) / 2)
    scores = CrossEncoder(untrained.folder, config, untrained._tokenizer, untrained._network).score(pairs[::-1])[::-1]
    np.testing.assert_allclose(scores[[0, 1, 3, 4]], every[[0, 1, 3, 4]], atol=1e-6)
    assert [scores[2] > 0, scores[5] > 0] == [plays > sings, sings > plays]


def test_a_question_that_a_batch_asks_twice_is_read_as_if_alone(untrained):
    some = [candidate(text) for text in ("Tomas plays the cello.", "Lena Hofstad sings.", "The sea is calm.")]
    every = untrained.score([("Who plays?", one) for one in some])
    rising = np.argsort(every)
    pairs = [("Who plays?", Candidate(some[one].fact, 0.9 - 0.1 * place)) for place, one in enumerate(rising)]
    doubt = float(every[rising[:2]].mean())  # the second of the first two has a chance, the first has none
    config = replace(untrained.config, first=2, doubt=doubt)
    classifier = CrossEncoder(untrained.folder, config, untrained._tokenizer, untrained._network)
    alone = classifier.score(pairs)
    assert (alone > 0).all()
    np.testing.assert_allclose(classifier.score(pairs * 3), np.tile(alone, 3), atol=1e-6)


def test_fact_and_query_are_not_interchangeable(untrained):
    one, two = "Tomas plays the cello.", "Who plays the cello?"
    assert abs(untrained.logits([(one, two)])[0] - untrained.logits([(two, one)])[0]) > 1e-3


def test_no_candidates_no_scores(untrained):
    assert untrained.score([]).shape == (0,)


def test_a_score_does_not_depend_on_the_company(untrained):
    pairs = [(row["fact"], row["query"]) for row in near_misses()][:40]
    alone = np.concatenate([untrained.score_pairs([pair]) for pair in pairs])
    np.testing.assert_allclose(untrained.score_pairs(pairs), alone, atol=1e-4)


def test_a_very_long_turn_is_cut_not_refused(untrained):
    long = "What is the capital of Ardenia? " + "And so on. " * 3000
    assert untrained.score([(long, candidate("Tomas plays."))]).shape == (1,)


def test_eight_bits_say_nearly_the_same(untrained, folder, tmp_path):
    shutil.copyfile(folder / "model.safetensors", tmp_path / "model.safetensors")
    CrossEncoderConfig(arithmetic="int8").write(tmp_path)
    pairs = [(row["fact"], row["query"]) for row in near_misses()][:60]
    small = CrossEncoder.from_pretrained(tmp_path).logits(pairs)
    assert np.corrcoef(small, untrained.logits(pairs))[0, 1] > 0.95


def test_saved_and_opened_again_it_says_the_same(untrained, tmp_path):
    untrained.save_pretrained(tmp_path / "copy")
    copy = CrossEncoder.from_pretrained(tmp_path / "copy")
    assert copy.config == untrained.config
    pairs = [("The capital of Ardenia is Velmora.", "capital of ardenia"), ("Tomas plays the cello.", "Hello!")]
    np.testing.assert_array_equal(copy.score_pairs(pairs), untrained.score_pairs(pairs))


@pytest.mark.parametrize("damage", ["no weights", "cut weights", "no head", "no config", "bad config"])
def test_damage_is_named(folder, tmp_path, damage):
    broken = tmp_path / "classifier"
    shutil.copytree(folder, broken)
    weights = broken / "model.safetensors"
    if damage == "no weights":
        weights.unlink()
    elif damage == "cut weights":
        weights.write_bytes(weights.read_bytes()[:100])
    elif damage == "no head":
        save_file({"encoder.something": np.zeros(3, np.float16)}, weights)
    elif damage == "no config":
        (broken / "config.json").unlink()
    else:
        (broken / "config.json").write_text("{", encoding="utf-8")
    with pytest.raises(AssetError, match="again"):
        CrossEncoder.from_pretrained(broken)


def test_needs_no_torch(folder):
    code = (
        "import sys; from scr.scope.cross_encoder import CrossEncoder; "
        "CrossEncoder.from_pretrained(sys.argv[1]).score_pairs([('a', 'b')]); "
        "sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(folder)], check=False, timeout=120).returncode == 0


def test_the_suite_by_hand_is_large_and_without_repeats():
    rows = near_misses()
    assert len({(row["fact"], row["query"]) for row in rows}) == len(rows) >= 150
    assert 0.25 < np.mean([row["governs"] for row in rows]) < 0.5
    assert len({row["kind"] for row in rows}) >= 10


@needs_weights
def test_the_shipped_weights_are_small():
    assert sum(path.stat().st_size for path in SHIPPED.iterdir()) < 25e6


@needs_weights
def test_shipped_near_misses_by_hand():
    rows = near_misses()
    governs = np.array([row["governs"] for row in rows])
    scores = CrossEncoder.from_pretrained().score_pairs([(row["fact"], row["query"]) for row in rows])
    encoder = open_encoder()
    facts, queries = encoder.encode([r["fact"] for r in rows]), encoder.encode([r["query"] for r in rows])
    cosines = (facts * queries).sum(1)
    separated = auroc(scores[governs], scores[~governs])
    assert separated > auroc(cosines[governs], cosines[~governs]) + 0.05
    assert separated > 0.87
