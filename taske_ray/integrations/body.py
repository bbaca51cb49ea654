"""Reading a response body with a cap on what it decodes to, whatever its length says. No sockets: it eats chunks."""

import zlib
from collections.abc import AsyncIterator, Iterator, Mapping

from taske_ray.errors import TaskeError

_gzip_window = 31
_piece = 64 * 1024


class BodyRefused(TaskeError):
    """A body that we do not take: too large, or in a coding that we did not ask for."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message, code=code)


async def read_body(chunks: AsyncIterator[bytes], headers: Mapping[str, str], max_bytes: int) -> bytes:
    """The whole body, decoded from gzip; at most `max_bytes` after decoding; raises BodyRefused."""
    coding = headers.get("content-encoding", "").strip().lower()
    if coding in ("", "identity"):
        return await _read_plain(chunks, headers, max_bytes)
    if coding in ("gzip", "x-gzip"):
        return await _read_gzip(chunks, max_bytes)
    raise BodyRefused("unsupported_encoding", "Its content coding is not gzip.")


async def _read_plain(chunks: AsyncIterator[bytes], headers: Mapping[str, str], max_bytes: int) -> bytes:
    declared = headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > max_bytes:
        raise _too_large(max_bytes)
    body = bytearray()
    async for chunk in chunks:
        body += chunk
        if len(body) > max_bytes:
            raise _too_large(max_bytes)
    return bytes(body)


async def _read_gzip(chunks: AsyncIterator[bytes], max_bytes: int) -> bytes:
    body = bytearray()
    members = _Members()
    async for chunk in chunks:
        for piece in members.decoded(chunk):
            body += piece
            if len(body) > max_bytes:
                raise _too_large(max_bytes)
    if not members.complete:
        raise BodyRefused("bad_encoding", "Its gzip data ends too early.")
    return bytes(body)


class _Members:
    """The members of a gzip stream, decoded at most 64 KiB at a time."""

    def __init__(self) -> None:
        self._decoder = zlib.decompressobj(_gzip_window)
        self.complete = True  # an empty body is complete

    def decoded(self, chunk: bytes) -> Iterator[bytes]:
        while chunk:
            self.complete = False
            try:
                yield self._decoder.decompress(chunk, _piece)
            except zlib.error:
                raise BodyRefused("bad_encoding", "Its gzip data is broken.") from None
            chunk = self._decoder.unconsumed_tail
            if self._decoder.eof:
                chunk = self._decoder.unused_data
                self._decoder = zlib.decompressobj(_gzip_window)
                self.complete = True


def _too_large(max_bytes: int) -> BodyRefused:
    return BodyRefused("response_too_large", f"Its body is larger than {max_bytes} bytes.")
