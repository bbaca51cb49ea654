"""Host binding: whole labels, and the port."""

import pytest

from taske_ray.core.capability import host_of, is_allowed, is_host_pattern


@pytest.mark.parametrize(
    ("url", "pattern", "allowed"),
    [
        ("https://api.example.com/x", "api.example.com", True),
        ("https://API.Example.com./x", "api.example.com", True),
        ("https://api.example.com:443/x", "api.example.com", True),
        ("http://api.example.com:80/x", "api.example.com", True),
        ("https://api.example.com:8443/x", "api.example.com", False),
        ("https://api.example.com:8443/x", "api.example.com:8443", True),
        ("https://api.example.com/x", "api.example.com:8443", False),
        ("https://xapi.example.com/x", "api.example.com", False),
        ("https://api.example.com.evil.org/x", "api.example.com", False),
        ("https://a.example.com/x", "*.example.com", True),
        ("https://a.b.example.com/x", "*.example.com", True),
        ("https://example.com/x", "*.example.com", False),
        ("https://evilexample.com/x", "*.example.com", False),
        ("https://a.example.com:8443/x", "*.example.com", False),
        ("https://anything.example:1/x", "*", True),
        ("https://[::1]:8443/x", "[::1]:8443", True),
        ("https://한국.example/x", "xn--3e0b707e.example", True),
    ],
)
def test_which_urls_match(url: str, pattern: str, allowed: bool) -> None:  # noqa: FBT001 - a column of the table
    """A pattern matches whole labels of the canonical host and the port, nothing more."""
    assert is_allowed(url, [pattern]) is allowed


@pytest.mark.parametrize("text", ["", "a b", "https://x", "x/y", "*.", "a.*.b", "x:0", "x:99999", "user@x", "**"])
def test_what_is_no_pattern(text: str) -> None:
    """Only `host`, `*.suffix`, `host:port` and `*` are patterns."""
    assert not is_host_pattern(text)


def test_a_url_names_its_own_pattern() -> None:
    """`host_of` gives the narrowest pattern that allows a URL."""
    for url in ("https://a.example/x", "http://127.0.0.1:8931/slack", "https://[::1]/"):
        assert is_host_pattern(host_of(url))
        assert is_allowed(url, [host_of(url)])
