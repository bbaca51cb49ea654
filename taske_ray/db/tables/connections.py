"""Connections, and what it takes to make one at a provider."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import LargeBinary, SmallInteger, Text
from sqlmodel import Field, SQLModel

from taske_ray.db.tables.columns import instant, json_value, texts


class Connection(SQLModel, table=True):
    """A user's authorised link to a module; the secret is sealed, `hints` show at most its last four characters."""

    __tablename__ = "connections"
    id: UUID = Field(primary_key=True)
    user_id: UUID | None = Field(default=None, foreign_key="users.id")
    module: str = Field(sa_type=Text)
    auth: str = Field(sa_type=Text)
    name: str = Field(sa_type=Text)
    label: str | None = Field(default=None, sa_type=Text)
    status: str = Field(default="active", sa_type=Text)
    status_reason: str | None = Field(default=None, sa_type=Text)
    config: dict[str, Any] = json_value(default_factory=dict)
    data_key: UUID | None = Field(default=None, foreign_key="data_keys.id")
    sealed: bytes | None = Field(default=None, sa_type=LargeBinary)
    hints: dict[str, Any] = json_value(default_factory=dict)
    version: int = 1
    given: int = 1
    created_at: datetime | None = instant(default=True)
    updated_at: datetime | None = instant(default=True)
    tested_at: datetime | None = instant(nullable=True)
    scopes: list[str] | None = texts(nullable=True, default=None)
    token_at: datetime | None = instant(nullable=True)
    refresh_from: datetime | None = instant(nullable=True)
    token_expires_at: datetime | None = instant(nullable=True)
    refresh_owner: UUID | None = None
    refresh_until: datetime | None = instant(nullable=True)
    refresh_tries: int = Field(default=0, sa_type=SmallInteger)


class OAuthClient(SQLModel, table=True):
    """How the instance is registered at a provider; the secret is sealed, `hint` shows at most its last characters."""

    __tablename__ = "oauth_clients"
    id: UUID = Field(primary_key=True)
    module: str = Field(sa_type=Text)
    auth: str = Field(sa_type=Text)
    client_id: str = Field(sa_type=Text)
    data_key: UUID | None = Field(default=None, foreign_key="data_keys.id")
    sealed: bytes | None = Field(default=None, sa_type=LargeBinary)
    hint: str | None = Field(default=None, sa_type=Text)
    created_at: datetime | None = instant(default=True)
    updated_at: datetime | None = instant(default=True)


class ConnectionAuthorization(SQLModel, table=True):
    """A user who was sent to a provider to allow a connection, and what became of it."""

    __tablename__ = "connection_authorizations"
    id: UUID = Field(primary_key=True)
    user_id: UUID = Field(foreign_key="users.id", index=True)
    connection_id: UUID
    connection_owner: UUID | None = Field(default=None, foreign_key="users.id")
    reconnects: bool = False
    module: str = Field(sa_type=Text)
    auth: str = Field(sa_type=Text)
    name: str = Field(sa_type=Text)
    config: dict[str, Any] = json_value(default_factory=dict)
    scopes: list[str] = texts(default_factory=list)
    redirect_uri: str = Field(sa_type=Text)
    data_key: UUID | None = Field(default=None, foreign_key="data_keys.id")
    sealed: bytes | None = Field(default=None, sa_type=LargeBinary)
    code_key: UUID | None = Field(default=None, foreign_key="data_keys.id")
    code_sealed: bytes | None = Field(default=None, sa_type=LargeBinary)
    proof_key: UUID | None = Field(default=None, foreign_key="data_keys.id")
    proof_row: str | None = Field(default=None, sa_type=Text)
    proof_sealed: bytes | None = Field(default=None, sa_type=LargeBinary)
    status: str = Field(default="pending", sa_type=Text)
    error: dict[str, Any] | None = json_value(nullable=True)
    created_at: datetime | None = instant(default=True)
    expires_at: datetime = instant()
