"""Deliveries: published signatures, failing closed, the order of reception, and delivery ids."""

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta

import pytest

from taske_ray.core.redaction import MASK
from taske_ray.core.signature import is_genuine
from taske_ray.core.webhook import (
    Accepted,
    Answer,
    Delivery,
    Event,
    Filtered,
    Handshake,
    Reception,
    Rejected,
    parse_body,
    receive,
    reception,
)
from taske_ray.errors import TemplateError

now = datetime(2027, 5, 4, 12, tzinfo=UTC)


class Template:
    """A template that is a function of its scope; `reads` are its paths."""

    def __init__(self, function, *reads):
        self.evaluate = function
        self.reads = reads

    def paths(self):
        """The paths that it reads."""
        return frozenset(self.reads)


def header(name: str) -> Template:
    return Template(lambda scope: scope["req"]["headers"].get(name), ("req", "headers", name))


def literal(value) -> Template:
    return Template(lambda _scope: value)


def part(name: str) -> Template:
    return Template(lambda scope: scope["parts"].get(name), ("parts", name))


def broken(_scope):
    raise TemplateError("template_undefined", "req.body.x is missing")


def hmac_entry(**fields) -> dict:
    plain = {"type": "hmac", "algorithm": "sha256", "secret_encoding": "utf8", "parse": None, "timestamp": None}
    signature = {"value": None, "any_of": None, "prefix": "", "encoding": "hex", **fields.pop("signature")}
    return {**plain, **fields, "signature": signature}


github = hmac_entry(
    secret=literal("It's a Secret to Everybody"),
    signed=(None,),
    signature={"value": header("x-hub-signature-256"), "prefix": "sha256="},
)
slack = hmac_entry(
    secret=literal("8f742231b10e8888abcd99yyyzzz85a5"),
    signed=(literal("v0:"), header("x-slack-request-timestamp"), literal(":"), None),
    signature={"value": header("x-slack-signature"), "prefix": "v0="},
    timestamp={"value": header("x-slack-request-timestamp"), "unit": "s", "tolerance_s": 300},
)
svix = hmac_entry(
    secret=literal("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
    secret_encoding="base64",
    signed=(header("webhook-id"), literal("."), header("webhook-timestamp"), literal("."), None),
    signature={
        "any_of": Template(lambda scope: (scope["req"]["headers"].get("webhook-signature") or "").split(" ")),
        "prefix": "v1,",
        "encoding": "base64",
    },
    timestamp={"value": header("webhook-timestamp"), "unit": "s", "tolerance_s": 300},
)
stripe = hmac_entry(
    secret=literal("whsec_test"),
    parse={"value": header("stripe-signature"), "pairs": ",", "kv": "="},
    signed=(Template(lambda scope: scope["parts"]["t"][0]), literal("."), None),
    signature={"any_of": part("v1")},
    timestamp={"value": part("t"), "unit": "s", "tolerance_s": 300},
)
slack_body = (
    b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V"
    b"&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text="
    b"&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN"
    b"&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
)
slack_headers = {
    "x-slack-request-timestamp": "1531420618",
    "x-slack-signature": "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503",
}
svix_headers = {
    "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
    "webhook-timestamp": "1614265330",
    "webhook-signature": "v2,x v1,AAAA v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
}


def at(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def stripe_headers(body: bytes, seconds: int = 1_700_000_000) -> dict[str, str]:
    good = hmac.new(b"whsec_test", f"{seconds}.".encode() + body, hashlib.sha256).hexdigest()
    return {"stripe-signature": f"v0=x=y,t={seconds},v1={'0' * 64},v1={good}"}


published = [
    (
        github,
        b"Hello, World!",
        {"x-hub-signature-256": "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"},
        now,
    ),
    (slack, slack_body, slack_headers, at(1531420618)),
    (svix, b'{"test": 2432232314}', svix_headers, at(1614265330)),
    (stripe, b"{}", stripe_headers(b"{}"), at(1_700_000_000)),
]


def genuine(entry, body, headers, moment) -> bool:
    return is_genuine([entry], body, {"req": {"headers": headers}}, moment)


@pytest.mark.parametrize(("entry", "body", "headers", "moment"), published)
def test_published_signatures(entry, body, headers, moment):
    """The examples of GitHub, Slack, Standard Webhooks and Stripe's scheme pass."""
    assert genuine(entry, body, headers, moment)


@pytest.mark.parametrize(("entry", "body", "headers", "moment"), published)
def test_tampering_fails(entry, body, headers, moment):
    """Another body, a missing, empty or cut header: not genuine."""
    assert not genuine(entry, body + b" ", headers, moment)
    for name, value in headers.items():
        for bad in (None, "", value[:-2], value[:-1] + "é", "0"):
            assert not genuine(entry, body, {**headers, name: bad}, moment), (name, bad)
        assert not genuine(entry, body, {other: kept for other, kept in headers.items() if other != name}, moment)


@pytest.mark.parametrize(("entry", "body", "headers", "moment"), published[1:])
@pytest.mark.parametrize("sign", [-1, 1])
def test_old_and_early_timestamps_fail(entry, body, headers, moment, sign):
    """The age is bounded in both directions."""
    assert genuine(entry, body, headers, moment + sign * timedelta(seconds=300))
    assert not genuine(entry, body, headers, moment + sign * timedelta(seconds=301))


@pytest.mark.parametrize("secret", ["", None, {"a": 1}])
def test_an_empty_secret_fails_closed(secret):
    """Without a secret nothing passes, also not a signature made without one."""
    empty = {**github, "secret": literal(secret)}
    made = hmac.new(b"", b"x", hashlib.sha256).hexdigest()
    assert not genuine(empty, b"x", {"x-hub-signature-256": f"sha256={made}"}, now)
    assert not genuine({"type": "token", "value": header("token"), "secret": literal(secret)}, b"", {"token": ""}, now)


def test_encodings():
    """sha1 and sha512, hex and base64 secrets, base64url signatures without padding."""
    for algorithm, encoding, secret in (("sha512", "hex", b"\x01\xff"), ("sha1", "base64", b"key")):
        digest = hmac.new(secret, b"x", algorithm).digest()
        text = secret.hex() if encoding == "hex" else base64.b64encode(secret).decode()
        entry = hmac_entry(
            secret=literal(text),
            secret_encoding=encoding,
            algorithm=algorithm,
            signed=(None,),
            signature={"value": header("s"), "encoding": "base64url"},
        )
        given = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        assert genuine(entry, b"x", {"s": given}, now)
        assert not genuine(entry, b"x", {"s": "!" + given}, now)


def test_tokens():
    """A token must be equal; one passing entry is enough; none at all means unsigned."""
    token = {"type": "token", "value": header("x-token"), "secret": literal("s3cret")}
    assert genuine(token, b"", {"x-token": "s3cret"}, now)
    assert not genuine(token, b"", {"x-token": "s3cret "}, now)
    assert is_genuine([github, token], b"", {"req": {"headers": {"x-token": "s3cret"}}}, now)
    assert is_genuine([], b"", {}, now)


def delivery(body: bytes = b"{}", **more) -> Delivery:
    return Delivery("POST", "/hooks/x", body, "2027-05-04T12:00:00Z", **more)


def test_default_output_and_no_key():
    """Without rules the whole request is the output, and without an id each delivery is new."""
    sent = delivery(b'{"a": 1}', headers={"x-a": "b"}, query={"q": "1"})
    assert receive(sent, Reception(), now) == Accepted(
        (
            Event(
                None,
                {
                    "body": {"a": 1},
                    "headers": {"x-a": "b"},
                    "query": {"q": "1"},
                    "method": "POST",
                    "received_at": "2027-05-04T12:00:00Z",
                },
            ),
        )
    )


def test_a_delivery_is_kept_without_what_its_sender_proves_itself_with():
    """Credentials in headers go by their place, the hook's own secrets by their value, wherever and however written."""
    token = {"type": "token", "value": header("x-own"), "secret": literal("s3cret-token")}
    sent = delivery(
        json.dumps({"echo": "s3cret-token", "b64": base64.b64encode(b"-s3cret-token-").decode(), "a": 1}).encode(),
        headers={"x-own": "s3cret-token", "authorization": "Basic abc", "cookie": "a=b", "x-a": "b", "webhook-id": "1"},
        query={"q": ["s3cret-token"]},
    )
    result = receive(sent, reception({}, verify=[token], secrets=["s3cret-token"]), now)
    output = result.events[0].output
    assert output["headers"] == {"x-own": MASK, "authorization": MASK, "cookie": MASK, "x-a": "b", "webhook-id": "1"}
    assert output["body"]["echo"] == MASK
    assert (output["body"]["a"], output["query"]) == (1, {"q": [MASK]})
    assert "s3cret" not in str(result)
    assert "czNjcmV0LXRva2Vu"[2:] not in str(result)


@pytest.mark.parametrize(
    ("headers", "rules", "key"),
    [
        ({"webhook-id": "a", "idempotency-key": "b"}, {}, "a"),
        ({"webhook-id": "", "idempotency-key": "b"}, {}, "b"),
        ({"x-github-delivery": "c", "webhook-id": "a"}, {"dedupe_header": "X-GitHub-Delivery"}, "c"),
        ({"webhook-id": "a"}, {"dedupe_header": "x-other"}, None),
        ({"webhook-id": "a"}, {"block": {"dedupe_key": literal(17)}}, "17"),
        ({"webhook-id": "a"}, {"block": {"dedupe_key": literal(None)}}, None),
        ({"webhook-id": "a"}, {"block": {"dedupe_key": literal("")}}, None),
    ],
)
def test_delivery_ids(headers, rules, key):
    """The trigger's own word, else `webhook-id`, else `Idempotency-Key`; empty or null: every delivery is new."""
    block = rules.pop("block", {}) if "block" in rules else {}
    result = receive(delivery(headers=headers), reception(block, **rules), now)
    assert [event.key for event in result.events] == [key]


def test_long_delivery_ids_are_refused():
    """More than 255 bytes, counted in UTF-8, is invalid."""
    assert isinstance(receive(delivery(headers={"webhook-id": "x" * 255}), Reception(), now), Accepted)
    refused = receive(delivery(headers={"webhook-id": "한" * 86}), Reception(), now)
    assert (refused.reason, refused.code) == ("invalid", "dedupe_key_too_long")


def test_a_bad_signature_is_rejected_before_anything_else():
    """Filters and verified handshakes are not reached, and the body is not even parsed."""
    rules = Reception(verify=(github,), filter=Template(broken))
    assert receive(delivery(b"{"), rules, now).reason == "invalid_signature"


def test_repeated_signature_headers_are_refused():
    """A header that came twice counts as missing for the signature."""
    _, body, headers, moment = published[0]
    assert isinstance(receive(delivery(body, headers=headers), Reception(verify=(github,)), moment), Accepted)
    twice = delivery(body, headers=headers, repeated=frozenset(headers))
    assert receive(twice, Reception(verify=(github,)), moment).reason == "invalid_signature"


def handshake(when, *, verified: bool) -> dict:
    body = Template(lambda scope: scope["req"]["body"]["challenge"])
    return {"when": Template(when), "verified": verified, "respond": {"status": 200, "headers": None, "body": body}}


def test_handshakes():
    """An unverified one is answered before the signature is looked at, a verified one after it."""

    def is_challenge(scope):
        return scope["req"]["body"]["type"] == "challenge"

    body = json.dumps({"type": "challenge", "challenge": "abc"}).encode()
    early = Reception(verify=(github,), handshake=(handshake(is_challenge, verified=False),))
    assert receive(delivery(body), early, now) == Handshake(Answer(200, {}, "abc"))
    late = Reception(verify=(github,), handshake=(handshake(is_challenge, verified=True),))
    assert receive(delivery(body), late, now).reason == "invalid_signature"
    assert isinstance(receive(delivery(body), Reception(handshake=late.handshake), now), Handshake)


def test_unverified_handshakes_that_cannot_be_evaluated_do_not_hold():
    """A stranger's body that a handshake cannot read is simply no handshake."""
    rules = Reception(verify=(github,), handshake=(handshake(broken, verified=False),))
    assert receive(delivery(), rules, now).reason == "invalid_signature"


@pytest.mark.parametrize(
    ("items", "output", "code"),
    [
        (1_000, literal(1), None),
        (1_001, literal(1), "too_many_events"),
        (17, literal("x" * 1024 * 1024), "events_too_large"),
        (1, literal("x" * 20 * 1024 * 1024), "events_too_large"),
    ],
)
def test_what_one_delivery_may_hold(items, output, code):
    """More than a thousand events, or larger ones than 16 MiB together, are invalid as a whole."""
    found = receive(delivery(), Reception(split=literal([0] * items), output=output), now)
    assert (found.code if isinstance(found, Rejected) else None) == code
    assert code or len(found.events) == items


def test_filter_and_split():
    """False: filtered. An array gives one event each, ids told apart; an empty one none."""
    rules = {"split": Template(lambda scope: scope["req"]["body"]), "output": Template(lambda scope: scope["item"])}
    sent = delivery(b"[1, 2]", headers={"webhook-id": "a"})
    assert receive(sent, reception(rules), now) == Accepted((Event("a:0", 1), Event("a:1", 2)))
    own = {**rules, "dedupe_key": Template(lambda scope: scope["item"])}
    assert [event.key for event in receive(sent, reception(own), now).events] == ["1", "2"]
    assert receive(delivery(b"[]"), reception(rules), now) == Filtered()
    assert receive(delivery(), Reception(filter=literal(False)), now) == Filtered()


def test_broken_templates_are_invalid():
    """An error while digesting a genuine delivery is invalid, with the template's code."""
    assert receive(delivery(), Reception(output=Template(broken)), now) == Rejected(
        "invalid", "template_undefined", "req.body.x is missing"
    )


def test_answers():
    """`respond` is evaluated; a header with a line break is left out."""
    headers = literal({"x-ok": 1, "x-bad": "a\r\nb", "x-none": None})
    rules = Reception(respond={"status": 200, "headers": headers, "body": literal({"ok": True})})
    assert receive(delivery(), rules, now).answer == Answer(200, {"x-ok": "1"}, {"ok": True})


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        *((b"", None), (b"12", 12), (b'"a"', "a"), (b"null", None), (b"a=1&b=2", "a=1&b=2"), (b"{", "{")),
        *((b"NaN", "NaN"), (b"\xff", "\ufffd"), (b'{"a": "x\\u0000"}', {"a": "x\ufffd"}), (b"[1e999]", [None])),
        *((b"123456789012345678901", "123456789012345678901"), (b'"\\ud800"', "\ufffd"), (b"9" * 5000, "9" * 5000)),
        ("\ufeff{}".encode(), "\ufeff{}"),
    ],
)
def test_bodies(raw, value):
    """The JSON value where it is JSON, else text; what no store takes is mended visibly."""
    assert parse_body(raw) == value


@pytest.mark.parametrize("raw", [b"[" * 201 + b"]" * 201, b"[" * 100_000])
def test_bottomless_bodies(raw):
    """A body nested deeper than anything can store is invalid, or text if it is no JSON; never a crash."""
    result = receive(delivery(raw), Reception(), now)
    assert isinstance(result, Accepted) or result.code == "too_deep"
