"""The peak memory of an edit."""

from __future__ import annotations

import sys

import pytest

from scr.editors.weights.memory import peak


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what a process holds")
def test_memory_that_was_held_before_counts_again() -> None:
    import torch

    told, kept = [], []
    for _ in range(3):
        with peak(torch.device("cpu")) as held:
            blocks = [bytearray(b"x" * 2**16) for _ in range(1024)]
            kept.append(bytearray(5 * 2**14))  # lies behind them, so that they are not given back when they are freed
            del blocks
            told.append(held() or 0)
    assert min(told) >= 60 * 2**20
