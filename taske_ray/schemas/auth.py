"""Accounts on the wire: sign-up, log-in, tokens, API keys, and who I am."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from taske_ray.schemas.wire import Input, Instant, Label, Output

Password = Annotated[str, Field(min_length=1, max_length=1024, examples=["correct horse battery staple"])]
Address = Annotated[str, Field(max_length=254, examples=["mina@example.com"])]
Locale = Literal["ko", "en", "ja"]
Scope = Literal["read", "write"]


class SignUp(Input):
    """A new account: the address gets a mail, whether it is known or not."""

    email: Address
    password: Password
    locale: Locale | None = None


class Accepted(Output):
    """The request was taken; the answer says no more than that."""

    detail: str


class Verify(Input):
    """The token that was mailed."""

    token: Annotated[str, Field(max_length=200)]


class Login(Input):
    """An address and its password."""

    email: Address
    password: Password


class TokenPair(Output):
    """A session: the access token for `Authorization: Bearer`, the refresh token for the next pair."""

    access_token: str
    token_type: Literal["bearer"] = "bearer"  # noqa: S105 - the scheme's name
    expires_in: int = Field(description="seconds", examples=[600])
    refresh_token: str


class Refresh(Input):
    """The refresh token; browsers send it as a cookie instead."""

    refresh_token: Annotated[str, Field(max_length=200)] | None = None


class Logout(Input):
    """Nothing: the session is the one of the access token, or of the cookie."""


class NewApiKey(Input):
    """A key for programs."""

    name: Label
    scopes: Annotated[list[Scope], Field(min_length=1, max_length=2)] = Field(default=["read", "write"])
    expires_at: Instant | None = None


class ApiKey(Output):
    """A key without its secret."""

    id: str
    name: str
    scopes: list[str]
    created_at: datetime
    expires_at: datetime | None = None
    last_used_at: datetime | None = None


class CreatedApiKey(ApiKey):
    """A key with its secret, shown this once."""

    key: str = Field(examples=["tsk_0192f0c4…"])


class Me(Output):
    """The caller's account."""

    id: str
    email: str
    name: str
    locale: str
    country: str | None = None
    timezone: str
    role: Literal["user", "admin"]
    status: str
    created_at: datetime
    updated_at: datetime


class MePatch(Input):
    """What of an account its owner may change; what is left out stays."""

    name: Annotated[str, Field(max_length=200)] | None = None
    locale: Locale | None = None
    country: Annotated[str, Field(pattern="^[A-Z]{2}$", examples=["KR"])] | None = None
    timezone: Annotated[str, Field(max_length=64, examples=["Asia/Seoul"])] | None = None


class Jwk(Output):
    """A public key of access tokens (RFC 8037)."""

    kty: Literal["OKP"] = "OKP"
    crv: Literal["Ed25519"] = "Ed25519"
    use: Literal["sig"] = "sig"
    alg: Literal["EdDSA"] = "EdDSA"
    kid: str
    x: str


class JwkSet(Output):
    """The public keys of access tokens."""

    keys: list[Jwk]
