"""What every weight editor promises, as functions that take a way to make one."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from scr.editors import Asked, Edit
from scr.editors.weights.editor import WeightEditor, load
from scr.editors.weights.hooks import still
from scr.editors.weights.patch import Patch
from scr.editors.weights.requests import check
from scr.engines import Engine, Sampling
from scr.errors import EditError

from ..editors.weights import tiny

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Subject:
    """An editor under test.

    Attributes:
        make: from an engine to the editor.
        build: of the tiny models.
        decides: whether one edit makes the target a random model's answer; else it only changes the odds.
    """

    make: Callable[[Engine], WeightEditor[Any]]
    build: str
    decides: bool = True

    def engine(self, seed: int = 0) -> Any:
        return tiny.engine(self.build, seed)


Check = Callable[[Subject, Path], None]


def edit_changes_the_edited_answer(subject: Subject, _: Path) -> None:
    engine, (edit, *_rest) = subject.engine(), tiny.EDITS
    before = tiny.logits(engine.network, edit.prompt)
    with subject.make(engine).apply([edit]) as edited:
        assert not tiny.logits(engine.network, edit.prompt).equal(before)
        (prepared,) = edited.prepare([Asked(edit.prompt)])
        assert prepared.prompt is edit.prompt
        if subject.decides:
            (answer,) = edited.engine.generate([prepared.prompt], Sampling(max_tokens=1))
            first = tiny.tokenizer()(" " + edit.target)["input_ids"][0]
            assert answer.text == tiny.tokenizer().decode([first])
        (report,) = edited.reports
        assert (report.edits, report.seconds > 0) == (1, True)
        assert report.changed
        assert all(0 < share < 1000 for share in report.changed.values())


def weights_are_restored_bit_for_bit(subject: Subject, _: Path) -> None:
    engine = subject.engine()
    before = tiny.weights(engine.network)
    with subject.make(engine).apply(tiny.EDITS[:1]) as edited:
        assert not _same(tiny.weights(engine.network), before)
        edited.add(tiny.EDITS[1:2])
    assert _same(tiny.weights(engine.network), before)


def weights_are_restored_after_a_failure(subject: Subject, _: Path) -> None:
    engine = subject.engine()
    before = tiny.weights(engine.network)
    with pytest.raises(KeyboardInterrupt), subject.make(engine).apply(tiny.EDITS[:1]):
        raise KeyboardInterrupt
    assert _same(tiny.weights(engine.network), before)


def an_update_that_fails_in_the_middle_changes_nothing(subject: Subject, _: Path) -> None:
    engine = subject.engine()
    before, editor = tiny.weights(engine.network), subject.make(engine)
    with editor.apply(tiny.EDITS[:1]) as edited:
        first, write = tiny.weights(engine.network), edited._patch.add

        def broken(*given: Any) -> None:
            write(*given)
            raise MemoryError

        edited._patch.add = broken  # type: ignore[method-assign]
        with pytest.raises(MemoryError):
            edited.add(tiny.EDITS[1:])
        edited._patch.add = write  # type: ignore[method-assign]
        assert _same(tiny.weights(engine.network), first)
        assert len(edited.reports) == 1
    assert _same(tiny.weights(engine.network), before)
    assert not any(parameter.grad is not None for parameter in engine.network.parameters())


def only_declared_tensors_change(subject: Subject, _: Path) -> None:
    engine = subject.engine()
    before, editor = tiny.weights(engine.network), subject.make(engine)
    with editor.apply(tiny.EDITS) as edited:
        after = tiny.weights(engine.network)
        changed = {name for name in before if not after[name].equal(before[name])}
        assert changed <= set(edited.tensors) == set(editor.tensors())
        assert changed == set(edited.reports[-1].changed) == set(edited.deltas)
        assert after.keys() == before.keys()


def deltas_give_the_same_logits_in_another_process(subject: Subject, folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    engine = subject.engine()
    save_file({name: tensor.contiguous() for name, tensor in engine.network.state_dict().items()}, folder / "base")
    with subject.make(engine).apply(tiny.EDITS) as edited:
        edited.save(folder / "edits.safetensors")
        expected = tiny.logits(engine.network, tiny.EDITS[0].prompt)
    run = [sys.executable, "-W", "error", "-m", "tests.contracts.editor_checks", subject.build, str(folder)]
    done = subprocess.run(run, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    found = load_file(folder / "logits")["logits"]
    assert found.equal(expected)
    assert not found.allclose(tiny.logits(engine.network, tiny.EDITS[0].prompt), atol=1e-3)


def deltas_are_refused_by_another_model(subject: Subject, folder: Path) -> None:
    engine = subject.engine()
    with subject.make(engine).apply(tiny.EDITS[:1]) as edited:
        edited.save(folder / "edits.safetensors")
        with pytest.raises(EditError, match="unedited"):
            load(engine, folder / "edits.safetensors")
    other = subject.engine(seed=1)
    before = tiny.weights(other.network)
    with pytest.raises(EditError, match="made for another model"):
        load(other, folder / "edits.safetensors")
    assert _same(tiny.weights(other.network), before)
    with load(engine, folder / "edits.safetensors") as loaded, pytest.raises(EditError, match="cannot be added to"):
        loaded.add(tiny.EDITS[1:])


def saved_edits_can_be_added_to_where_the_traits_say_so(subject: Subject, folder: Path) -> None:
    engine, path = subject.engine(), folder / "edits.safetensors"
    before = tiny.weights(engine.network)
    with subject.make(engine).apply(tiny.EDITS[:1]) as edited:
        edited.save(path)
        edited.add(tiny.EDITS[1:2])
        expected = tiny.weights(engine.network)
    editor = subject.make(subject.engine())
    if not editor.traits.resumable:
        with pytest.raises(EditError, match="apply all of them together"):
            editor.resume(path)
    else:
        with editor.resume(path) as edited:
            edited.add(tiny.EDITS[1:2])
            assert set(edited.tensors) == set(editor.tensors())
            assert _same(tiny.weights(editor.host.network), expected)
    assert _same(tiny.weights(editor.host.network), before)


def the_exported_folder_is_the_edited_model(subject: Subject, folder: Path) -> None:
    from transformers import AutoModelForCausalLM

    engine = subject.engine()
    with subject.make(engine).apply(tiny.EDITS) as edited:
        edited.export(folder / "edited")
        expected = tiny.logits(engine.network, tiny.EDITS[0].prompt)
        with pytest.raises(EditError, match="not empty"):
            edited.export(folder / "edited")
    read = AutoModelForCausalLM.from_pretrained(folder / "edited", local_files_only=True).eval()
    assert tiny.logits(read, tiny.EDITS[0].prompt).equal(expected)
    assert not list(folder.glob("*.partial"))


def two_models_do_not_mix(subject: Subject, _: Path) -> None:
    alone = [_edited_logits(subject, subject.engine(seed)) for seed in (0, 1)]
    engines = [subject.engine(seed) for seed in (0, 1)]
    with subject.make(engines[0]).apply(tiny.EDITS[:1]), subject.make(engines[1]).apply(tiny.EDITS[:1]):
        together = [tiny.logits(engine.network, tiny.EDITS[0].prompt) for engine in engines]
    for one, other in zip(alone, together, strict=True):
        assert one.equal(other)


def a_batch_of_one_is_a_single_edit(subject: Subject, _: Path) -> None:
    """The method's update of one request, alone, gives the weights that a batch of it gives."""
    engine = subject.engine()
    editor = subject.make(engine)
    (request,) = check(tiny.EDITS[:1], tiny.tokenizer(), subject="subject" in editor.traits.needs)
    patch = Patch(engine.network, editor.tensors())
    with still(engine.network):
        editor.begin()([request], patch)
    single = tiny.weights(engine.network)
    patch.restore()
    assert not _same(tiny.weights(engine.network), single)
    batches: list[Sequence[Edit]] = [tiny.EDITS[:1], [tiny.EDITS[0]] * 2]  # the same edit twice is one
    for maker in (editor, subject.make(subject.engine())):
        for edits in batches:
            with maker.apply(edits):
                assert _same(tiny.weights(maker.host.network), single)


def an_edit_after_a_restore_is_as_the_first(subject: Subject, _: Path) -> None:
    engine = subject.engine()
    editor, found = subject.make(engine), []
    for _round in range(2):
        with editor.apply(tiny.EDITS[1:2]):
            found.append(tiny.weights(engine.network))
        with editor.apply(tiny.EDITS[:1]):
            pass
    assert _same(*found)


def bad_edits_are_refused_before_anything_changes(subject: Subject, _: Path) -> None:
    engine = subject.engine()
    before, editor = tiny.weights(engine.network), subject.make(engine)
    bad: list[Sequence[Edit]] = [
        (),
        (replace(tiny.EDITS[0], target=" "),),
        (tiny.EDITS[0], replace(tiny.EDITS[1], prompt="")),
    ]
    if "subject" in editor.traits.needs:
        bad += [(replace(tiny.EDITS[0], subject=None),), (tiny.EDITS[1], replace(tiny.EDITS[0], subject="Nobody"))]
    for edits in bad:
        with pytest.raises(EditError) as raised:
            editor.apply(edits)
        assert "\n" not in str(raised.value)
        assert _same(tiny.weights(engine.network), before)
    with editor.apply(tiny.EDITS[:1]) as edited:
        after = tiny.weights(engine.network)
        with pytest.raises(EditError):
            edited.add([*tiny.EDITS[1:], replace(tiny.EDITS[0], target="")])
        assert _same(tiny.weights(engine.network), after)


def a_model_carries_the_edits_of_one_at_a_time(subject: Subject, _: Path) -> None:
    engine = subject.engine()
    editor = subject.make(engine)
    with editor.apply(tiny.EDITS[:1]) as edited:
        after = tiny.weights(engine.network)
        with pytest.raises(EditError, match="carries edits already"):
            editor.apply(tiny.EDITS[1:])
        assert _same(tiny.weights(engine.network), after)
    with pytest.raises(EditError, match="taken back"):
        edited.add(tiny.EDITS[1:])


def a_model_is_left_as_it_was_otherwise(subject: Subject, _: Path) -> None:
    engine = subject.engine()
    engine.network.train()
    engine.network.get_parameter(subject.make(engine).tensors()[0]).requires_grad_(False)
    wanted = {name: parameter.requires_grad for name, parameter in engine.network.named_parameters()}
    modules = [type(module) for module in engine.network.modules()]
    with subject.make(engine).apply(tiny.EDITS[:1]):
        assert engine.network.training
    assert {name: parameter.requires_grad for name, parameter in engine.network.named_parameters()} == wanted
    assert [type(module) for module in engine.network.modules()] == modules
    assert not any(module._forward_hooks for module in engine.network.modules())


CHECKS: tuple[Check, ...] = (
    edit_changes_the_edited_answer,
    weights_are_restored_bit_for_bit,
    weights_are_restored_after_a_failure,
    an_update_that_fails_in_the_middle_changes_nothing,
    only_declared_tensors_change,
    deltas_give_the_same_logits_in_another_process,
    deltas_are_refused_by_another_model,
    saved_edits_can_be_added_to_where_the_traits_say_so,
    the_exported_folder_is_the_edited_model,
    two_models_do_not_mix,
    a_batch_of_one_is_a_single_edit,
    an_edit_after_a_restore_is_as_the_first,
    bad_edits_are_refused_before_anything_changes,
    a_model_carries_the_edits_of_one_at_a_time,
    a_model_is_left_as_it_was_otherwise,
)


def _same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return one.keys() == other.keys() and all(tensor.equal(other[name]) for name, tensor in one.items())


def _edited_logits(subject: Subject, engine: Any) -> Any:
    with subject.make(engine).apply(tiny.EDITS[:1]):
        return tiny.logits(engine.network, tiny.EDITS[0].prompt)


def main(build: str, folder: Path) -> None:
    """In a process of its own: load a model's weights and its edits, and write its logits."""
    from safetensors.torch import load_file, save_file

    engine = tiny.engine(build, seed=5)
    engine.network.load_state_dict(load_file(folder / "base"))
    with load(engine, folder / "edits.safetensors"):
        save_file({"logits": tiny.logits(engine.network, tiny.EDITS[0].prompt)}, folder / "logits")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
