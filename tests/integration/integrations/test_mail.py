"""Mails against a real SMTP server, and against one that breaks off."""

import asyncio
import email
from email.policy import default

import pytest

from taske_ray.core.outcome import ErrorClass
from taske_ray.errors import Invalid, StartRefused
from taske_ray.integrations.failures import MaybeSent, NotSent, Refused
from taske_ray.integrations.mail import Mail, read_smtp_url, send_mail, write_message
from tests.integration.integrations.inbox import receiving

MAIL = Mail(["bob@example.com"], "안녕 hello", "plain text", None, "<mail_1@taske>", "Taske <taske@example.com>")


def mail(**changes):
    """The mail above with changes."""
    return Mail(**{**{name: getattr(MAIL, name) for name in Mail.__slots__}, **changes})


@pytest.fixture
async def inbox():
    """A running SMTP server."""
    async with receiving() as found:
        yield found


def parsed(envelope):
    """The received mail."""
    return email.message_from_bytes(envelope.content, policy=default)


async def test_a_mail_arrives(inbox):
    """Subject, text, addresses and Message-ID arrive as written."""
    assert await send_mail(inbox.url, MAIL) == ()
    [envelope] = inbox.envelopes
    message = parsed(envelope)
    assert (envelope.mail_from, envelope.rcpt_tos) == ("taske@example.com", ["bob@example.com"])
    assert (message["subject"], message["message-id"]) == (MAIL.subject, MAIL.message_id)
    assert message["from"].addresses[0].display_name == "Taske"
    assert message.get_content().strip() == "plain text"


async def test_html_comes_with_text(inbox):
    """HTML goes with a plain alternative, given or made."""
    await send_mail(inbox.url, mail(html="<p>Hi <b>Bob</b></p>", text="Hi Bob"))
    await send_mail(inbox.url, mail(html="<p>Hi <b>Bob</b></p>", text=None))
    for envelope in inbox.envelopes:
        message = parsed(envelope)
        assert message.get_body(["html"]).get_content().strip() == "<p>Hi <b>Bob</b></p>"
        assert message.get_body(["plain"]).get_content().split() == ["Hi", "Bob"]


async def test_refused_recipients_are_told(inbox):
    """Some refused: the others get it and we learn who did not; all refused: a failure for good."""
    assert await send_mail(inbox.url, mail(to=["bob@example.com", "nobody@example.com"])) == ("nobody@example.com",)
    assert inbox.envelopes[0].rcpt_tos == ["bob@example.com"]
    with pytest.raises(Refused) as raised:
        await send_mail(inbox.url, mail(to=["nobody@example.com"]))
    assert raised.value.error_class is ErrorClass.INVALID


async def test_a_busy_server_is_asked_later(inbox):
    """A 4xx answer is a failure that may pass."""
    with pytest.raises(Refused) as raised:
        await send_mail(inbox.url, mail(text="busy"))
    assert raised.value.error_class is ErrorClass.TRANSIENT


async def test_nobody_there_is_not_sent():
    """A refused connection sent nothing."""
    with pytest.raises(NotSent):
        await send_mail("smtp://127.0.0.1:1", MAIL)


@pytest.mark.parametrize(("closes_at", "error"), [(b"MAIL", NotSent), (b"RCPT", NotSent), (b".\r\n", MaybeSent)])
async def test_breaking_off_is_unknown_only_after_the_text(closes_at, error):
    """A server that goes away in the envelope did not take the mail; one that goes after the text may have."""

    async def talk(reader, writer):
        writer.write(b"220 hi\r\n")
        answers = {b"EHLO": b"250 ok\r\n", b"MAIL": b"250 ok\r\n", b"RCPT": b"250 ok\r\n", b"DATA": b"354 go\r\n"}
        while line := await reader.readline():
            if line.startswith(closes_at):
                break
            writer.write(answers.get(line[:4], b""))
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    with pytest.raises(error):
        await send_mail(f"smtp://127.0.0.1:{server.sockets[0].getsockname()[1]}", MAIL)
    server.close()


@pytest.mark.parametrize(
    "changes",
    [
        {"subject": "x\r\nBcc: eve@example.com"},
        {"subject": "x\nBcc: eve@example.com"},
        {"to": ["bob@example.com\r\nBcc: eve@example.com"]},
        {"to": ["bob@example.com, eve@example.com"]},
        {"to": ["bob@example.com eve@example.com"]},
        {"to": ["bob"]},
        {"to": ["@example.com"]},
        {"to": [f"{'x' * 250}@example.com"]},
        {"to": []},
        {"sender": "a@b.example\r\nX: y"},
        {"message_id": "<a@b>\r\nX: y"},
    ],
)
def test_headers_cannot_be_smuggled(changes):
    """Line breaks and second addresses are refused before anything is sent."""
    with pytest.raises(Invalid):
        write_message(mail(**changes))


def test_addresses_of_the_world():
    """An international domain is written in ASCII, an international name as it is."""
    message = write_message(mail(to=["Bücher <bob@bücher.example>", "짱@example.com"]))
    assert [address.addr_spec for address in message["to"].addresses] == ["bob@xn--bcher-kva.example", "짱@example.com"]


def test_the_smtp_url_is_read():
    """User and password are decoded; smtps means TLS from the start; anything else stops the start."""
    server = read_smtp_url("smtps://me%40x:p%3Aw@mail.example")
    assert (server.host, server.port, server.username, server.password) == ("mail.example", 465, "me@x", "p:w")
    assert server.tls_from_start
    for url in ("http://mail.example", "smtp://", "mail.example:25", "smtp://h:99999"):
        with pytest.raises(StartRefused):
            read_smtp_url(url)
