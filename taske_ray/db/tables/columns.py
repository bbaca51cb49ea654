"""Columns that many tables have."""

from typing import Any

from sqlalchemy import ARRAY, DateTime, Text, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field


def instant(*, default: bool = False, **options: Any) -> Any:
    """A timestamptz column; `default`: the database's clock fills it in."""
    filled: dict[str, Any] = {}
    if default:
        filled = {"sa_column_kwargs": {"server_default": text("clock_timestamp()")}, "default": None}
    return Field(sa_type=DateTime(timezone=True), **filled, **options)


def json_value(**options: Any) -> Any:
    """A jsonb column; None is SQL's null."""
    return Field(sa_type=JSONB(none_as_null=True), **options)


def texts(**options: Any) -> Any:
    """A column with a list of texts."""
    return Field(sa_type=ARRAY(Text), **options)
