"""How many runs of ours stand behind a request: what keeps runs from calling each other for ever (security, 10.10).

The header is written by the client that makes calls, on requests to our own addresses alone, and read wherever a
request can start a run. A stranger who writes it ends their own requests earlier.
"""

depth_header = "taske-depth"
_most, _longest = 1_000, 10


def read_depth(text: str | None) -> int:
    """The depth that a header says; 0 where nobody says."""
    if not text or not (text.isascii() and text.isdecimal() and len(text) < _longest):
        return 0
    return min(int(text), _most)
