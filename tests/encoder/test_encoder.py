"""The shipped encoder against sentence-transformers, and what a store relies on."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from scr.assets import minilm_folder
from scr.encoder import Encoder, open_encoder

from .texts import FACTS, QUESTIONS, TEXTS


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return open_encoder()


@pytest.fixture(scope="module")
def vectors(encoder: Encoder) -> NDArray[np.float32]:
    return encoder.encode(TEXTS)


def test_it_is_an_encoder(encoder: Encoder) -> None:
    assert isinstance(encoder, Encoder)
    assert (encoder.name, encoder.dimensions) == ("all-MiniLM-L6-v2", 384)


def test_vectors_are_those_of_sentence_transformers(vectors: NDArray[np.float32]) -> None:
    pytest.importorskip("torch")
    sentence_transformers = pytest.importorskip("sentence_transformers")
    model = sentence_transformers.SentenceTransformer(str(minilm_folder()), device="cpu")
    expected = model.encode(TEXTS, normalize_embeddings=True, show_progress_bar=False)
    assert len(TEXTS) >= 100
    cosines = (expected * vectors).sum(axis=1)
    worst = int(cosines.argmin())
    assert cosines[worst] >= 1 - 1e-3, (TEXTS[worst], cosines[worst])


def test_vectors_have_length_one_and_the_order_of_the_texts(encoder: Encoder, vectors: NDArray[np.float32]) -> None:
    assert vectors.shape == (len(TEXTS), 384)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    for place in (0, 20, 40, 50, 90, len(TEXTS) - 1):
        assert encoder.encode([TEXTS[place]])[0] @ vectors[place] > 1 - 1e-5


def test_a_question_finds_its_fact(encoder: Encoder) -> None:
    facts, questions = FACTS[:8], QUESTIONS[:8]
    assert (encoder.encode(questions) @ encoder.encode(facts).T).argmax(axis=1).tolist() == list(range(8))


def test_no_texts(encoder: Encoder) -> None:
    assert encoder.encode([]).shape == (0, 384)


def test_progress_counts_every_text_once(encoder: Encoder) -> None:
    done: list[int] = []
    encoder.encode(TEXTS, progress=done.append)
    assert sum(done) == len(TEXTS)
    assert len(done) > 1


def test_what_is_beyond_the_models_length_changes_nothing(encoder: Encoder) -> None:
    head = "word " * 254
    one, other, shorter = encoder.encode([head + "cat", head + "dog and more", "word " * 253 + "cat"])
    np.testing.assert_allclose(one, other, atol=1e-6)
    assert one @ shorter < 1 - 1e-6


def test_revision_is_repeatable(encoder: Encoder) -> None:
    assert open_encoder().revision == encoder.revision


def test_neither_torch_nor_onnx_is_imported() -> None:
    program = (
        "import sys; from scr.encoder import open_encoder; open_encoder().encode(['a fact']);"
        "print([name for name in ('torch', 'transformers', 'onnx', 'sentence_transformers') if name in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=Path.cwd())
    assert ran.stdout.strip() == "[]"
    assert ran.stderr == ""
