"""The meter's own HTTP reads what it writes, however it is cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.bench.wire import NotUnderstood, Reader, header, request, response


@given(st.lists(st.binary(max_size=30), max_size=4), st.lists(st.integers(1, 40), min_size=1, max_size=9))
def test_messages_survive_every_cut(bodies, cuts):
    """A stream of messages reads as the same bodies in the same order, wherever the network cuts it."""
    stream, reader, read = b"".join(response(body) for body in bodies), Reader(), []
    while stream:
        size = cuts[len(read) % len(cuts)]
        read += reader.feed(stream[:size])
        stream = stream[size:]
    assert [message.body for message in read] == bodies


def test_request_reads_back():
    """A written request has its method, path, headers and body."""
    (message,) = Reader().feed(request("POST", "/first", "a:1", b"{}", {"Idempotency-Key": "run_1:action1"}))
    assert message.start == b"POST /first HTTP/1.1"
    assert (message.header(b"idempotency-key"), message.header(b"host")) == (b"run_1:action1", b"a:1")
    assert message.body == b"{}"


def test_header_matches_whole_names():
    """A header is found by its whole name only, in any case; a missing one is empty."""
    lines = b"X-Key: no\r\nKEY: yes"
    assert (header(lines, b"key"), header(lines, b"ke")) == (b"yes", b"")


def test_status_of_a_response():
    """The status is a number."""
    assert Reader().feed(response(b""))[0].status == 200


def test_chunked_is_refused():
    """What the reader does not understand is an error and not a wrong figure."""
    with pytest.raises(NotUnderstood):
        Reader().feed(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
