"""The embedded engine, on the model that comes with scr."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from scr.assets import smollm2_folder
from scr.engines import Sampling
from scr.engines.drawing import held_back
from scr.engines.opening import open_engine
from scr.engines.transformers import BATCH_ROWS, TransformersEngine, _Row
from scr.errors import EngineError, MissingExtra, ModelNotFound, UsageError

llm = pytest.mark.llm
FOX = [{"role": "user", "content": "Tell me a long story about a fox."}]
FRANCE = [{"role": "user", "content": "What is the capital of France?"}]


@llm
def test_long_and_short_answers_of_one_batch_are_those_given_alone(smollm2: TransformersEngine) -> None:
    # More than a round's tokens, so that the finished answer leaves the batch and the others go on without it.
    sampling = Sampling(max_tokens=36)
    alone = [smollm2.generate([prompt], sampling)[0] for prompt in (FOX, FRANCE)]
    assert smollm2.generate([FOX, FRANCE], sampling) == alone
    assert [answer.completion_tokens > 32 for answer in alone] == [True, False]
    drawn = Sampling(max_tokens=36, temperature=0.8, seed=5)
    assert smollm2.generate([FRANCE, FOX], drawn)[1] == smollm2.generate([FOX], drawn)[0]


@llm
def test_draws_follow_the_model_and_the_temperature(smollm2: TransformersEngine) -> None:
    prompts = ["The first letter of the alphabet is the letter"] * 40

    def distinct(temperature: float) -> int:
        return len(
            {answer.text for answer in smollm2.generate(prompts, Sampling(max_tokens=2, temperature=temperature))}
        )

    assert distinct(0.01) == 1
    assert 1 < distinct(1.0) < distinct(20.0)


@llm
def test_what_the_checkpoint_would_do_to_sampling_is_ignored(smollm2: TransformersEngine) -> None:
    sampling = Sampling(max_tokens=12)
    expected = smollm2.generate([FOX], sampling)
    settings = smollm2.network.generation_config
    settings.repetition_penalty, settings.do_sample, settings.max_length = 5.0, True, 3
    try:
        assert smollm2.generate([FOX], sampling) == expected
    finally:
        settings.repetition_penalty, settings.do_sample, settings.max_length = None, False, None


@llm
def test_batches_are_bounded(smollm2: TransformersEngine) -> None:
    engine = TransformersEngine(smollm2.network, smollm2.tokenizer, "m", batch_tokens=1000)
    rows = [_Row(place, [1] * length, 100, None) for place, length in enumerate([10, 900, 40, 300, 2000, 30] * 20)]
    batches = list(engine._batches(rows, 32))
    assert sorted(row.place for batch in batches for row in batch) == list(range(120))
    for batch in batches:
        assert len(batch) <= BATCH_ROWS
        assert len(batch) == 1 or len(batch) * (max(len(row.ids) for row in batch) + 32) <= 1000


@llm
@pytest.mark.parametrize(
    ("lengths", "steps", "split"),
    [
        ([70, 31, 14, 10, 9, 9, 8, 8, 7, 7, 7, 6, 5], 0, [1, 1, 2, 9]),  # padding costs more than passes
        ([70, 31, 14, 10, 9, 9, 8, 8, 7, 7, 7, 6, 5], 4, [2, 11]),
        ([70, 31, 14, 10, 9, 9, 8, 8, 7, 7, 7, 6, 5], 100, [13]),  # each token is a pass
        ([20] * 70, 0, [64, 6]),
        ([100], 0, [1]),
        ([], 0, []),
    ],
)
def test_rows_share_a_batch_where_that_costs_least(
    smollm2: TransformersEngine, lengths: list[int], steps: int, split: list[int]
) -> None:
    rows = [_Row(place, [1] * length, steps, None) for place, length in enumerate(lengths)]
    assert sorted(len(batch) for batch in smollm2._batches(rows, steps)) == sorted(split)


@llm
def test_the_head_gets_its_states_in_one_piece(smollm2: TransformersEngine) -> None:
    """A slice of them would be multiplied row by row, which took a third of an edit's time."""
    pieces: list[bool] = []
    head = smollm2.network.get_output_embeddings()
    hook = head.register_forward_hook(lambda _module, inputs, _output: pieces.append(inputs[0].is_contiguous()))
    try:
        smollm2.score([("The capital of France is", " Paris"), ("Two and two make", " four")])
    finally:
        hook.remove()
    assert pieces == [True]


def test_the_answer_ends_with_the_context(smollm2: TransformersEngine) -> None:
    engine = TransformersEngine(smollm2.network, smollm2.tokenizer, "m")
    engine._encoder._context = 45
    (answer,) = engine.generate([FOX], Sampling(max_tokens=400))
    assert (answer.prompt_tokens + answer.completion_tokens, answer.finish_reason) == (45, "length")


@llm
def test_threads_share_the_model(smollm2: TransformersEngine) -> None:
    expected = smollm2.generate([FOX, FRANCE], Sampling(max_tokens=8))
    results: list[object] = []
    threads = [
        threading.Thread(target=lambda: results.append(smollm2.generate([FOX, FRANCE], Sampling(max_tokens=8)))),
        threading.Thread(target=lambda: results.append("".join(smollm2.stream(FOX, Sampling(max_tokens=8))))),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert expected in results
    assert expected[0].text in results


@llm
def test_nothing_is_left_running_when_a_stream_is_left(smollm2: TransformersEngine) -> None:
    stream = smollm2.stream(FOX, Sampling(max_tokens=400))
    next(stream)
    stream.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "scr-stream"]


@llm
def test_a_stream_refuses_as_generate_does(smollm2: TransformersEngine) -> None:
    with pytest.raises(EngineError, match="shorten"):
        list(smollm2.stream("word " * 10_000, Sampling()))


@pytest.mark.parametrize(
    ("text", "stops", "shown"),
    [
        ("Hello", (), "Hello"),
        ("Hel\ufffd", (), "Hel"),
        ("one STOP two", ("STOP",), "one "),
        ("one ST", ("STOP", "xyz"), "one "),
        ("one S and", ("STOP",), "one S and"),
        ("aab", ("abc", "bb"), "a"),
    ],
)
def test_held_back(text: str, stops: tuple[str, ...], shown: str) -> None:
    assert held_back(text, stops) == shown


def test_folders_that_are_no_models(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match=r"no model folder.*hub id"):
        TransformersEngine.from_pretrained(tmp_path / "nothing")
    with pytest.raises(ModelNotFound, match=r"no config\.json"):
        TransformersEngine.from_pretrained(str(tmp_path))
    with pytest.raises(ModelNotFound, match="neither a folder nor a hub id"):
        TransformersEngine.from_pretrained("two words")


def test_a_damaged_folder(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(smollm2_folder(), folder)
    os.truncate(folder / "model.safetensors", 1000)
    with pytest.raises(EngineError, match="cannot be loaded") as caught:
        TransformersEngine.from_pretrained(folder)
    assert "\n" not in str(caught.value)
    (folder / "config.json").write_text("{")
    with pytest.raises(EngineError, match="cannot be loaded"):
        TransformersEngine.from_pretrained(folder)


def test_a_hub_that_cannot_be_reached(tmp_path: Path) -> None:
    # Refused at once, so that this also holds where there is a network.
    run = _python(
        "from scr.engines.opening import open_engine\n"
        "from scr.errors import ModelNotFound\n"
        "try: open_engine(model='nobody/nothing')\n"
        "except ModelNotFound as error: print(error)\n",
        HF_ENDPOINT="http://127.0.0.1:9",
        HF_HOME=str(tmp_path),
    )
    assert run.returncode == 0, run.stderr
    assert "'nobody/nothing' is not on this machine and the Hugging Face hub cannot be reached" in run.stdout
    assert (run.stdout.count("\n"), run.stderr) == (1, "")


def test_offline() -> None:
    run = _python(
        "from scr.engines.opening import open_engine\n"
        "from scr.errors import ModelNotFound\n"
        "try: open_engine(model='nobody/nothing')\n"
        "except ModelNotFound as error: print(error)\n",
        HF_HUB_OFFLINE="1",
    )
    assert "cannot be reached" in run.stdout, run.stderr


def test_without_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingExtra, match=r"pip install 'scr-edit\[local\]'"):
        open_engine()


@llm
def test_a_cold_start_says_nothing_and_leaves_the_environment_alone() -> None:
    run = _python(
        "import os, sys; before = dict(os.environ)\n"
        "import scr.engines, scr.engines.opening, scr.engines.openai, scr.engines.transformers\n"
        "heavy = {'torch', 'transformers'} & set(sys.modules)\n"
        "from scr.engines import Sampling\n"
        "engine = scr.engines.opening.open_engine()\n"
        "print(heavy, engine.generate(['The capital of France is'], Sampling(max_tokens=1))[0].text)\n"
        "print(set(os.environ) - set(before) - {'KMP_DUPLICATE_LIB_OK', 'KMP_INIT_AT_FORK'}, engine.model)\n"
    )
    assert run.stdout.splitlines() == ["set()  Paris", "set() SmolLM2-135M-Instruct"]
    assert run.stderr == ""


@pytest.mark.parametrize(
    "values",
    [{"max_tokens": 0}, {"temperature": -0.1}, {"temperature": float("nan")}, {"seed": -1}, {"stop": ("a", "")}],
)
def test_sampling_that_makes_no_sense(values: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        Sampling(**values)


def _python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error::DeprecationWarning:scr", "-c", code],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=120,
        cwd=Path(__file__).parents[2],
    )
