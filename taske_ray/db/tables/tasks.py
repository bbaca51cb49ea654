"""Tasks with their versions and triggers."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, LargeBinary, Text, text
from sqlmodel import Field, SQLModel

from taske_ray.db.tables.columns import instant, json_value


class Task(SQLModel, table=True):
    """What the user defined: its current version's text is in `task_versions`."""

    __tablename__ = "tasks"
    id: UUID = Field(primary_key=True)
    user_id: UUID = Field(foreign_key="users.id")
    name: str = Field(sa_type=Text)
    enabled: bool
    version: int
    overlap: str = Field(default="allow", sa_type=Text)
    created_at: datetime | None = instant(default=True)
    updated_at: datetime | None = instant(default=True)
    failure_mailed_at: datetime | None = instant(nullable=True)


class TaskVersion(SQLModel, table=True):
    """One saved version: `spec` as checked, `pins` the capability versions it was checked against."""

    __tablename__ = "task_versions"
    task_id: UUID = Field(primary_key=True, foreign_key="tasks.id")
    version: int = Field(primary_key=True)
    user_id: UUID
    spec: dict[str, Any] = json_value()
    pins: dict[str, int] = json_value()
    created_at: datetime | None = instant(default=True)


class Trigger(SQLModel, table=True):
    """The *When* of a task, with its cursor; what watchers live from."""

    __tablename__ = "triggers"
    id: UUID = Field(primary_key=True)
    user_id: UUID = Field(foreign_key="users.id")
    task_id: UUID = Field(foreign_key="tasks.id", unique=True)
    version: int
    kind: str = Field(sa_type=Text)
    capability: str = Field(sa_type=Text)
    capability_version: int
    connection_id: UUID | None = None
    spec: dict[str, Any] = json_value()
    enabled: bool
    paused_reason: str | None = Field(default=None, sa_type=Text)
    overlap: str = Field(default="allow", sa_type=Text)
    misfire: str = Field(default="once", sa_type=Text)
    anchor_at: datetime | None = instant(nullable=True)
    next_fire_at: datetime | None = instant(nullable=True)
    cursor: dict[str, Any] | None = json_value(default=None, nullable=True)
    cursor_version: int = Field(default=0, sa_type=BigInteger)
    consecutive_errors: int = 0
    hook_mode: str | None = Field(default=None, sa_type=Text)
    hook_hash: bytes | None = Field(default=None, unique=True, sa_type=LargeBinary)
    hook_data_key: UUID | None = Field(default=None, foreign_key="data_keys.id")
    hook_sealed: bytes | None = Field(default=None, sa_type=LargeBinary)
    change: int | None = Field(
        default=None, sa_type=BigInteger, sa_column_kwargs={"server_default": text("nextval('trigger_changes')")}
    )
    updated_at: datetime | None = instant(default=True)
