"""RSS 2.0, RSS 1.0 and Atom as one shape: `{title, link, entries: [{id, title, link, published, …}]}`."""

from email.utils import parsedate_to_datetime
from typing import Any

from taske_ray.core.capability.exchange.xml import Element, parse
from taske_ray.core.times import format_time, parse_time


def read_feed(text: str) -> dict[str, Any]:
    """A feed as data, times in RFC 3339; ValueError for what is none."""
    root = parse(text)
    head = root if root.name == "feed" else root.first("channel")
    if head is None or root.name not in ("feed", "rss", "RDF"):
        raise ValueError("not a feed")
    entries = head.every("entry") if root.name == "feed" else head.every("item") or root.every("item")
    return {"title": _text(head, "title"), "link": _link(head), "entries": [_entry(each) for each in entries]}


def _entry(element: Element) -> dict[str, Any]:
    return {
        "id": _text(element, "id", "guid") or element.attributes.get("about"),
        "title": _text(element, "title"),
        "link": _link(element),
        "published": _time(_text(element, "published", "pubDate", "issued", "date", "updated")),
        "updated": _time(_text(element, "updated", "modified", "date")),
        "summary": _text(element, "summary", "description"),
        "content": _text(element, "content", "encoded"),
        "author": _author(element),
    }


def _text(element: Element, *names: str) -> str | None:
    for name in names:
        for child in element.every(name):
            text = child.all_text()
            if text:
                return text
    return None


def _link(element: Element) -> str | None:
    """The page that an entry is about: RSS writes it as text, Atom as `href` of the alternate link."""
    links = element.every("link")
    for link in links:
        if link.attributes.get("rel", "alternate") == "alternate" and link.attributes.get("href"):
            return link.attributes["href"]
    return next((link.text for link in links if link.text), None)


def _author(element: Element) -> str | None:
    author = element.first("author")
    name = author.first("name") if author is not None else None
    return (name.text or None) if name is not None else _text(element, "author", "creator")


def _time(text: str | None) -> str | None:
    """RFC 3339 for a time of RSS (RFC 822) or Atom; None for what is neither."""
    if text is None:
        return None
    for read in (parse_time, parsedate_to_datetime):
        try:
            return format_time(read(text))
        except (ValueError, TypeError, IndexError):
            continue
    return None
