"""Rows of modules and capabilities: insert only, versioned; the newest version that is not retired is current."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import func, text, tuple_, update
from sqlalchemy.dialects.postgresql import distinct_on
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from taske_ray.db.tables import Capability, Module

Origin = Literal["catalog", "admin", "demo"]


@dataclass(frozen=True, slots=True)
class ModuleHead:
    """The newest version of a module without its document; `shipped`: the catalog or the demo once wrote it."""

    module: str
    version: int
    hash: str
    origin: Origin
    retired: bool
    shipped: bool


@dataclass(frozen=True, slots=True)
class CapabilityHead:
    """The newest version of a capability and the module version that carries it."""

    capability: str
    version: int
    hash: str
    module: str
    module_version: int
    retired: bool


@dataclass(frozen=True, slots=True)
class Use:
    """A task that uses a capability in this version; `named`: the task says the version itself, and stays on it."""

    task_id: UUID
    capability: str
    version: int
    named: bool


_uses = text("SELECT task_id, capability, version, named FROM uses_of(:names)")  # by a door: migrations/doors.sql
_heads = text(
    "SELECT DISTINCT ON (module) module, version, hash, origin, retired_at IS NOT NULL AS retired,"
    " bool_or(origin <> 'admin') OVER (PARTITION BY module) AS shipped"
    " FROM modules WHERE CAST(:module AS text) IS NULL OR module = :module ORDER BY module, version DESC"
)


async def module_heads(tx: AsyncSession, module: str | None = None) -> list[ModuleHead]:
    """The newest version of every module, or of one; retired ones too."""
    rows = await (await tx.connection()).execute(_heads, {"module": module})
    return [ModuleHead(**row) for row in rows.mappings()]


async def capability_heads(tx: AsyncSession, module: str | None = None) -> list[CapabilityHead]:
    """The newest version of every capability, or of one module's; retired ones too."""
    newest = distinct_on(col(Capability.capability))
    query = select(Capability).ext(newest).order_by(col(Capability.capability), col(Capability.version).desc())
    if module is not None:
        query = query.where(Capability.module == module)
    return [
        CapabilityHead(
            capability=row.capability,
            version=row.version,
            hash=row.hash,
            module=row.module,
            module_version=row.module_version,
            retired=row.retired_at is not None,
        )
        for row in await tx.exec(query)
    ]


async def module_documents(
    tx: AsyncSession, wanted: Iterable[tuple[str, int]]
) -> dict[tuple[str, int], dict[str, Any]]:
    """The documents of these (module, version) pairs."""
    pairs = list(wanted)
    if not pairs:
        return {}
    rows = await tx.exec(select(Module).where(tuple_(col(Module.module), col(Module.version)).in_(pairs)))
    return {(row.module, row.version): row.doc for row in rows}


async def current_document(tx: AsyncSession, head: ModuleHead | None) -> dict[str, Any]:
    """The document of a module's newest version; empty for none, and for one that was retired."""
    if head is None or head.retired:
        return {}
    return (await module_documents(tx, [(head.module, head.version)]))[head.module, head.version]


async def capability_versions(
    tx: AsyncSession, capability: str, since: int
) -> list[tuple[int, str, int, datetime | None]]:
    """The versions of a capability from `since` on, oldest first: (version, module, module version, published)."""
    query = (
        select(Capability.version, Capability.module, Capability.module_version, Capability.created_at)
        .where(Capability.capability == capability, Capability.version >= since)
        .order_by(col(Capability.version))
    )
    return [(version, module, at, published) for version, module, at, published in await tx.exec(query)]


async def uses_of(tx: AsyncSession, capabilities: Iterable[str]) -> list[Use]:
    """Which tasks use these capabilities, of all users."""
    rows = await (await tx.connection()).execute(_uses, {"names": list(capabilities)})
    return [Use(**row) for row in rows.mappings()]


async def lock_module(tx: AsyncSession, module: str) -> None:
    """Let one writer at a time decide the next version of a module; freed by the end of the transaction."""
    lock = text("SELECT pg_advisory_xact_lock(hashtextextended('module:' || :m, 0))")
    await (await tx.connection()).execute(lock, {"m": module})


async def add_module(tx: AsyncSession, row: Module, capabilities: Sequence[Capability]) -> None:
    """Insert a module version and the capabilities that changed with it."""
    tx.add(row)
    await tx.flush()
    tx.add_all(capabilities)
    await tx.flush()


async def retire_capabilities(tx: AsyncSession, names: Iterable[str]) -> None:
    """Nothing new may refer to these capabilities; their versions stay readable."""
    await tx.exec(
        update(Capability)
        .where(col(Capability.capability).in_(list(names)), col(Capability.retired_at).is_(None))
        .values(retired_at=func.clock_timestamp())
    )


async def retire_module(tx: AsyncSession, module: str) -> bool:
    """Retire a module with its capabilities; False if there is none that is alive."""
    retired = await tx.exec(
        update(Module)
        .where(col(Module.module) == module, col(Module.retired_at).is_(None))
        .values(retired_at=func.clock_timestamp())
        .returning(col(Module.module))
    )
    await tx.exec(
        update(Capability)
        .where(col(Capability.module) == module, col(Capability.retired_at).is_(None))
        .values(retired_at=func.clock_timestamp())
    )
    return retired.first() is not None
