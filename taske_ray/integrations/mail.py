"""Sending one mail through the operator's SMTP server. What is to be sent, when and how often is the outbox's matter.

The server is the operator's own choice, so the egress guard does not apply. Nothing is retried here.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8
from email.utils import format_datetime, localtime
from urllib.parse import unquote, urlsplit

import aiosmtplib

from taske_ray.core.outcome import ErrorClass
from taske_ray.core.url import BadUrl, canonical_host
from taske_ray.errors import Invalid, StartRefused
from taske_ray.integrations.failures import MaybeSent, NotSent, Refused

timeout_s = 30.0
_longest_address = 254
_permanent = 500
_default_ports = {"smtp": 25, "smtps": 465}
_local_part = re.compile(r"[^\s\x00-\x1f\x7f,;:<>()\[\]\\\"@]+")


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail: plain text, HTML or both. `message_id` comes from its row, so that a repetition can be recognised."""

    to: Sequence[str]
    subject: str
    text: str | None
    html: str | None
    message_id: str
    sender: str


@dataclass(frozen=True, slots=True)
class SmtpServer:
    """Where mails go, from `TASKE_SMTP_URL`."""

    host: str
    port: int
    username: str | None
    password: str | None
    tls_from_start: bool


async def send_mail(smtp_url: str, mail: Mail) -> tuple[str, ...]:
    """Hand a mail to the server; returns the recipients that it refused while it took others.

    Raises Invalid for a mail that cannot be written, NotSent when it was certainly not taken, MaybeSent when the
    connection broke after its text was on the way, Refused when the server said no (FATAL: for good).
    """
    server = read_smtp_url(smtp_url)
    message = write_message(mail)
    client = aiosmtplib.SMTP(
        hostname=server.host,
        port=server.port,
        username=server.username,
        password=server.password,
        use_tls=server.tls_from_start,
        timeout=timeout_s,
    )
    try:
        await client.connect()
    except (aiosmtplib.SMTPException, OSError) as error:
        raise NotSent("smtp_unreachable", f"The mail server cannot be reached: {type(error).__name__}.") from None
    try:
        return await deliver(client, message, mail)
    finally:
        client.close()


def write_message(mail: Mail) -> EmailMessage:
    """The mail in its wire form; raises Invalid for a line break in a header or an address that is none."""
    if not mail.to:
        raise Invalid.at("/to", "missing", "A mail needs a recipient.")
    addresses = [read_address(address) for address in (mail.sender, *mail.to)]
    plain = all(address.addr_spec.isascii() for address in addresses)
    message = EmailMessage(policy=SMTP if plain else SMTPUTF8)
    try:
        message["From"], message["To"] = addresses[0], addresses[1:]
        message["Subject"] = mail.subject
        message["Message-ID"] = mail.message_id
        message["Date"] = format_datetime(localtime())
        message["Auto-Submitted"] = "auto-generated"
    except ValueError:
        raise Invalid.at("/subject", "bad_characters", "A mail header cannot contain a line break.") from None
    message.set_content(mail.text or "" if mail.html is None or mail.text is not None else _text_for(mail.html))
    if mail.html is not None:
        message.add_alternative(mail.html, subtype="html")
    return message


def read_address(text: str) -> Address:
    """One address, `a@b.example` or `Name <a@b.example>`, its domain in ASCII; raises Invalid."""
    name, spec = "", text.strip()
    if spec.endswith(">") and "<" in spec:
        name, _, spec = spec[:-1].rpartition("<")
    local, _, domain = spec.strip().rpartition("@")
    if len(spec) > _longest_address or not _local_part.fullmatch(local) or re.search(r"[\x00-\x1f\x7f]", text):
        raise Invalid.at("/to", "bad_address", f"{text[:100]!r} is not an e-mail address.")
    try:
        return Address(display_name=name.strip().strip('"'), username=local, domain=canonical_host(domain))
    except (ValueError, BadUrl):
        raise Invalid.at("/to", "bad_address", f"{text[:100]!r} is not an e-mail address.") from None


def read_smtp_url(url: str) -> SmtpServer:
    """`smtp://user:password@host:port`, `smtps` for TLS from the start; raises StartRefused."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise StartRefused("TASKE_SMTP_URL must look like smtp://user:password@host:port") from None
    if parts.scheme not in _default_ports or not parts.hostname:
        raise StartRefused("TASKE_SMTP_URL must look like smtp://user:password@host:port")
    return SmtpServer(
        host=parts.hostname,
        port=port or _default_ports[parts.scheme],
        username=unquote(parts.username) if parts.username else None,
        password=unquote(parts.password) if parts.password else None,
        tls_from_start=parts.scheme == "smtps",
    )


async def deliver(client: aiosmtplib.SMTP, message: EmailMessage, mail: Mail) -> tuple[str, ...]:
    """Hand a written mail over on an open connection; returns and raises like `send_mail`.

    The envelope, then the text: only while the text is on its way can nobody know.
    """
    sender = read_address(mail.sender).addr_spec
    recipients = [read_address(address).addr_spec for address in mail.to]
    options = [] if all(address.isascii() for address in (sender, *recipients)) else ["SMTPUTF8"]
    try:
        await client.mail(sender, options=options)
        refused = await _refused_recipients(client, recipients)
    except aiosmtplib.SMTPResponseException as error:
        raise _answered(error) from None
    except (aiosmtplib.SMTPException, OSError) as error:
        raise NotSent("smtp_broken", f"The mail server went away: {type(error).__name__}.") from None
    try:
        await client.data(message.as_bytes())
    except aiosmtplib.SMTPResponseException as error:
        raise _answered(error) from None
    except (aiosmtplib.SMTPException, OSError) as error:
        raise MaybeSent(f"The mail server went away while it took the mail: {type(error).__name__}.") from None
    return refused


async def _refused_recipients(client: aiosmtplib.SMTP, recipients: list[str]) -> tuple[str, ...]:
    refused: dict[str, aiosmtplib.SMTPResponseException] = {}
    for address in recipients:
        try:
            await client.rcpt(address)
        except aiosmtplib.SMTPResponseException as error:
            refused[address] = error
    if len(refused) == len(recipients):
        raise next(iter(refused.values()))
    return tuple(refused)


def _answered(error: aiosmtplib.SMTPResponseException) -> Refused:
    final = error.code >= _permanent
    message = f"The mail server answered {error.code}: {error.message[:300]}"
    return Refused("smtp_refused", message, ErrorClass.INVALID if final else ErrorClass.TRANSIENT)


def _text_for(html: str) -> str:
    """A plain text for readers without HTML."""
    return re.sub(r"\s*\n\s*", "\n", re.sub(r"<[^>]*>", " ", html)).strip()
