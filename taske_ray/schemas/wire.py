"""What every wire model shares: inputs refuse what they do not know, outputs tolerate what a newer server adds."""

from datetime import datetime
from typing import Annotated, Any, Generic, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

Item = TypeVar("Item")
Json = Any


class Input(BaseModel):
    """A request body: unknown fields are errors and nothing is coerced."""

    model_config = ConfigDict(extra="forbid", strict=True, populate_by_name=True, validate_by_name=True)


class Output(BaseModel):
    """An answer, as the server writes it and the SDK reads it."""

    model_config = ConfigDict(extra="ignore", populate_by_name=True, validate_by_name=True)


class Page(Output, Generic[Item]):
    """One page of a list; `next_cursor` asks for the next one, null ends it."""

    items: list[Item]
    next_cursor: str | None = None


def _aware(value: datetime) -> datetime:
    if value.tzinfo is None:
        raise ValueError("needs an offset, like 2027-01-31T09:00:00Z")
    return value


Instant = Annotated[datetime, Field(strict=False), AfterValidator(_aware)]
"""An RFC 3339 time in a request, with its offset."""

Label = Annotated[str, Field(min_length=1, max_length=200)]
"""A name that people give."""


class Empty(Input):
    """A body that says nothing; it may be left out."""
