"""What requests leave behind besides their objects: kept answers, mails, the audit."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import LargeBinary, Text
from sqlmodel import Field, SQLModel

from taske_ray.db.tables.columns import instant, json_value, texts


class IdempotencyKey(SQLModel, table=True):
    """The answer to a POST, kept a day for its `Idempotency-Key`; `status` is null while it is being answered."""

    __tablename__ = "idempotency_keys"
    user_id: UUID = Field(primary_key=True)
    key: str = Field(primary_key=True, sa_type=Text)
    request_hash: bytes = Field(sa_type=LargeBinary)
    status: int | None = None
    body: Any = json_value(default=None, nullable=True)
    created_at: datetime | None = instant(default=True)


class Mail(SQLModel, table=True):
    """A mail of the outbox, written in the transaction that caused it."""

    __tablename__ = "mails"
    id: UUID = Field(primary_key=True)
    user_id: UUID | None = None
    recipients: list[str] = texts()
    subject: str = Field(sa_type=Text)
    body_text: str | None = Field(default=None, sa_type=Text)
    body_html: str | None = Field(default=None, sa_type=Text)
    purpose: str = Field(sa_type=Text)
    status: str = Field(default="queued", sa_type=Text)
    attempts: int = 0
    available_at: datetime | None = instant(default=True)
    created_at: datetime | None = instant(default=True)
    sent_at: datetime | None = instant(nullable=True)
    error: str | None = Field(default=None, sa_type=Text)


class Audit(SQLModel, table=True):
    """A security-relevant act; append only."""

    __tablename__ = "audit"
    id: UUID = Field(primary_key=True)
    at: datetime | None = instant(default=True)
    user_id: UUID | None = None
    session_id: UUID | None = None
    address: str | None = Field(default=None, sa_type=Text)
    action: str = Field(sa_type=Text)
    object: str | None = Field(default=None, sa_type=Text)
    result: str = Field(sa_type=Text)
    detail: Any = json_value(default=None, nullable=True)
    key_id: UUID | None = None
