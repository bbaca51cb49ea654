"""The catalog: versions of modules and of their capabilities."""

from datetime import datetime
from typing import Any

from sqlalchemy import Text
from sqlmodel import Field, SQLModel

from taske_ray.db.tables.columns import instant, json_value


class Module(SQLModel, table=True):
    """One version of a module document."""

    __tablename__ = "modules"
    module: str = Field(primary_key=True, sa_type=Text)
    version: int = Field(primary_key=True)
    hash: str = Field(sa_type=Text)
    doc: dict[str, Any] = json_value()
    origin: str = Field(sa_type=Text)
    created_at: datetime | None = instant(default=True)
    retired_at: datetime | None = instant(nullable=True)


class Capability(SQLModel, table=True):
    """One version of a capability, with the module version that carries it."""

    __tablename__ = "capabilities"
    capability: str = Field(primary_key=True, sa_type=Text)
    version: int = Field(primary_key=True)
    module: str = Field(sa_type=Text, index=True)
    module_version: int
    hash: str = Field(sa_type=Text)
    doc: dict[str, Any] = json_value()
    created_at: datetime | None = instant(default=True)
    retired_at: datetime | None = instant(nullable=True)
