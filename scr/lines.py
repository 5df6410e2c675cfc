"""Lines of JSON in files: read however long they are, and written so that every text fits into UTF-8."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import BinaryIO


def lines_of(file: BinaryIO, longest: int) -> Iterator[tuple[int, bytes | None]]:
    """Each line with its number, from 1; None in place of one that has more bytes than the longest may have.

    Of such a line no more than that is held at once.
    """
    number = 0
    while data := file.readline(longest):
        number += 1
        if len(data) < longest or data.endswith(b"\n"):
            yield number, data
            continue
        while (rest := file.readline(longest)) and not rest.endswith(b"\n"):
            pass
        yield number, None


def as_json(document: object, indent: int | None = None) -> str:
    """A document as JSON: its characters as they are, or escaped where one is half of a surrogate pair.

    Servers may send such halves, which UTF-8 cannot hold.
    """
    text = json.dumps(document, ensure_ascii=False, indent=indent)
    try:
        text.encode()
    except UnicodeEncodeError:
        return json.dumps(document, indent=indent)
    return text
