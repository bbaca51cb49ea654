"""The rules on real, compiled documents: what `poll` and `webhook` blocks become is what the rules take."""

import hashlib
import hmac
from datetime import UTC, datetime, timedelta

from taske_ray.core.capability import parse_module, parse_verify
from taske_ray.core.outcome import Fetched, PolledItem
from taske_ray.core.polling import PollState, cursor_scope, decide
from taske_ray.core.webhook import Accepted, Delivery, Filtered, Handshake, Rejected, receive, reception

now = datetime(2027, 5, 4, 12, tzinfo=UTC)
module = parse_module(
    {
        "module": "shop",
        "name": "Shop",
        "base_url": "https://shop.example",
        "auth": [{"id": "none", "type": "none"}],
        "capabilities": [
            {
                "capability": "shop.order.created",
                "kind": "trigger",
                "name": "New order",
                "params": {"type": "object", "properties": {"only": {"type": "string"}}},
                "webhook": {
                    "mode": "manual",
                    "handshake": [
                        {
                            "when": "req.body.type == 'ping'",
                            "verified": False,
                            "respond": {"status": 200, "body": {"pong": "{{ req.body.nonce }}"}},
                        }
                    ],
                    "verify": [
                        {
                            "type": "hmac",
                            "secret": "{{ hook.state.secret }}",
                            "parse": {"value": "{{ req.headers['x-signature'] }}"},
                            "signed": ["{{ parts.t[0] }}", ".", {"raw": True}],
                            "signature": {"any_of": "{{ parts.v1 }}"},
                            "timestamp": {"value": "{{ parts.t[0] }}"},
                        }
                    ],
                    "filter": "req.body.type == params.only",
                    "split": "{{ req.body.orders }}",
                    "dedupe_key": "{{ item.id }}",
                    "output": {"order": "{{ item }}"},
                },
            },
            {
                "capability": "shop.order.polled",
                "kind": "trigger",
                "name": "New order",
                "request": {"path": "/orders", "query": {"since": "{{ cursor.from }}"}},
                "response": {"items": "{{ response.body }}"},
                "poll": {
                    "key": "{{ item.id }}",
                    "cursor": {
                        "type": "timestamp",
                        "value": "{{ item.at }}",
                        "format": "epoch_ms",
                        "order": "asc",
                        "lookback": "PT1M",
                    },
                },
            },
        ],
    }
)
hook = module.capabilities["shop.order.created"].webhook
scope = {"hook": {"state": {"secret": "s3cret"}, "url": "https://x"}, "params": {"only": "order"}}


def signed(body: bytes, secret: bytes = b"s3cret") -> Delivery:
    seconds = int(now.timestamp())
    digest = hmac.new(secret, f"{seconds}.".encode() + body, hashlib.sha256).hexdigest()
    return Delivery("POST", "/hooks/x", body, "2027-05-04T12:00:00Z", {"x-signature": f"t={seconds},v1={digest}"})


def test_a_webhook_block_receives():
    """Signature, filter, split, key and output of a document, on a delivery."""
    rules = reception(hook, scope=scope)
    good = receive(signed(b'{"type": "order", "orders": [{"id": 1}, {"id": 2}]}'), rules, now)
    assert isinstance(good, Accepted)
    assert [(event.key, event.output) for event in good.events] == [
        ("1", {"order": {"id": 1}}),
        ("2", {"order": {"id": 2}}),
    ]
    assert receive(signed(b'{"type": "other"}'), rules, now) == Filtered()
    forged = receive(signed(b'{"type": "order"}', b"guess"), rules, now)
    assert isinstance(forged, Rejected)
    assert forged.reason == "invalid_signature"
    stale = receive(signed(b"{}"), rules, now + timedelta(minutes=6))
    assert isinstance(stale, Rejected)


def test_an_unsigned_handshake_is_answered():
    """A ping before any signature gets its nonce back."""
    ping = Delivery("POST", "/hooks/x", b'{"type": "ping", "nonce": 7}', "2027-05-04T12:00:00Z")
    answered = receive(ping, reception(hook, scope=scope), now)
    assert isinstance(answered, Handshake)
    assert (answered.answer.status, answered.answer.body) == (200, {"pong": 7})


def test_missing_parts_never_pass():
    """No header, an empty one, one without a time or a signature: not genuine, and no error either."""
    rules = reception(hook, scope=scope)
    for headers in ({}, {"x-signature": ""}, {"x-signature": "v1=ab"}, {"x-signature": f"t={int(now.timestamp())}"}):
        refused = receive(Delivery("POST", "/hooks/x", b"{}", "2027-05-04T12:00:00Z", headers), rules, now)
        assert isinstance(refused, Rejected)


def test_the_verify_parameter_of_a_webhook():
    """A Verify object as a user writes it, with its header."""
    verify = parse_verify(
        {
            "type": "hmac",
            "secret": "abc",
            "signed": [{"raw": True}],
            "signature": {"value": "{{ req.headers['x-hub-signature-256'] }}", "prefix": "sha256="},
        }
    )
    rules = reception({}, verify=[verify], dedupe_header="X-GitHub-Delivery")
    digest = hmac.new(b"abc", b"{}", hashlib.sha256).hexdigest()
    headers = {"x-hub-signature-256": f"sha256={digest}", "x-github-delivery": "d1"}
    good = receive(Delivery("POST", "/hooks/x", b"{}", "2027-05-04T12:00:00Z", headers), rules, now)
    assert isinstance(good, Accepted)
    assert good.events[0].key == "d1"
    bare = receive(Delivery("POST", "/hooks/x", b"{}", "2027-05-04T12:00:00Z"), rules, now)
    assert isinstance(bare, Rejected)


def test_a_poll_block_decides():
    """Start, cut and continuation of a document whose service counts in milliseconds."""
    poll = module.capabilities["shop.order.polled"].poll
    seeded = PollState(now.isoformat(), first_done=True)
    milliseconds = int(now.timestamp() * 1000)
    assert cursor_scope(seeded, poll.cursor, "2027-05-04T12:30:00Z")["from"] == milliseconds - 60_000
    items = (PolledItem("a", {"id": "a"}, None, milliseconds + 5), PolledItem("b", {"id": "b"}, None, milliseconds + 9))
    cut = decide(seeded, Fetched(items, truncated=True), poll, began_at=now + timedelta(hours=1), every=poll.every)
    assert cursor_scope(cut.state, poll.cursor, "2027-05-04T13:00:00Z")["from"] == milliseconds + 9
    done = decide(cut.state, Fetched(items[1:]), poll, began_at=now + timedelta(hours=1), every=poll.every)
    assert cursor_scope(done.state, poll.cursor, "2027-05-04T13:05:00Z")["from"] == milliseconds + 9 - 60_000
