"""Takes secrets out of everything that is stored to be shown, logged or mailed. The one function is `Redactor.json`.

In this order, and before anything is cut: what is a secret because of where it stands (known headers, query keys, user
information; a field whose template names a secret is masked where the field is built), then each loaded secret by its
value in every spelling in which it travels, then what looks like a secret though none is known. `Redactor.data` does
the second alone: what one step hands to the next must stay what it is, less our own secrets.
"""

import json
import re
from collections.abc import Callable, Iterable
from functools import cached_property
from typing import Any

from taske_ray.core.looks import MASK, may_look_secret, query_keys, without_looks
from taske_ray.core.spellings import spellings

__all__ = ["MASK", "Redactor", "mask_headers", "redact"]

_headers = frozenset(
    {
        *("authorization", "proxy-authorization", "cookie", "set-cookie", "x-api-key", "api-key", "apikey"),
        *("x-auth-token", "x-access-token", "x-csrf-token", "x-goog-api-key", "x-amz-security-token"),
        *("x-vault-token", "private-token", "x-gitlab-token", "x-telegram-bot-api-secret-token"),
    }
)
_query_keys = frozenset(query_keys)
_in_url = re.compile(r"(?i)([?&](?:" + "|".join(query_keys) + r")=)[^&#]+")
_user_information = re.compile(r"(?i)^([a-z][a-z0-9+.-]*://)[^/@?#]+@")


class Redactor:
    """Replaces secrets by `••••`; `secrets` are those that are loaded (texts, or values with texts in them)."""

    def __init__(self, secrets: Iterable[Any] = ()) -> None:
        self.secrets = tuple(secrets)

    def json(self, value: Any) -> Any:
        """The same JSON value as it may be stored to be shown, logged or mailed: by place, by value, by looks."""
        if isinstance(value, str):
            return self.text(value)
        shown = self.data(_mask_places(value))
        if isinstance(shown, (dict, list)) and may_look_secret(json.dumps(shown, ensure_ascii=False)):
            return _walk(shown, without_looks)
        return shown

    def text(self, text: str) -> str:
        """The same text, by value and by looks."""
        return without_looks(self._by_value(text))

    def data(self, value: Any) -> Any:
        """The same JSON value with each loaded secret masked by its value, in names too, and nothing else."""
        if not self._spellings or not self._may_contain(value):
            return value
        return _walk(value, self._by_value)

    def _by_value(self, text: str) -> str:
        for spelling in self._spellings:
            if spelling in text:
                text = text.replace(spelling, MASK)
        return text

    def _may_contain(self, value: Any) -> bool:
        """A cheap look at the whole first: at the JSON text, in which each spelling stands as JSON writes it."""
        if not isinstance(value, (dict, list)):
            return True
        whole = json.dumps(value, ensure_ascii=False)
        return any(spelling in whole for spelling in self._in_json)

    @cached_property
    def _in_json(self) -> tuple[str, ...]:
        return tuple(json.dumps(spelling, ensure_ascii=False)[1:-1] for spelling in self._spellings)

    @cached_property
    def _spellings(self) -> tuple[str, ...]:
        found = {spelling for secret in self.secrets for spelling in spellings(secret)}
        return tuple(sorted(found, key=lambda spelling: (-len(spelling), spelling)))


redact = Redactor().json
"""The one function where no secret is loaded: by place and by looks."""


def mask_headers(headers: dict[str, Any]) -> dict[str, Any]:
    """The same headers with the values of those that carry credentials masked."""
    return {name: MASK if name.lower() in _headers and inner else inner for name, inner in headers.items()}


def _mask_places(value: Any) -> Any:
    """What is a secret because of where it stands, in a step's input or output, a request or a trigger's output."""
    if not isinstance(value, dict):
        return value
    shown = dict(value)
    if isinstance(shown.get("headers"), dict):
        shown["headers"] = mask_headers(shown["headers"])
    if isinstance(shown.get("query"), dict):
        query = shown["query"].items()
        shown["query"] = {name: MASK if name.lower() in _query_keys and inner else inner for name, inner in query}
    if isinstance(shown.get("url"), str):
        url = _in_url.sub(rf"\g<1>{MASK}", shown["url"])
        shown["url"] = _user_information.sub(rf"\g<1>{MASK}@", url)
    return shown


def _walk(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        return {change(str(key)): _walk(part, change) for key, part in value.items()}
    if isinstance(value, list):
        return [_walk(part, change) for part in value]
    return value
