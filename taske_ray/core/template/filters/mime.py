"""An RFC 5322 message from an object: 7 bit, CRLF, and the same bytes for the same object.

Header values are encoded by the standard mail library. Addresses are matched and not parsed: its parser accepts what no
mail system does, and is slow or recursive for some inputs.
"""

import base64
import hashlib
import re
from email.header import Header
from email.utils import formataddr
from typing import Any

from taske_ray.core.template.filters.guard import Filter, FilterError, object_of, string_of
from taske_ray.core.template.limits import Work

most_recipients = 500
longest_header = 2_000
longest_name = 200
longest_line = 990
_breaks = frozenset("\r\n\0\v\f\x1c\x1d\x1e\x85\u2028\u2029")
_local, _domain = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,64}", r"[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){0,20}"
_address = re.compile(rf"{_local}@{_domain}")
_mailbox = re.compile(rf"([^<>]*)<\s*({_local}@{_domain})\s*>")
_headers = (("From", "from"), ("To", "to"), ("Cc", "cc"), ("Bcc", "bcc"), ("Reply-To", "reply_to"))


def _mime(work: Work, value: Any) -> str:
    fields = object_of(value)
    boxes = {name: [_box(work, entry) for entry in _entries(fields.get(key))] for name, key in _headers}
    count = sum(len(boxes[name]) for name in ("To", "Cc", "Bcc"))
    if not 0 < count <= most_recipients:
        raise FilterError("there is no recipient" if count == 0 else "there are more than 500 recipients")
    lines = [f"{name}: " + ",\r\n ".join(found) for name, found in boxes.items() if found]
    if fields.get("subject") is not None:
        lines.append("Subject: " + _encoded(work, string_of(fields["subject"]), "Subject"))
    text, html = (_body(fields.get(key)) for key in ("text", "html"))
    work.charge(20 * (len(text or "") + len(html or "")))
    return "\r\n".join([*lines, "MIME-Version: 1.0", *_content(text, html)])


def _entries(value: Any) -> list[str]:
    entries = value if isinstance(value, list) else [value]
    return [string_of(entry) for entry in entries if entry is not None and entry != ""]


def _box(work: Work, entry: str) -> str:
    """One mailbox, `a@b.example` or `Name <a@b.example>`, encoded; FilterError for anything else."""
    _check_header(entry)
    text = entry.strip()
    if len(text) <= longest_line and _address.fullmatch(text):
        return text
    found = _mailbox.fullmatch(text) if len(text) <= longest_line else None
    name = _unquoted(found[1].strip()) if found else ""
    if found is None or len(name) > longest_name:
        raise FilterError("a mailbox is not one address like 'Name <a@b.example>'")
    return formataddr((name, found[2])) if name.isascii() else f"{_encoded(work, name, 'To')} <{found[2]}>"


def _unquoted(name: str) -> str:
    quoted = len(name) > 1 and name.startswith('"') and name.endswith('"')
    return name[1:-1].replace('\\"', '"').replace("\\\\", "\\") if quoted else name


def _check_header(text: str) -> None:
    if not _breaks.isdisjoint(text):
        raise FilterError("a header contains a line break")


def _encoded(work: Work, text: str, name: str) -> str:
    """Text as a header value, folded: as it is if it is short and ASCII, else in encoded words (RFC 2047)."""
    _check_header(text)
    if len(text) > longest_header:
        raise FilterError("a header is longer than 2,000 characters")
    work.charge(2_000 + len(text) * 500)
    if text.isascii() and text.isprintable() and len(text) <= longest_name and "=?" not in text:
        return text
    return Header(text, "utf-8", header_name=name).encode(linesep="\r\n", maxlinelen=76)


def _body(value: Any) -> str | None:
    return None if value is None else string_of(value)


def _content(text: str | None, html: str | None) -> list[str]:
    """The lines from the content type on: one part, or both as alternatives.

    The boundary is derived from them, so that every retry sends the same bytes and no body can contain it.
    """
    if text is None or html is None:
        return _part("plain", text or "") if html is None else _part("html", html)
    boundary = "=_" + hashlib.sha256(f"{len(text)}:{text}{html}".encode()).hexdigest()[:32]
    parts = [line for part in (_part("plain", text), _part("html", html)) for line in (f"--{boundary}", *part)]
    return [f'Content-Type: multipart/alternative; boundary="{boundary}"', "", *parts, f"--{boundary}--", ""]


def _part(kind: str, content: str) -> list[str]:
    lines = content.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    plain = content.isascii() and "\0" not in content and all(len(line) <= longest_line for line in lines)
    head = [
        f'Content-Type: text/{kind}; charset="{"us-ascii" if plain else "utf-8"}"',
        f"Content-Transfer-Encoding: {'7bit' if plain else 'base64'}",
        "",
    ]
    if plain:
        return [*head, *lines]
    return [*head, *base64.encodebytes("\r\n".join(lines).encode()).decode("ascii").split("\n")]


filters = (Filter("mime", _mime, factor=2),)
