"""Texts of the catalog in one language: a text, or a map from languages to texts that has at least English."""

import re
from typing import Any

locales = ("ko", "en", "ja")


def localised(label: Any, locale: str) -> str | None:
    """The label in this language, else in English, else in any; None when there is none."""
    if not isinstance(label, dict):
        return label if isinstance(label, str) else None
    found = label.get(locale) or label.get("en") or next(iter(label.values()), None)
    return found if isinstance(found, str) else None


def preferred(accepted: str) -> str | None:
    """The locale that an `Accept-Language` prefers (RFC 9110, 12.5.4), the first of equals; None if it names none."""
    ranked = []
    for place, part in enumerate(accepted.split(",")):
        language, _, weight = part.replace(" ", "").lower().partition(";q=")
        locale = language.partition("-")[0]
        if locale in locales and (wanted := _weight(weight)) > 0:
            ranked.append((-wanted, place, locale))
    return min(ranked)[2] if ranked else None


def _weight(text: str) -> float:
    return float(text) if re.fullmatch(r"[01](\.[0-9]{0,3})?", text) else 1.0


def localised_schema(schema: Any, locale: str) -> Any:
    """A JSON Schema whose `title` and `description` are in this language where `x-title`, `x-description` say it."""
    if isinstance(schema, list):
        return [localised_schema(part, locale) for part in schema]
    if not isinstance(schema, dict):
        return schema
    result = {name: localised_schema(part, locale) for name, part in schema.items()}
    for name in ("title", "description"):
        translations = schema.get(f"x-{name}")
        if isinstance(translations, dict) and isinstance(translations.get(locale), str):
            result[name] = translations[locale]
    return result
