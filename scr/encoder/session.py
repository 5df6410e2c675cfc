"""Networks in ONNX Runtime: written so that they open quickly, opened on the cores that are ours."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import onnx
    from onnxruntime import InferenceSession


def write_graph(model: onnx.ModelProto, path: Path) -> None:
    """Write a graph to ``path`` and its weights into a file beside it.

    The runtime maps that file into memory: a network of 90 MB opens in a third of the time, and of the word
    embeddings only the pages that are used are ever read.
    """
    from onnx import save_model

    weights = path.name + ".data"
    path.with_name(weights).unlink(missing_ok=True)  # it would be appended to
    save_model(model, path, save_as_external_data=True, location=weights, size_threshold=1024)


def open_session(path: Path) -> InferenceSession:
    """Open an ONNX file on the CPU cores that this process may use."""
    import onnxruntime

    options: Any = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = usable_cores()
    # Threads that spin while they wait take the cores from whoever else has work for them.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def usable_cores() -> int:
    """Cores that this process may keep busy: its affinity, and its container's share (Linux control groups 2)."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
        return max(1, min(cores, round(int(quota) / int(period))))
    except (OSError, ValueError):  # no such limit
        return cores
