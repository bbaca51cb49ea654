"""Connections on the wire. Secrets go in and never come out: answers show their last characters at most."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from taske_ray.schemas.runs import Failure
from taske_ray.schemas.wire import Input, Json, Label, Output


class NewConnection(Input):
    """Connect to a module with one of its ways to authenticate."""

    module: str = Field(examples=["slack"])
    auth: str = Field(examples=["bot_token"])
    name: Label
    fields: dict[str, Json] = Field(default_factory=dict, examples=[{"token": "xoxb-…"}])


class ConnectionPatch(Input):
    """What to change: a new name, other fields. A secret that is left out stays, unless where it may go changes."""

    name: Label | None = None
    fields: Annotated[dict[str, Json], Field(min_length=1)] | None = None


class Connection(Output):
    """A connection without its secrets."""

    id: str
    module: str
    auth: str
    name: str
    label: str | None = None
    status: Literal["active", "needs_reauth", "error"]
    status_reason: str | None = None
    fields: dict[str, Json] = Field(description="open fields as set; secret ones masked but for a long one's last four")
    created_at: datetime
    updated_at: datetime
    tested_at: datetime | None = None


class ConnectionTest(Output):
    """What the service said to a test request."""

    ok: bool
    label: str | None = None
    error: Failure | None = None
