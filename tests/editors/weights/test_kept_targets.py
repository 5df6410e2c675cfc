"""Targets that a benchmark keeps are used again only where the same was sought."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.editors import shared
from scr.editors.weights import targets
from scr.editors.weights.host import Host
from scr.editors.weights.requests import check
from scr.editors.weights.targets import TargetConfig

from . import tiny

_CONFIG = TargetConfig(steps=1)


def test_a_target_is_used_again_unless_it_was_sought_at_another_rate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from safetensors import safe_open
    from safetensors.torch import save_file

    host, sought = Host.of(tiny.engine()), []
    (request,) = check(tiny.EDITS[:1], tiny.tokenizer(), subject=True)
    own = targets.optimise

    def counted(*given: object) -> list[targets.Target]:
        sought.append(1)
        return own(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(targets, "optimise", counted)

    def seek(config: TargetConfig = _CONFIG) -> int:
        module, answer = host.architecture.block(1), request.target
        shared.Kept(tmp_path).seek(shared.Search(host, request, module, ("",), config, answer))
        return len(sought)

    assert [seek(), seek()] == [1, 1]
    (path,) = tmp_path.iterdir()
    with safe_open(path, "pt") as file:
        told = file.metadata()
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no dictionary)
    assert told.pop("rate") == "0.5"
    save_file(tensors, path, told)
    assert seek() == 1, "a file that does not tell the rate is one of old"
    save_file(tensors, path, told | {"rate": "0.1"})
    assert seek() == 2, "the model's default was another one"
    assert seek(replace(_CONFIG, rate=0.5)) == 3
