"""Every place that sends something outside is in this table (security, 19.4); a new one without a row fails.

Beside it stand the ways of `tests/integration/egress/sinks.py` that drive it through the same cases.
"""

import ast
from pathlib import Path

import pytest

from tests.integration.egress.sinks import SINKS
from tests.syntax import parsed

ROOT = Path(__file__).parents[2]
WAYS = {"send", "dial", "addresses"}
_asked = ("connection test", "code exchange", "token refresh", "token request", "token revocation")
_by_their_own_protocol = ("smtp", "imap", "postgres", "test of an account")
_at_a_provider = ("discovery", *(name for name in SINKS if name.endswith("of a provider")))
SENDERS: dict[str, tuple[str, ...]] = {
    "taske_ray/integrations/sending.py:_sent": tuple(
        name for name in SINKS if name not in {*_asked, *_by_their_own_protocol, *_at_a_provider}
    ),
    "taske_ray/integrations/sending.py:ask": _asked,
    "taske_ray/integrations/executors/imap.py:_session": ("imap",),
    "taske_ray/integrations/executors/postgres.py:_connected": ("postgres",),
    "taske_ray/integrations/executors/smtp.py:_connected": ("smtp", "test of an account"),
    "taske_ray/integrations/sign_in/provider_calls.py:_send": _at_a_provider,
}


def senders(source):
    """The functions that send by a transport, or ask it for a socket or an address."""
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    for function in (node for node in ast.walk(parsed(source)) if isinstance(node, functions)):
        if any(_sends(node) for node in ast.walk(function)):
            yield function.name


def _sends(node):
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute) or node.func.attr not in WAYS:
        return False
    return ast.unparse(node.func.value).rpartition(".")[2].strip("_").endswith("transport")


def test_every_sender_has_a_row():
    """What sends is named here, and what is named here sends."""
    found = {
        f"{path.relative_to(ROOT)}:{name}"
        for folder in ("taske_ray", "actors", "deployments")
        for path in (ROOT / folder).rglob("*.py")
        for name in senders(path.read_text())
    }
    assert found == set(SENDERS)


@pytest.mark.parametrize("place", sorted(SENDERS))
def test_every_row_is_driven(place):
    """The ways that a row names exist, and there is one at least."""
    assert SENDERS[place]
    assert set(SENDERS[place]) <= set(SINKS)


def test_a_new_sender_is_noticed():
    """Also deep inside, and whatever the attribute is called."""
    assert list(senders("async def f(self):\n    if x:\n        await self._other_transport.send(r)")) == ["f"]
    assert list(senders("def f(sock):\n    sock.send(b'')")) == []
