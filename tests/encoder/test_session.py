"""Cores that may be used, and graphs with their weights in a file beside them."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from scr.encoder.session import open_session, usable_cores, write_graph


@pytest.mark.parametrize(
    ("allowed", "quota", "cores"),
    [
        (8, "max 100000", 8),
        (8, "200000 100000", 2),
        (8, "150000 100000", 2),
        (8, "10000 100000", 1),
        (1, "400000 100000", 1),
        (8, "nonsense", 8),
        (8, None, 8),
    ],
)
def test_usable_cores(monkeypatch: pytest.MonkeyPatch, allowed: int, quota: str | None, cores: int) -> None:
    def read(path: Path, encoding: str) -> str:  # as on a machine with such limits
        assert (path, encoding) == (Path("/sys/fs/cgroup/cpu.max"), "ascii")
        if quota is None:
            raise FileNotFoundError(path)
        return quota + "\n"

    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(allowed)), raising=False)
    monkeypatch.setattr(Path, "read_text", read)
    assert usable_cores() == cores


def test_usable_cores_here() -> None:
    assert 1 <= usable_cores() <= (os.cpu_count() or 1)


def test_a_written_graph_opens_and_computes(tmp_path: Path) -> None:
    from onnx import TensorProto, helper, numpy_helper

    weight = np.random.default_rng(0).standard_normal((32, 16)).astype(np.float32)
    path = tmp_path / "model.onnx"
    for scale in (1, 2):  # the second time over the first
        graph = helper.make_graph(
            [helper.make_node("MatMul", ["x", "weight"], ["y"])],
            "product",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 32])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 16])],
            [numpy_helper.from_array(scale * weight, "weight")],
        )
        write_graph(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
        assert sorted(each.name for each in tmp_path.iterdir()) == ["model.onnx", "model.onnx.data"]
        assert path.stat().st_size < 1024
        assert (tmp_path / "model.onnx.data").stat().st_size == weight.nbytes
        rows = np.ones((3, 32), np.float32)
        np.testing.assert_allclose(open_session(path).run(None, {"x": rows})[0], rows @ (scale * weight), rtol=1e-5)
