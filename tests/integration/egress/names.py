"""A name server for one test network: answers what it is told, in turn, and keeps what it was asked."""

import asyncio
import socket
from typing import Any

_types = {1: "A", 28: "AAAA"}
_numbers = {name: number for number, name in _types.items()}
_no_such_name, _failed = 3, 2


class Names(asyncio.DatagramProtocol):
    """`table` maps a name to answers, one list of addresses for each look-up in turn; the last one stays.

    A name that is not there does not exist; one whose answer is None makes the server fail.
    """

    def __init__(self) -> None:
        self.table: dict[str, list[list[str] | None]] = {}
        self.asked: list[str] = []
        self._served: dict[tuple[str, str], int] = {}

    def put(self, table: dict[str, list[list[str] | None]]) -> None:
        """Another table; nothing was asked yet."""
        self.table, self.asked, self._served = table, [], {}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way back."""
        self._transport: Any = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        """Answer one question."""
        name, end = _name_of(data, 12)
        kind = _types.get(int.from_bytes(data[end : end + 2], "big"), "other")
        self.asked.append(name)
        self._transport.sendto(self._answer(data, name, kind, data[12 : end + 4]), addr)

    def _answer(self, data: bytes, name: str, kind: str, question: bytes) -> bytes:
        turns = self.table.get(name)
        if turns is None:
            return _message(data, question, [], _no_such_name)
        served = self._served.get((name, kind), 0)
        self._served[(name, kind)] = served + 1
        addresses = turns[min(served, len(turns) - 1)]
        if addresses is None:
            return _message(data, question, [], _failed)
        return _message(data, question, [_record(kind, each) for each in addresses if _fits(kind, each)], 0)


async def serve_names() -> Names:
    """A server on the port that every resolver asks."""
    loop = asyncio.get_running_loop()
    _, names = await loop.create_datagram_endpoint(Names, local_addr=("127.0.0.1", 53))
    return names


def _name_of(data: bytes, at: int) -> tuple[str, int]:
    labels = []
    while data[at]:
        labels.append(data[at + 1 : at + 1 + data[at]].decode("ascii", "replace").lower())
        at += 1 + data[at]
    return ".".join(labels), at + 1


def _fits(kind: str, address: str) -> bool:
    return kind == ("AAAA" if ":" in address else "A")


def _record(kind: str, address: str) -> bytes:
    """One answer about the name that was asked for, not to be kept."""
    packed = socket.inet_pton(socket.AF_INET6 if kind == "AAAA" else socket.AF_INET, address)
    head = (
        b"\xc0\x0c" + _numbers[kind].to_bytes(2, "big") + b"\x00\x01" + bytes(4)
    )  # this name, internet, no time to live
    return head + len(packed).to_bytes(2, "big") + packed


def _message(query: bytes, question: bytes, records: list[bytes], code: int) -> bytes:
    counts = b"\x00\x01" + len(records).to_bytes(2, "big") + bytes(4)
    return query[:2] + bytes([0x85, 0x80 | code]) + counts + question + b"".join(records)
