"""Accounts on the wire: sign-up, log-in, tokens, API keys, and who I am."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from taske_ray.schemas.wire import Input, Instant, Label, Output

Password = Annotated[str, Field(min_length=1, max_length=1024, examples=["correct horse battery staple"])]
Address = Annotated[str, Field(max_length=254, examples=["mina@example.com"])]
Locale = Literal["ko", "en", "ja"]
Scope = Literal["read", "write"]
Code = Annotated[str, Field(min_length=1, max_length=40, examples=["492039"])]


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
    password_change_required: bool = Field(
        default=False,
        description="the account was in danger: the session may do nothing until it has another",
    )


class SecondFactor(Output):
    """What a login still needs: `POST /auth/login/second-factor` with the challenge and a code of such a kind."""

    challenge: str
    methods: list[Literal["totp", "recovery_code", "mail"]]


class SecondFactorDue(Output):
    """The password was right; a code is due before there is a session."""

    second_factor: SecondFactor


class SecondFactorAnswer(Input):
    """The challenge of a login, and a code: of the app, a recovery code, or the one that was mailed."""

    challenge: Annotated[str, Field(max_length=200)]
    code: Code


class Reauthentication(Input):
    """The password once more, and a code where a second factor is enrolled."""

    password: Password
    code: Code | None = None


class TotpBegun(Output):
    """The secret of one-time codes, shown this once, and the same as a URI for a QR code."""

    secret: str = Field(examples=["JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"])
    uri: str


class CodeGiven(Input):
    """A code of the app, or a recovery code."""

    code: Code


class TotpConfirmed(TokenPair):
    """Ten recovery codes, shown this once, and the tokens of a new session: all others have ended."""

    recovery_codes: list[str]


class Forgotten(Input):
    """Whose password is to be chosen anew."""

    email: Address


class Reset(Input):
    """The token that was mailed, the new password, and a code where a second factor is enrolled."""

    token: Annotated[str, Field(max_length=200)]
    password: Password
    code: Code | None = None


class NewPassword(Input):
    """Another password."""

    password: Password


class NewAddress(Input):
    """Another e-mail address; it gets a mail with a token to confirm it."""

    email: Address


class Session(Output):
    """A login that is alive."""

    id: str
    current: bool = Field(description="the one that asks")
    device: str | None = Field(default=None, description="what the client called itself")
    address: str | None = None
    method: str = Field(description="`password`, or the provider that vouched")
    created_at: datetime
    last_used_at: datetime
    expires_at: datetime


class LinkedIdentity(Output):
    """A provider that the account can be logged in to with."""

    id: str
    provider: str = Field(description="its name in the settings", examples=["google"])
    email: str | None = Field(default=None, description="the address there, as the provider last vouched for it")
    created_at: datetime
    last_used_at: datetime


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
    task_id: Annotated[str, Field(max_length=64, description="the only task that the key may touch")] | None = None


class ApiKey(Output):
    """A key without its secret."""

    id: str
    name: str
    scopes: list[str]
    task_id: str | None = None
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
    verified: bool = Field(default=False, description="the address was proved")
    password_change_required: bool = False
    created_at: datetime
    updated_at: datetime


class MePatch(Input):
    """What of an account its owner may change; what is left out stays."""

    name: Annotated[str, Field(max_length=200)] | None = None
    locale: Locale | None = None
    country: Annotated[str, Field(pattern="^[A-Z]{2}$", examples=["KR"])] | None = None
    timezone: Annotated[str, Field(max_length=64, examples=["Asia/Seoul"])] | None = None


class User(Output):
    """An account, as administrators see it."""

    id: str
    email: str
    name: str
    role: Literal["user", "admin"]
    status: str
    verified: bool
    created_at: datetime
    updated_at: datetime


class UserPatch(Input):
    """What an administrator changes about an account; what is left out stays."""

    role: Literal["user", "admin"] | None = None
    status: Literal["active", "disabled"] | None = None


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
