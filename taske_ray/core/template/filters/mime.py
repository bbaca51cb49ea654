"""An RFC 5322 message from an object. Headers are written by the standard mail library, bodies are 7 bit."""

import base64
import hashlib
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import getaddresses
from typing import Any

from taske_ray.core.template.filters.guard import Filter, FilterError, object_of, string_of
from taske_ray.core.template.limits import Work

most_recipients = 100
longest_subject = 2_000
longest_line = 990
_policy = SMTP.clone(cte_type="7bit", utf8=False)
_breaks = frozenset("\r\n\0\v\f\x1c\x1d\x1e\x85\u2028\u2029")


def _mime(work: Work, value: Any) -> str:
    fields = object_of(value)
    message = EmailMessage(_policy)
    recipients = {name: _addresses(fields.get(name)) for name in ("to", "cc", "bcc")}
    count = sum(map(len, recipients.values()))
    if count == 0:
        raise FilterError("there is no recipient")
    if count > most_recipients:
        raise FilterError(f"there are more than {most_recipients} recipients")
    work.charge(count * 40_000)
    for name, key in (("From", "from"), ("Reply-To", "reply_to")):
        recipients[name] = _addresses(fields.get(key))
    for name in ("From", "to", "cc", "bcc", "Reply-To"):
        if recipients[name]:
            message[name.title()] = recipients[name]
    _add_subject(work, message, fields.get("subject"))
    message["MIME-Version"] = "1.0"
    _add_body(work, message, _body(fields.get("text")), _body(fields.get("html")))
    return message.as_bytes(policy=_policy).decode("ascii")


def _addresses(value: Any) -> list[Address]:
    entries = [] if value is None else value if isinstance(value, list) else [value]
    return [_address(string_of(entry)) for entry in entries if entry is not None and entry != ""]


def _address(text: str) -> Address:
    """One mailbox, like `a@b.example` or `Name <a@b.example>`; FilterError for anything else."""
    _check_header(text)
    found = getaddresses([text]) if len(text) <= longest_line else []
    if len(found) != 1 or "@" not in found[0][1]:
        raise FilterError("a recipient is not one mail address")
    try:
        return Address(display_name=found[0][0], addr_spec=found[0][1])
    except Exception:  # noqa: BLE001 - the parser of the standard library leaks IndexError and the like
        raise FilterError("a recipient is not one mail address") from None


def _check_header(text: str) -> None:
    if not _breaks.isdisjoint(text):
        raise FilterError("a header contains a line break")


def _add_subject(work: Work, message: EmailMessage, value: Any) -> None:
    if value is None:
        return
    subject = string_of(value)
    _check_header(subject)
    if len(subject) > longest_subject:
        raise FilterError("the subject is longer than 2,000 characters")
    work.charge(len(subject) * 1_000)
    message["Subject"] = subject


def _body(value: Any) -> str | None:
    return None if value is None else string_of(value)


def _add_body(work: Work, message: EmailMessage, text: str | None, html: str | None) -> None:
    """One part, or both as alternatives. The boundary is derived from them: every retry sends the same bytes."""
    work.charge(20 * (len(text or "") + len(html or "")))
    if text is None or html is None:
        kind, content = ("html", html) if text is None and html is not None else ("plain", text or "")
        _fill(message, kind, content)
        return
    digest = hashlib.sha256(f"{len(text)}:{text}{html}".encode()).hexdigest()
    message["Content-Type"] = f'multipart/alternative; boundary="=_{digest[:32]}"'
    for kind, content in (("plain", text), ("html", html)):
        part = EmailMessage(_policy)
        _fill(part, kind, content)
        message.attach(part)


def _fill(part: EmailMessage, kind: str, content: str) -> None:
    lines = content.replace("\r\n", "\n").replace("\r", "\n")
    plain = lines.isascii() and all(len(line) <= longest_line for line in lines.split("\n"))
    part["Content-Type"] = f'text/{kind}; charset="{"us-ascii" if plain else "utf-8"}"'
    part["Content-Transfer-Encoding"] = "7bit" if plain else "base64"
    encoded = lines if plain else base64.encodebytes(lines.replace("\n", "\r\n").encode()).decode()
    part.set_payload(encoded)


filters = (Filter("mime", _mime, factor=20),)
