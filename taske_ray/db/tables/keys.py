"""Keys: what seals secrets, and what signs access tokens."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import LargeBinary, Text
from sqlmodel import Field, SQLModel

from taske_ray.db.tables.columns import instant


class DataKey(SQLModel, table=True):
    """A data key, wrapped by the purpose key; `user_id` is null for the instance's own."""

    __tablename__ = "data_keys"
    id: UUID = Field(primary_key=True)
    user_id: UUID | None = Field(default=None, foreign_key="users.id")
    purpose: str = Field(sa_type=Text)
    version: int = 1
    kek_id: str = Field(sa_type=Text)
    wrapped: bytes = Field(sa_type=LargeBinary)
    created_at: datetime | None = instant(default=True)


class SigningKey(SQLModel, table=True):
    """A key that signs access tokens."""

    __tablename__ = "signing_keys"
    kid: str = Field(primary_key=True, sa_type=Text)
    data_key: UUID = Field(foreign_key="data_keys.id")
    sealed_private: bytes = Field(sa_type=LargeBinary)
    public_key: bytes = Field(sa_type=LargeBinary)
    created_at: datetime | None = instant(default=True)
    retired_at: datetime | None = instant(nullable=True)
