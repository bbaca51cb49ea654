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
    scopes: list[str] | None = Field(default=None, description="what was granted; null where nobody knows")
    token_expires_at: datetime | None = Field(
        default=None, description="end of the current access token, which is refreshed before"
    )


class NewAuthorization(Input):
    """Ask a user to allow a connection at its provider: a new one (`module`), or one again (`connection`)."""

    module: str | None = Field(default=None, examples=["google"])
    auth: str | None = Field(default=None, description="the way to connect; needed if the module has several of OAuth")
    name: Label | None = Field(default=None, description="what a new connection is called; its module by default")
    fields: dict[str, Json] = Field(
        default_factory=dict,
        description="an OAuth client of your own (client_id, client_secret), and what else is asked",
    )
    capabilities: Annotated[list[str], Field(max_length=300)] | None = Field(
        default=None,
        description="what it is for: their scopes are asked for besides the base ones. Left out: whatever the module "
        "can do with it; for a connection that is made again, what it was granted before",
        examples=[["google.drive.list_files"]],
    )
    scopes: Annotated[list[Annotated[str, Field(min_length=1, max_length=500)]], Field(max_length=100)] = Field(
        default_factory=list, description="further scopes"
    )
    connection: str | None = Field(default=None, description="a connection to be made again")
    return_to: str | None = Field(
        default=None, description="a path of this service where the browser goes afterwards, with ?connection=…"
    )


class Authorization(Output):
    """A user who was sent to a provider, and what became of it."""

    id: str
    status: Literal["pending", "succeeded", "failed", "expired"]
    connection: str = Field(description="there once the status is succeeded")
    module: str
    auth: str
    name: str
    scopes: list[str] = Field(description="what is asked for")
    error: Failure | None = None
    expires_at: datetime


class BegunAuthorization(Authorization):
    """The same at its beginning, with the address to open in a browser."""

    authorize_url: str
    redirect_uri: str = Field(description="what your own OAuth client has to be registered with")


class MadeConnection(Authorization):
    """The answer of the callback to programs; browsers get a page, or are sent to `return_to`."""

    label: str | None = None


class NewOAuthClient(Input):
    """How this service is registered with a provider."""

    client_id: Annotated[str, Field(min_length=1, max_length=500)]
    client_secret: Annotated[str, Field(min_length=1, max_length=4000)] | None = None


class OAuthClient(Output):
    """An OAuth client of the instance; the secret is sealed, at most its last four characters are shown."""

    module: str
    auth: str
    client_id: str
    client_secret: str | None = None
    redirect_uri: str = Field(description="what has to be registered with the provider")
    created_at: datetime
    updated_at: datetime


class OAuthClients(Output):
    """All of them."""

    items: list[OAuthClient]


class ConnectionTest(Output):
    """What the service said to a test request."""

    ok: bool
    label: str | None = None
    error: Failure | None = None
