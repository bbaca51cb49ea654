"""The filter that writes mail."""

import email
import email.policy

import pytest

mail = {
    "to": ["a@b.example", "한글 이름 <c@d.example>"],
    "subject": "안녕하세요 " * 20,
    "text": "hé\r\nllo",
    "html": "<b>x</b>",
}


def parsed(text):
    """The message as the standard library reads it."""
    return email.message_from_bytes(text.encode("ascii"), policy=email.policy.SMTP)


def test_a_mail_reads_back(engine):
    """Recipients, subject and both bodies come back as they were; the wire form is 7 bit with CRLF."""
    text = engine.value("{{ m | mime }}", {"m": {**mail, "cc": "e@f.example", "from": '"X, Y" <x@y.example>'}})
    message = parsed(text)
    assert [str(address) for address in message["to"].addresses] == ["a@b.example", "한글 이름 <c@d.example>"]
    assert message["cc"] == "e@f.example"
    assert message["from"].addresses[0].display_name == "X, Y"
    assert message["subject"].strip() == mail["subject"].strip()
    plain, html = message.iter_parts()
    assert plain.get_content() == "hé\nllo".replace("\n", "\r\n") or plain.get_content() == "hé\nllo"
    assert html.get_content().strip() == "<b>x</b>"
    assert "\n" not in text.replace("\r\n", "")
    assert max(map(len, text.split("\r\n"))) <= 998


def test_the_same_mail_is_the_same_bytes(engine):
    """The boundary is derived from the content, so that every retry sends the same body."""
    once, again = (engine.value("{{ m | mime }}", {"m": mail}) for _ in range(2))
    other = engine.value("{{ m | mime }}", {"m": {**mail, "text": "other"}})
    assert once == again
    assert parsed(once).get_boundary() != parsed(other).get_boundary()


@pytest.mark.parametrize(("field", "kind"), [("text", "text/plain"), ("html", "text/html")])
def test_one_body_is_one_part(engine, field, kind):
    """Without an alternative there is no multipart."""
    message = parsed(engine.value("{{ m | mime }}", {"m": {"to": "a@b.example", field: "x" * 2000}}))
    assert message.get_content_type() == kind
    assert message.get_content().strip() == "x" * 2000


@pytest.mark.parametrize(
    "bad",
    [
        {"to": []},
        {"to": None},
        {},
        {"to": ["a@b.example, evil@x.example"]},
        {"to": ["a"]},
        {"to": ["<a@b.example> <c@d.example>"]},
        {"to": [5]},
        {"to": ["a@b.example\r\nBcc: x@y.example"]},
        {"to": ["x\n <a@b.example>"]},
        {"subject": "a\r\nBcc: x@y.example"},
        {"subject": "a\nb"},
        {"subject": "a\u2028b"},
        {"subject": 5},
        {"from": "a\rb <a@b.example>"},
        {"reply_to": "nobody"},
        {"text": 5},
        {"subject": "x" * 3000},
        {"to": ["a@b.example"] * 501},
    ],
)
def test_what_is_no_mail(engine, bad):
    """No recipient, more than one address in an entry, and line breaks in headers are errors."""
    fields = {"to": ["a@b.example"], "text": "x", **bad} if bad else {}
    assert engine.code("{{ m | mime }}", {"m": fields}) == "filter_error"
