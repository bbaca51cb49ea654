"""Just enough HTTP/1.1 for both ends of a measurement: keep-alive and Content-Length, nothing else.

Written for speed: the meter must cost less than what it measures. It refuses what it does not understand, so that a
wrong measurement is an error and not a figure.
"""

from dataclasses import dataclass

_end_of_head = b"\r\n\r\n"


class NotUnderstood(Exception):
    """The other side speaks a part of HTTP that is not read here."""


@dataclass(frozen=True, slots=True)
class Message:
    """A request or a response: its first line, its header lines as they came, its body."""

    start: bytes
    headers: bytes
    body: bytes

    def header(self, name: bytes) -> bytes:
        """The value of a header, by its lower-case name; empty where it is missing."""
        return header(self.headers, name)

    @property
    def status(self) -> int:
        """The status of a response."""
        return int(self.start[9:12])


class Reader:
    """Cuts a stream of bytes into messages."""

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, data: bytes) -> list[Message]:
        """The messages that are complete with these bytes, in order."""
        self._buffer = self._buffer + data if self._buffer else data
        messages = []
        while (message := self._next()) is not None:
            messages.append(message)
        return messages

    def _next(self) -> Message | None:
        buffer = self._buffer
        end = buffer.find(_end_of_head)
        if end < 0:
            return None
        start, _, headers = buffer[:end].partition(b"\r\n")
        if header(headers, b"transfer-encoding"):
            raise NotUnderstood("a chunked body")
        body = end + len(_end_of_head)
        after = body + int(header(headers, b"content-length") or 0)
        if len(buffer) < after:
            return None
        self._buffer = buffer[after:]
        return Message(start, headers, buffer[body:after])


def header(lines: bytes, name: bytes) -> bytes:
    """The value of the first header of that lower-case name; empty where there is none."""
    at = (b"\r\n" + lines.lower()).find(b"\r\n" + name + b":")
    if at < 0:
        return b""
    value_at = at + len(name) + 1  # of `lines`, which is two bytes shorter in front than what was searched
    end = lines.find(b"\r\n", value_at)
    return lines[value_at : end if end >= 0 else None].strip()


def request(method: str, path: str, host: str, body: bytes, headers: dict[str, str] | None = None) -> bytes:
    """A request with a JSON body."""
    extra = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
    head = f"{method} {path} HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\n{extra}"
    return f"{head}content-length: {len(body)}\r\n\r\n".encode() + body


def response(body: bytes) -> bytes:
    """A 200 with a JSON body."""
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)
