"""Deliveries and Verify blocks that anybody could send or write: a decision comes out, and never the wrong one."""

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from taske_ray.core.capability import parse_verify
from taske_ray.core.signature import is_genuine
from taske_ray.core.webhook import Accepted, Delivery, Filtered, Handshake, Rejected, receive, reception
from taske_ray.errors import Invalid, TemplateError

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SECRET = "topsecret-topsecret"
names = st.sampled_from(["x-signature", "x-timestamp", "x-token", "webhook-id", "authorization", "content-type", "a"])
odd = st.sampled_from(
    ["", " ", "sha256=", "sha256", "t=1,v1=", "v1,", "=", ",", "null", "NaN", "inf", "-1", "1e400", "9" * 400, "é",
     "\udc80", "0x1", "1_0", "\x00", "==", "....", "{{ hook.secret }}", "a" * 3000]
)  # fmt: skip
headers = st.dictionaries(names, odd | st.text(max_size=20), max_size=6)
bodies = st.binary(max_size=60) | st.sampled_from(
    [b"", b"{", b"[" * 5000, b"\xff", b'{"a": NaN}', b"0" * 5000, b"\xef\xbb\xbf{}"]
)

texts = st.sampled_from(
    ["{{ req.headers['x-signature'] }}", "{{ req.headers['x-token'] }}", "{{ req.headers['x-timestamp'] }}",
     "{{ req.body.a }}", "{{ req.query.q }}", "{{ parts.t }}", "{{ parts.v1 }}", "{{ parts['v1'][0] }}", "fixed", "",
     "{{ req.headers['x-signature'] | split: '=' | last }}", "{{ nope", "{{ req }}", "{{ req.headers }}", SECRET]
)  # fmt: skip
signatures = st.fixed_dictionaries(
    {},
    optional={
        "value": texts,
        "any_of": texts,
        "prefix": st.sampled_from(["", "sha256=", "v1,"]),
        "encoding": st.sampled_from(["hex", "base64", "base64url", "utf8", "rot13"]),
    },
)
entries = st.fixed_dictionaries(
    {"type": st.sampled_from(["hmac", "token", "jwt", ""])},
    optional={
        "secret": texts,
        "value": texts,
        "signed": st.lists(texts | st.just({"raw": True}) | st.just({"raw": False}), max_size=4),
        "signature": signatures,
        "algorithm": st.sampled_from(["sha256", "sha1", "sha512", "md5", "none", None]),
        "secret_encoding": st.sampled_from(["utf8", "hex", "base64", "x"]),
        "parse": st.fixed_dictionaries(
            {"value": texts}, optional={"pairs": st.sampled_from([",", "", ";"]), "kv": st.sampled_from(["=", "", ":"])}
        ),
        "timestamp": st.fixed_dictionaries(
            {"value": texts}, optional={"unit": st.sampled_from(["s", "ms", "h"]), "tolerance_s": st.integers(-5, 9999)}
        ),
    },
)
quick = settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow], deadline=None)


def _delivery(body, given_headers, repeated=frozenset()):
    return Delivery("POST", "/hooks", body, "2026-01-01T00:00:00Z", given_headers, {"q": "x"}, frozenset(repeated))


def _parsed(entry):
    try:
        return parse_verify(entry)
    except (Invalid, TemplateError):
        return None


@quick
@given(entries, bodies, headers, st.sets(names))
def test_any_verify_block_and_any_delivery(entry, body, given_headers, repeated):
    """The block is refused with a pointer or decides; what it decides is one of four, and nothing else comes out."""
    compiled = _parsed(entry)
    if compiled is None:
        return
    rules = reception({}, verify=[compiled], scope={"params": {}, "hook": {}, "conn": {"config": {}, "secret": {}}})
    found = receive(_delivery(body, given_headers, repeated), rules, NOW)
    assert isinstance(found, Accepted | Rejected | Handshake | Filtered)
    if isinstance(found, Accepted):
        # a stranger who knows no secret got in only where the block takes what the sender says for the secret
        assert entry.get("secret") != SECRET or SECRET in str(given_headers) + str(entry.get("value"))


SIGNED = parse_verify(
    {
        "type": "hmac",
        "secret": SECRET,
        "parse": {"value": "{{ req.headers['x-signature'] }}"},
        "signed": ["{{ parts.t[0] }}", ".", {"raw": True}],
        "timestamp": {"value": "{{ parts.t[0] }}"},
        "signature": {"any_of": "{{ parts.v1 }}"},
    }
)


def _signed(body, moment, secret=SECRET):
    stamp = str(int(moment.timestamp()))
    digest = hmac.new(secret.encode(), stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    return stamp, digest


@quick
@given(bodies, st.integers(-299, 299), st.lists(st.text("0123456789abcdef", min_size=64, max_size=64), max_size=2))
def test_a_right_signature_passes_among_others(body, seconds, others):
    """Within five minutes, in both directions, whatever else is in the header."""
    stamp, digest = _signed(body, NOW + timedelta(seconds=seconds))
    header = ",".join([f"t={stamp}", *[f"v1={each}" for each in others], f"v1={digest}", "v0=x"])
    assert is_genuine([SIGNED], body, {"req": {"headers": {"x-signature": header}}}, NOW)


def _changed(data, digest):
    at = data.draw(st.integers(0, 63))
    flipped = digest[:at] + ("0" if digest[at] != "0" else "1") + digest[at + 1 :]
    changed = {
        "flip": flipped,
        "cut": digest[:at],
        "grow": digest + "00",
        "case": flipped.upper(),
        "space": flipped + " ",
        "base64": base64.b64encode(bytes.fromhex(digest)).decode(),
        "other secret": hmac.new(b"x", b"", hashlib.sha256).hexdigest(),
        "empty": "",
        "twice": flipped + flipped,
    }
    return changed[data.draw(st.sampled_from(sorted(changed)))]


@quick
@given(bodies, st.data())
def test_no_wrong_signature_passes(body, data):
    """A flipped digit, a cut, another body, another time, a header said twice: never genuine."""
    stamp, digest = _signed(body, NOW)
    scope = {"req": {"headers": {"x-signature": f"t={stamp},v1={_changed(data, digest)}"}}}
    assert not is_genuine([SIGNED], body, scope, NOW)
    good = {"x-signature": f"t={stamp},v1={digest}"}
    assert not is_genuine([SIGNED], body + b"x", {"req": {"headers": good}}, NOW)
    late = NOW + timedelta(seconds=data.draw(st.integers(301, 10**8)))
    assert not is_genuine([SIGNED], body, {"req": {"headers": good}}, late)
    twice = receive(_delivery(body, good, {"x-signature"}), reception({}, verify=[SIGNED]), NOW)
    assert isinstance(twice, Rejected)
    assert twice.reason == "invalid_signature"


_hmac = {"type": "hmac", "signed": [{"raw": True}]}


@quick
@given(headers)
def test_no_header_stands_in_for_a_secret(given_headers):
    """An empty or missing secret, token or timestamp never passes, whatever is sent."""
    for secret in ("{{ req.query.missing }}", "{{ req.query.none }}", "{{ req.query.nothing }}"):
        for entry in (
            {"type": "token", "value": "{{ req.headers['x-token'] }}", "secret": secret},
            _hmac | {"secret": secret, "signature": {"value": "{{ req.headers.a }}"}},
        ):
            made = hmac.new(b"", b"{}", hashlib.sha256).hexdigest()
            query = {"nothing": None, "none": ""}
            scope = {"req": {"headers": {**given_headers, "a": made, "x-token": ""}, "query": query}}
            assert not is_genuine([parse_verify(entry)], b"{}", scope, NOW)


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=3), inner),
    )
)
def test_whatever_json_is_sent_is_only_data(value):
    """A body is what it is: a template in it stays text, and its content type makes it nothing else."""
    for kind in ("application/json", "text/xml", "application/x-yaml", "multipart/form-data; boundary=x"):
        found = receive(_delivery(json.dumps(value).encode(), {"content-type": kind}), reception({}), NOW)
        assert isinstance(found, Accepted)
