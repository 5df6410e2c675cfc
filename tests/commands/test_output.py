"""What others wrote cannot steer the terminal that shows it."""

from __future__ import annotations

import sys

import pytest

from scr.commands import _fail
from scr.commands.output import one_line, written_out


def test_orders_to_a_terminal_are_written_out(monkeypatch: pytest.MonkeyPatch) -> None:
    hostile = "\x1b]52;c;aGk=\x07one\u202etwo\x9b2J\rthree\r\n\tçà👩‍🔬 שלום"
    assert written_out(hostile) == hostile  # a pipe gets what there is
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert written_out(hostile) == "\\x1b]52;c;aGk=\\x07one\\u202etwo\\x9b2J\\rthree\r\n\tçà👩‍🔬 שלום"
    assert one_line("one\n two\x1b[8m") == "one two\\x1b[8m"


def test_a_server_s_words_in_a_failure_are_text(capsys: pytest.CaptureFixture[str]) -> None:
    assert _fail("the server said:\n\x1b[2Jthree \u202eeerht", 1) == 1
    assert capsys.readouterr().err == "error: the server said: \\x1b[2Jthree \\u202eeerht\n"
