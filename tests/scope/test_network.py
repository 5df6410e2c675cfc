"""The classifier's network in stages: what leaves early, and that the others do not notice."""

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from scr.errors import AssetError
from scr.scope.cross_encoder import CrossEncoder, CrossEncoderConfig
from scr.scope.network import EXITS, Exits

PAIRS = [
    ("The capital of Ardenia is Velmora.", "What is the capital of Ardenia?"),
    ("Tomas plays the cello.", "Hello!"),
    ("Lena Hofstad was born in Velmora.", "Where was Lena Hofstad, who later moved to the coast, born?"),
    ("The Quillan is a river in Ardenia.", "Which instrument does Tomas play?"),
]
NEVER, ALWAYS = -1e9, 1e9


def classifier(folder: Path, exits: Exits | None = None) -> CrossEncoder:
    """One whose head is drawn at random: it knows nothing, and its stages differ all the more."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    head = {"head.weight": rng.normal(size=(1, 384)).astype(np.float16), "head.bias": np.zeros(1, np.float16)}
    save_file(head, folder / "model.safetensors")
    CrossEncoderConfig(threshold=0.7, scale=0.5, shift=-0.1).write(folder)
    if exits:
        exits.write(folder)
    return CrossEncoder.from_pretrained(folder)


def exits(*below: float) -> Exits:
    weight = np.random.default_rng(1).normal(size=(len(below), 384)).astype(np.float32)
    return Exits(np.arange(1, len(below) + 1), weight, np.ones(len(below), np.float32), np.array(below, np.float32))


@pytest.fixture
def whole(tmp_path) -> np.ndarray:
    return classifier(tmp_path / "whole").logits(PAIRS)


def test_stages_that_nobody_leaves_say_what_the_whole_says(tmp_path, whole):
    staged = classifier(tmp_path / "staged", exits(NEVER, NEVER, NEVER))
    np.testing.assert_allclose(staged.logits(PAIRS), whole, atol=1e-4)


def test_who_leaves_has_the_exits_score_and_the_others_the_whole_networks(tmp_path, whole):
    first = classifier(tmp_path / "looking", exits(NEVER)).vectors(PAIRS)[0][:, 0]
    cut = float(np.sort(first)[1:3].mean())
    staged = classifier(tmp_path / "staged", exits(cut)).logits(PAIRS)
    np.testing.assert_allclose(staged, np.where(first < cut, first, whole), atol=1e-4)


def test_all_may_leave_at_once(tmp_path):
    looking = classifier(tmp_path / "looking", exits(NEVER, NEVER)).vectors(PAIRS)
    staged = classifier(tmp_path / "staged", exits(ALWAYS, NEVER))
    np.testing.assert_allclose(staged.logits(PAIRS), looking[0][:, 0], atol=1e-4)
    assert staged.logits([]).shape == (0,)


def test_a_copy_leaves_where_the_original_does(tmp_path):
    staged = classifier(tmp_path / "staged", exits(0.0))
    staged.save_pretrained(tmp_path / "copy")
    np.testing.assert_array_equal(CrossEncoder.from_pretrained(tmp_path / "copy").logits(PAIRS), staged.logits(PAIRS))


@pytest.mark.parametrize("damage", ["cut", "other tensors", "other sizes"])
def test_damaged_exits_are_named(tmp_path, damage):
    folder = tmp_path / "classifier"
    classifier(folder, exits(0.0, 0.0))
    path = folder / EXITS
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:40])
    elif damage == "other tensors":
        save_file({"layers": np.arange(2)}, path)
    else:
        save_file({**vars(exits(0.0, 0.0)), "bias": np.zeros(3, np.float32)}, path)
    with pytest.raises(AssetError, match="again"):
        CrossEncoder.from_pretrained(folder)
