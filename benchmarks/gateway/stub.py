"""A stand-in for a model server: no model, only its pace.

``python -m benchmarks.gateway.stub PORT FIRST GAP TOKENS``: each request gets its first event after FIRST milliseconds,
then one every GAP, TOKENS in all, whatever was asked and however many ask. It takes hardly any CPU, so that what a
gateway before it takes can be seen.
"""

from __future__ import annotations

import asyncio
import json
import sys

_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n"


def event(text: str, end: str | None = None) -> bytes:
    choice = {"index": 0, "delta": {"role": "assistant", "content": text}, "finish_reason": end}
    document = {"id": "chatcmpl-0", "object": "chat.completion.chunk", "created": 1_700_000_000, "model": "stand-in"}
    return chunk(b"data: " + json.dumps(document | {"choices": [choice]}).encode() + b"\n\n")


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


class StandIn:
    """Answers with words at a fixed pace.

    Args:
        first: milliseconds until the first word.
        gap: milliseconds between words.
        tokens: how many words.
    """

    def __init__(self, first: float, gap: float, tokens: int) -> None:
        self._pauses = [first / 1000, *[gap / 1000] * (tokens - 1)]
        self._word, self._end = event(" word"), event("", "length") + chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                length = head.partition(b"content-length:")[2].split(b"\r\n")[0]
                await reader.readexactly(int(length or 0))
                if head.startswith(b"get "):
                    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}")
                else:
                    await self._answer(writer)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _answer(self, writer: asyncio.StreamWriter) -> None:
        clock = asyncio.get_running_loop().time
        due = clock()
        for place, pause in enumerate(self._pauses):
            due += pause
            await asyncio.sleep(due - clock())
            writer.write(self._word if place else _HEAD + self._word)
        writer.write(self._end)


async def main(port: int, first: float, gap: float, tokens: int) -> None:
    server = await asyncio.start_server(StandIn(first, gap, tokens).serve, "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    import uvloop

    uvloop.run(main(int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4])))
