import json
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from scr.encoder import open_encoder
from scr.errors import AssetError
from scr.facts import Fact, new_id
from scr.scope import Candidate, ScopeClassifier
from scr.scope.cross_encoder import SHIPPED, CrossEncoder
from scr.scope.training.measure import auroc

pytestmark = pytest.mark.skipif(
    not (SHIPPED / "model.safetensors").exists(), reason="no trained weights in scr/scope/weights yet: train and export"
)

NEAR_MISSES = Path(__file__).parent / "near_misses.jsonl"


def candidate(text: str) -> Candidate:
    nothing = dict.fromkeys(("subject", "relation", "object", "question", "source", "valid_from", "valid_to"))
    return Candidate(Fact(id=new_id(), text=text, namespace="default", created_at=datetime.now(UTC), **nothing), 0.5)


@pytest.fixture(scope="module")
def shipped() -> CrossEncoder:
    return CrossEncoder.from_pretrained()


def test_is_a_scope_classifier(shipped):
    assert isinstance(shipped, ScopeClassifier)
    assert shipped.name == "cross-encoder"
    assert 0 < shipped.threshold < 1


def test_scores_are_probabilities_in_the_order_of_the_candidates(shipped):
    facts = ["Lena Hofstad was born in Velmora.", "The capital of Ardenia is Velmora.", "Tomas plays the cello."]
    scores = shipped.score("What is the capital of Ardenia?", [candidate(fact) for fact in facts])
    assert scores.shape == (3,)
    assert scores.dtype == np.float32
    assert ((scores >= 0) & (scores <= 1)).all()
    assert scores.argmax() == 1
    assert scores[1] >= shipped.threshold
    assert scores[0] < shipped.threshold
    assert scores[2] < shipped.threshold


def test_no_candidates_no_scores(shipped):
    assert shipped.score("Who?", []).shape == (0,)


def test_a_score_does_not_depend_on_the_company(shipped):
    rows = [json.loads(line) for line in NEAR_MISSES.read_text(encoding="utf-8").splitlines()][:40]
    pairs = [(row["fact"], row["query"]) for row in rows]
    alone = np.concatenate([shipped.score_pairs([pair]) for pair in pairs])
    # 8-bit activations are scaled over a batch, so a score may move a little with it.
    tolerance = 1e-5 if shipped.config.arithmetic == "fp32" else 0.1
    np.testing.assert_allclose(shipped.score_pairs(pairs), alone, atol=tolerance)


def test_a_very_long_turn_is_cut_not_refused(shipped):
    scores = shipped.score("What is the capital of Ardenia? " + "And so on. " * 3000, [candidate("Tomas plays.")])
    assert scores.shape == (1,)


def test_saved_and_opened_again_it_says_the_same(shipped, tmp_path):
    shipped.save_pretrained(tmp_path / "copy")
    copy = CrossEncoder.from_pretrained(tmp_path / "copy")
    assert copy.config == shipped.config
    pairs = [("The capital of Ardenia is Velmora.", "capital of ardenia"), ("Tomas plays the cello.", "Hello!")]
    np.testing.assert_array_equal(copy.score_pairs(pairs), shipped.score_pairs(pairs))


@pytest.mark.parametrize("damage", ["no weights", "cut weights", "no config", "bad config"])
def test_damage_is_named(tmp_path, damage):
    folder = tmp_path / "classifier"
    shutil.copytree(SHIPPED, folder)
    if damage == "no weights":
        (folder / "model.safetensors").unlink()
    elif damage == "cut weights":
        (folder / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:1000])
    elif damage == "no config":
        (folder / "config.json").unlink()
    else:
        (folder / "config.json").write_text("{", encoding="utf-8")
    with pytest.raises(AssetError, match="again"):
        CrossEncoder.from_pretrained(folder)


def test_the_shipped_weights_are_small():
    assert sum(path.stat().st_size for path in SHIPPED.iterdir()) < 25e6


def test_needs_no_torch():
    code = (
        "import sys; from scr.scope.cross_encoder import CrossEncoder; "
        "CrossEncoder.from_pretrained().score_pairs([('a', 'b')]); "
        "sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=120).returncode == 0


def test_near_misses_by_hand(shipped):
    rows = [json.loads(line) for line in NEAR_MISSES.read_text(encoding="utf-8").splitlines()]
    assert len(rows) >= 150
    assert len({(row["fact"], row["query"]) for row in rows}) == len(rows)
    governs = np.array([row["governs"] for row in rows])
    scores = shipped.score_pairs([(row["fact"], row["query"]) for row in rows])
    encoder = open_encoder()
    facts, queries = encoder.encode([r["fact"] for r in rows]), encoder.encode([r["query"] for r in rows])
    cosines = (facts * queries).sum(1)
    separated = auroc(scores[governs], scores[~governs])
    assert separated > auroc(cosines[governs], cosines[~governs]) + 0.1
    assert separated > 0.9
