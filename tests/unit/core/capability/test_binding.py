"""The patterns of the host binding."""

import pytest

from taske_ray.core.capability import is_bound_to


@pytest.mark.parametrize(
    ("pattern", "scheme", "host", "port", "covered"),
    [
        ("slack.com", "https", "slack.com", 443, True),
        ("Slack.COM", "https", "slack.com", 443, True),
        ("slack.com", "https", "slack.com", 8443, False),
        ("slack.com", "http", "slack.com", 80, True),
        ("slack.com", "https", "api.slack.com", 443, False),
        ("slack.com", "https", "evilslack.com", 443, False),
        ("*.googleapis.com", "https", "www.googleapis.com", 443, True),
        ("*.googleapis.com", "https", "a.b.googleapis.com", 443, True),
        ("*.googleapis.com", "https", "googleapis.com", 443, False),
        ("*.googleapis.com", "https", "evilgoogleapis.com", 443, False),
        ("*.googleapis.com", "https", "googleapis.com.evil.com", 443, False),
        ("example.com:8443", "https", "example.com", 8443, True),
        ("example.com:8443", "https", "example.com", 443, False),
        ("127.0.0.1:9000", "http", "127.0.0.1", 9000, True),
        ("[::1]:9000", "http", "::1", 9000, True),
        ("*", "http", "anything", 1, True),
        ("*.*", "https", "a.b", 443, False),
        ("", "https", "a.b", 443, False),
    ],
)
def test_patterns_match_whole_labels_and_the_port(pattern, scheme, host, port, covered):
    """A pattern covers whole labels of the canonical host, at the scheme's own port or the one it names."""
    assert is_bound_to([pattern], scheme, host, port) is covered


def test_no_pattern_covers_nothing():
    """An empty list binds to nowhere."""
    assert not is_bound_to([], "https", "example.com", 443)
