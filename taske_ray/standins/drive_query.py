"""The search language of the Drive API (`q` of files.list): read into a predicate, wrong text refused like Google does.

query  := all ("or" all)*      all := one ("and" one)*      one := "not" one | "(" query ")" | term
term   := field operator value | 'text' "in" "parents"
"""

import operator
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from taske_ray.standins.world import DriveFile

Predicate = Callable[[DriveFile], bool]

_token = re.compile(
    r"\s*(?:(?P<text>'(?:[^'\\]|\\.)*')|(?P<word>[A-Za-z]+)|(?P<operator><=|>=|!=|=|<|>)|(?P<bracket>[()]))", re.DOTALL
)
_comparisons: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


class BadQuery(ValueError):
    """The text is not in the search language."""


@dataclass(frozen=True, slots=True)
class Query:
    """What to look for, and in which folders (asking for an unknown one is an error of its own)."""

    matches: Predicate
    folders: frozenset[str]


def read_query(text: str) -> Query:
    """The query that `q` says; an empty one matches everything. Raises BadQuery."""
    if not text.strip():
        return Query(lambda _: True, frozenset())
    reader = _Reader(list(_tokens(text)))
    matches = reader.any_of()
    reader.end()
    return Query(matches, frozenset(reader.folders))


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    position = 0
    text = text.rstrip()
    while position < len(text):
        found = _token.match(text, position)
        if found is None or found.lastgroup is None:
            raise BadQuery(text[position:])
        yield found.lastgroup, found[found.lastgroup]
        position = found.end()


class _Reader:
    """Recursive descent over the tokens."""

    def __init__(self, tokens: list[tuple[str, str]]) -> None:
        self._tokens = tokens
        self._at = 0
        self.folders: set[str] = set()

    def any_of(self) -> Predicate:
        parts = [self._all_of()]
        while self._take("word", "or"):
            parts.append(self._all_of())
        return lambda file: any(part(file) for part in parts)

    def end(self) -> None:
        if self._at != len(self._tokens):
            raise BadQuery(self._tokens[self._at][1])

    def _all_of(self) -> Predicate:
        parts = [self._one()]
        while self._take("word", "and"):
            parts.append(self._one())
        return lambda file: all(part(file) for part in parts)

    def _one(self) -> Predicate:
        if self._take("word", "not"):
            inner = self._one()
            return lambda file: not inner(file)
        if self._take("bracket", "("):
            inner = self.any_of()
            self._need("bracket", ")")
            return inner
        return self._term()

    def _term(self) -> Predicate:
        kind, value = self._next()
        if kind == "text":
            self._need("word", "in")
            self._need("word", "parents")
            folder = _unquoted(value)
            self.folders.add(folder)
            return lambda file: file.folder == folder
        if kind != "word":
            raise BadQuery(value)
        return self._field(value)

    def _field(self, name: str) -> Predicate:
        how, found = self._next()
        if name == "name" and (how, found) == ("word", "contains"):
            part = self._text()
            return lambda file: _name_contains(file.name, part)
        if how != "operator":
            raise BadQuery(found)
        compare = _comparisons[found]
        if name in ("name", "mimeType") and found in ("=", "!="):
            wanted = self._text()
            return lambda file: compare(file.name if name == "name" else file.mime_type, wanted)
        if name == "trashed" and found in ("=", "!="):
            flag = self._flag()
            return lambda file: compare(file.trashed, flag)
        if name == "modifiedTime":
            moment = _moment(self._text())
            return lambda file: compare(file.modified, moment)
        raise BadQuery(name)

    def _text(self) -> str:
        return _unquoted(self._need("text"))

    def _flag(self) -> bool:
        word = self._need("word")
        if word not in ("true", "false"):
            raise BadQuery(word)
        return word == "true"

    def _next(self) -> tuple[str, str]:
        if self._at == len(self._tokens):
            raise BadQuery("the end")
        self._at += 1
        return self._tokens[self._at - 1]

    def _need(self, kind: str, value: str | None = None) -> str:
        token = self._next()
        if token[0] != kind or (value is not None and token[1] != value):
            raise BadQuery(token[1])
        return token[1]

    def _take(self, kind: str, value: str) -> bool:
        if self._at < len(self._tokens) and self._tokens[self._at] == (kind, value):
            self._at += 1
            return True
        return False


def _unquoted(text: str) -> str:
    r"""Inside quotes only `\'` and `\\` are escapes."""
    inner = text[1:-1]
    if re.search(r"\\[^'\\]", re.sub(r"\\\\", "", inner)):
        raise BadQuery(text)
    return re.sub(r"\\(['\\])", r"\1", inner)


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise BadQuery(text) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _name_contains(name: str, part: str) -> bool:
    """Google matches from the start of a word; scripts that are written without spaces match anywhere."""
    name, part = name.casefold(), part.casefold()
    if not part.isascii():
        return part in name
    return re.search(rf"(?:^|[\W_]){re.escape(part)}", name) is not None
