"""Accounts, and how somebody proves to be the one whose account it is."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, DateTime, LargeBinary, Text, text
from sqlmodel import Field, SQLModel

from taske_ray.db.tables.columns import instant, json_value, texts


class User(SQLModel, table=True):
    """An account."""

    __tablename__ = "users"
    id: UUID = Field(primary_key=True)
    email: str = Field(unique=True, sa_type=Text)
    password_hash: str | None = Field(default=None, sa_type=Text)
    name: str = Field(default="", sa_type=Text)
    locale: str = Field(default="en", sa_type=Text)
    country: str | None = Field(default=None, sa_type=Text)
    timezone: str = Field(default="UTC", sa_type=Text)
    role: str = Field(default="user", sa_type=Text)
    status: str = Field(default="pending", sa_type=Text)
    not_before: datetime | None = Field(
        default=None, sa_type=DateTime(timezone=True), sa_column_kwargs={"server_default": text("'-infinity'")}
    )
    created_at: datetime | None = instant(default=True)
    updated_at: datetime | None = instant(default=True)
    verified_at: datetime | None = instant(nullable=True)
    compromised_at: datetime | None = instant(nullable=True)
    password_set_at: datetime | None = instant(nullable=True)
    password_due: bool = False


class Session(SQLModel, table=True):
    """A login, alive until it expires or is revoked."""

    __tablename__ = "sessions"
    id: UUID = Field(primary_key=True)
    user_id: UUID = Field(foreign_key="users.id", index=True)
    user_agent: str | None = Field(default=None, sa_type=Text)
    address: str | None = Field(default=None, sa_type=Text)
    created_at: datetime | None = instant(default=True)
    last_used_at: datetime | None = instant(default=True)
    expires_at: datetime = instant()
    revoked_at: datetime | None = instant(nullable=True)
    method: str = Field(default="password", sa_type=Text)
    authenticated_at: datetime | None = instant(default=True)


class RefreshToken(SQLModel, table=True):
    """One refresh token of a session's family, by its SHA-256."""

    __tablename__ = "refresh_tokens"
    hash: bytes = Field(primary_key=True, sa_type=LargeBinary)
    session_id: UUID = Field(foreign_key="sessions.id", index=True)
    user_id: UUID = Field(foreign_key="users.id")
    expires_at: datetime = instant()
    used_at: datetime | None = instant(nullable=True)
    successor_hash: bytes | None = Field(default=None, sa_type=LargeBinary)
    successor_sealed: bytes | None = Field(default=None, sa_type=LargeBinary)


class OneTimeToken(SQLModel, table=True):
    """A token that was mailed, by its SHA-256: verification, reset, another address, "this was not me"."""

    __tablename__ = "one_time_tokens"
    hash: bytes = Field(primary_key=True, sa_type=LargeBinary)
    user_id: UUID = Field(foreign_key="users.id")
    purpose: str = Field(sa_type=Text)
    expires_at: datetime = instant()
    used_at: datetime | None = instant(nullable=True)
    address: str | None = Field(default=None, sa_type=Text)
    password_hash: str | None = Field(default=None, sa_type=Text)


class AuthorizationState(SQLModel, table=True):
    """A visit to a provider that is expected back, by the SHA-256 of its state."""

    __tablename__ = "authorization_states"
    hash: bytes = Field(primary_key=True, sa_type=LargeBinary)
    purpose: str = Field(sa_type=Text)
    provider: str = Field(sa_type=Text)
    browser_hash: bytes = Field(sa_type=LargeBinary)
    user_id: UUID | None = Field(default=None, foreign_key="users.id")
    target: str = Field(sa_type=Text)
    detail: dict[str, Any] = json_value(default_factory=dict)
    data_key: UUID = Field(foreign_key="data_keys.id")
    sealed: bytes = Field(sa_type=LargeBinary)
    created_at: datetime | None = instant(default=True)
    expires_at: datetime = instant()
    used_at: datetime | None = instant(nullable=True)


class LinkedIdentity(SQLModel, table=True):
    """Somebody as a provider knows them, and the account that this is."""

    __tablename__ = "identities"
    issuer: str = Field(primary_key=True, sa_type=Text)
    subject: str = Field(primary_key=True, sa_type=Text)
    id: UUID = Field(unique=True)
    user_id: UUID = Field(foreign_key="users.id", index=True)
    provider: str = Field(sa_type=Text)
    email: str | None = Field(default=None, sa_type=Text)
    created_at: datetime | None = instant(default=True)
    last_used_at: datetime | None = instant(default=True)


class ApiKey(SQLModel, table=True):
    """A key for programs, by its SHA-256."""

    __tablename__ = "api_keys"
    id: UUID = Field(primary_key=True)
    user_id: UUID = Field(foreign_key="users.id", index=True)
    name: str = Field(sa_type=Text)
    hash: bytes = Field(unique=True, sa_type=LargeBinary)
    scopes: list[str] = texts(default_factory=lambda: ["read", "write"])
    created_at: datetime | None = instant(default=True)
    expires_at: datetime | None = instant(nullable=True)
    last_used_at: datetime | None = instant(nullable=True)
    revoked_at: datetime | None = instant(nullable=True)
    session_id: UUID | None = None
    task_id: UUID | None = Field(default=None, foreign_key="tasks.id")


class TotpFactor(SQLModel, table=True):
    """The secret of a user's one-time codes; in use once it is confirmed. Codes up to `last_step` are spent."""

    __tablename__ = "totp_factors"
    user_id: UUID = Field(primary_key=True, foreign_key="users.id")
    data_key: UUID = Field(foreign_key="data_keys.id")
    sealed: bytes = Field(sa_type=LargeBinary)
    created_at: datetime | None = instant(default=True)
    confirmed_at: datetime | None = instant(nullable=True)
    last_step: int = Field(default=0, sa_type=BigInteger)


class RecoveryCode(SQLModel, table=True):
    """A code for when the device with the one-time codes is gone; `label` says publicly which one it is."""

    __tablename__ = "recovery_codes"
    user_id: UUID = Field(primary_key=True, foreign_key="users.id")
    label: str = Field(primary_key=True, sa_type=Text)
    hash: str = Field(sa_type=Text)
    used_at: datetime | None = instant(nullable=True)


class LoginChallenge(SQLModel, table=True):
    """A login whose first factor was right and whose second is due, by the SHA-256 of its challenge."""

    __tablename__ = "login_challenges"
    hash: bytes = Field(primary_key=True, sa_type=LargeBinary)
    user_id: UUID = Field(foreign_key="users.id")
    method: str = Field(sa_type=Text)
    code_hash: bytes | None = Field(default=None, sa_type=LargeBinary)
    tries: int = 0
    created_at: datetime | None = instant(default=True)
    expires_at: datetime = instant()
    used_at: datetime | None = instant(nullable=True)


class CodeFailure(SQLModel, table=True):
    """A wrong second factor, counted over all challenges of a user."""

    __tablename__ = "code_failures"
    id: int | None = Field(default=None, primary_key=True, sa_type=BigInteger)
    user_id: UUID = Field(foreign_key="users.id")
    failed_at: datetime | None = instant(default=True)


class LoginFailure(SQLModel, table=True):
    """A login that was begun and not known to be right, counted for throttling."""

    __tablename__ = "login_failures"
    id: int | None = Field(default=None, primary_key=True, sa_type=BigInteger)
    email: str = Field(sa_type=Text)
    address: str | None = Field(default=None, sa_type=Text)
    failed_at: datetime | None = instant(default=True)
    password_tag: bytes | None = Field(default=None, sa_type=LargeBinary)
    pending: bool = False
