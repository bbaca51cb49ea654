"""Signatures of providers: those that they publish and those of their own libraries pass; altered ones are refused."""

import hashlib
import hmac
from datetime import UTC, datetime, timedelta

import pytest
import stripe
from slack_sdk.signature import SignatureVerifier
from standardwebhooks.webhooks import Webhook

from taske_ray.catalog.registry import load_modules
from taske_ray.core.capability import parse_verify
from taske_ray.core.webhook import Accepted, Delivery, Filtered, Reception, Rejected, receive, reception

MODULES = load_modules()
NOW = datetime(2026, 1, 5, tzinfo=UTC)


def worth(rules, body, headers, now=NOW):
    """What the delivery of this body is worth."""
    at = now.isoformat().replace("+00:00", "Z")
    return receive(Delivery("POST", "/hooks/x", body, at, {k.lower(): v for k, v in headers.items()}), rules, now)


def is_genuine(rules, body, headers, now=NOW):
    """Whether the signature was good, whatever became of the delivery."""
    found = worth(rules, body, headers, now)
    return not (isinstance(found, Rejected) and found.reason == "invalid_signature")


def refused_when_altered(rules, body, headers, now=NOW, *, signs_body=True):
    """Another byte of the body, of any header, a missing header or an empty one: each alone is refused."""
    assert is_genuine(rules, body, headers, now)
    assert not signs_body or not is_genuine(rules, body + b" ", headers, now)
    for name, value in headers.items():
        for changed in (value[:-1] + ("0" if value[-1] != "0" else "1"), "", value + "0"):
            assert not is_genuine(rules, body, headers | {name: changed}, now), (name, changed)
        assert not is_genuine(rules, body, {n: v for n, v in headers.items() if n != name}, now), name


def own(name, secret, **params):
    """The reception of a trigger of the catalog with this secret."""
    capability = MODULES[name.partition(".")[0]].capabilities[name]
    scope = {"params": capability.params.scope(params), "conn": {"config": {}}, "hook": {"state": {"secret": secret}}}
    return reception(capability.webhook, scope=scope)


def test_github_as_its_documentation_says():
    """The example of GitHub's page on validating deliveries."""
    signature = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    rules = own("github.repo.event", "It's a Secret to Everybody", events=["issues"])
    refused_when_altered(rules, b"Hello, World!", {"X-Hub-Signature-256": signature})


def test_slack_as_its_documentation_says():
    """The example of Slack's page on verifying requests, at its time; a quarter of an hour later it is refused."""
    body = (
        b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V"
        b"&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text="
        b"&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN"
        b"&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
    )
    headers = {
        "X-Slack-Request-Timestamp": "1531420618",
        "X-Slack-Signature": "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503",
    }
    block = MODULES["slack"].app_webhook
    scope = {"app": {"secret": {"signing_secret": "8f742231b10e8888abcd99yyyzzz85a5"}}}
    rules, then = Reception(verify=block["verify"], scope=scope), datetime.fromtimestamp(1531420618, UTC)
    refused_when_altered(rules, body, headers, then)
    assert not is_genuine(rules, body, headers, then + timedelta(minutes=15))


def test_slack_as_its_library_signs():
    """What slack_sdk signs is genuine."""
    at = str(int(NOW.timestamp()))
    signature = SignatureVerifier("secret").generate_signature(timestamp=at, body="{}")
    block = MODULES["slack"].app_webhook
    rules = Reception(verify=block["verify"], scope={"app": {"secret": {"signing_secret": "secret"}}})
    refused_when_altered(rules, b"{}", {"X-Slack-Request-Timestamp": at, "X-Slack-Signature": signature})


def test_stripe_as_its_library_checks():
    """A header that stripe's own library accepts is accepted, other schemes beside it or not; late it is not."""
    body, secret, now = (
        b'{"id":"evt_1","object":"event","type":"x","data":{"object":{}}}',
        "whsec_test",
        datetime.now(UTC),
    )
    at = int(now.timestamp())
    v1 = hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    header = f"t={at},v1={'0' * 64},v1={v1},v0={'1' * 64}"
    assert stripe.Webhook.construct_event(body, header, secret)["id"] == "evt_1"
    rules = own("stripe.event", secret)
    assert isinstance(worth(rules, body, {"Stripe-Signature": header}, now), Accepted)
    assert not is_genuine(rules, body, {"Stripe-Signature": f"t={at},v0={v1}"}, now)
    assert not is_genuine(rules, body, {"Stripe-Signature": f"t={at + 1},v1={v1}"}, now)
    assert not is_genuine(rules, body, {"Stripe-Signature": header}, now + timedelta(minutes=6))


STANDARD = {
    "type": "hmac",
    "secret": "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    "secret_encoding": "base64",
    "parse": {"value": "{{ req.headers['webhook-signature'] }}", "pairs": " ", "kv": ","},
    "signed": [
        "{{ req.headers['webhook-id'] }}",
        ".",
        "{{ req.headers['webhook-timestamp'] }}",
        ".",
        {"raw": True},
    ],
    "signature": {"any_of": "{{ parts.v1 }}", "encoding": "base64"},
    "timestamp": {"value": "{{ req.headers['webhook-timestamp'] }}", "unit": "s"},
}


def test_standard_webhooks_as_published():
    """The example of the Standard Webhooks specification, at its time."""
    headers = {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }
    rules = Reception(verify=[parse_verify(STANDARD)], scope={})
    then = datetime.fromtimestamp(1614265330, UTC)
    assert is_genuine(rules, b'{"test": 2432232314}', headers, then)
    assert not is_genuine(rules, b'{"test": 2432232315}', headers, then)
    for name in headers:
        assert not is_genuine(rules, b'{"test": 2432232314}', {n: v for n, v in headers.items() if n != name}, then)


def test_standard_webhooks_as_the_library_signs():
    """What the reference library signs is genuine, also beside another key's signature; its id names the delivery."""
    signer = Webhook(f"whsec_{STANDARD['secret']}")
    signature = signer.sign("msg_1", NOW, '{"a":1}')
    headers = {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(int(NOW.timestamp())),
        "webhook-signature": f"v1,{'A' * 43}= {signature}",
    }
    found = worth(Reception(verify=[parse_verify(STANDARD)], scope={}), b'{"a":1}', headers)
    assert isinstance(found, Accepted)
    assert found.events[0].key == "msg_1"


@pytest.mark.parametrize(("name", "header"), [("telegram.message.received", "X-Telegram-Bot-Api-Secret-Token"),
                                              ("gitlab.project.event", "X-Gitlab-Token")])  # fmt: skip
def test_tokens_that_are_compared_as_they_are(name, header):
    """The whole token and nothing but the token."""
    rules = own(name, "s3cret-token", project="1", events=["issues"])
    refused_when_altered(rules, b'{"message":{}}', {header: "s3cret-token"}, signs_body=False)
    assert isinstance(worth(rules, b'{"message":{}}', {header: "s3cret-token"}), Accepted | Filtered)
