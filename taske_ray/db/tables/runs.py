"""Runs with their steps and attempts."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import JSON, BigInteger, SmallInteger, Text
from sqlmodel import Field, SQLModel

from taske_ray.db.tables.columns import instant, json_value


class Run(SQLModel, table=True):
    """One execution of a task for one event. Written by `db/runs.py` and `db/fires.py` only."""

    __tablename__ = "runs"
    id: UUID = Field(primary_key=True)
    user_id: UUID
    task_id: UUID
    task_version: int
    trigger_id: UUID | None = None
    fire_key: str | None = Field(default=None, sa_type=Text)
    replay_of: UUID | None = None
    scheduled_at: datetime | None = instant(nullable=True)
    status: str = Field(sa_type=Text)
    priority: int = Field(default=0, sa_type=SmallInteger)
    available_at: datetime | None = instant(default=True)
    owner: UUID | None = None
    assigned_at: datetime | None = instant(nullable=True)
    created_at: datetime | None = instant(default=True)
    started_at: datetime | None = instant(nullable=True)
    finished_at: datetime | None = instant(nullable=True)
    cancel_requested_at: datetime | None = instant(nullable=True)
    fence: int = Field(default=0, sa_type=BigInteger)
    claims: int = 0
    crashes: int = 0
    exclusive: bool = False
    depth: int = Field(default=0, sa_type=SmallInteger)
    input: Any = json_value(default=None, nullable=True)
    error: Any = json_value(default=None, nullable=True)


class Step(SQLModel, table=True):
    """One action that a run reached: its rendered input and its output."""

    __tablename__ = "steps"
    run_id: UUID = Field(primary_key=True)
    step: int = Field(primary_key=True, sa_type=SmallInteger)
    key: str = Field(sa_type=Text)
    capability: str = Field(sa_type=Text)
    status: str = Field(sa_type=Text)
    input: Any = Field(default=None, sa_type=JSON(none_as_null=True), nullable=True)
    output: Any = json_value(default=None, nullable=True)
    error: Any = json_value(default=None, nullable=True)
    started_at: datetime | None = instant(default=True)
    finished_at: datetime | None = instant(nullable=True)


class Attempt(SQLModel, table=True):
    """One try of a step, numbered from 1."""

    __tablename__ = "attempts"
    run_id: UUID = Field(primary_key=True)
    step: int = Field(primary_key=True, sa_type=SmallInteger)
    number: int = Field(primary_key=True)
    fence: int = Field(sa_type=BigInteger)
    status: str = Field(sa_type=Text)
    sent: bool | None = None
    counted: bool = True
    idempotency_key: str | None = Field(default=None, sa_type=Text)
    request: Any = json_value(default=None, nullable=True)
    http_status: int | None = None
    error: Any = json_value(default=None, nullable=True)
    started_at: datetime | None = instant(default=True)
    finished_at: datetime | None = instant(nullable=True)
    client: UUID | None = None
