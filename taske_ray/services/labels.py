"""Texts of the catalog in one language: a text, or a map from languages to texts that has at least English."""

from typing import Any

locales = ("ko", "en", "ja")


def localised(label: Any, locale: str) -> str | None:
    """The label in this language, else in English, else in any; None when there is none."""
    if not isinstance(label, dict):
        return label if isinstance(label, str) else None
    found = label.get(locale) or label.get("en") or next(iter(label.values()), None)
    return found if isinstance(found, str) else None


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
