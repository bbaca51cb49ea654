"""Capabilities for processes: pinned versions stay in memory for good, the current ones are a second old at most.

- `pinned(id, 3)`: exactly that version, also when it is retired: what a run in flight uses
- `for_run(id, 3)`: the newest version that a task saved against version 3 may use without being saved again; with
  `born_at_s` the newest of that moment, which is the same in every process and for good
- `latest(id)`: what new tasks may refer to; None when there is none
- `catalog()`: everything current, for lists
"""

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from taske_ray.core.capability import Capability, Module, parse_module
from taske_ray.core.capability.compatibility import breaking
from taske_ray.db import modules
from taske_ray.db.database import Database
from taske_ray.db.modules import CapabilityHead, ModuleHead
from taske_ray.errors import NotFound, Unavailable

_fresh_s = 1.0
_settled_s = 1.5  # after a version was made every process knows it: a second, and what its COMMIT and reading it take
_kept_modules = 500
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Current:
    """A module as it is now."""

    head: ModuleHead
    module: Module


@dataclass(frozen=True, slots=True)
class Catalog:
    """Everything current at one moment: modules by id, and the version of each capability; `newest`: retired or not."""

    modules: dict[str, Current] = field(default_factory=dict)
    capabilities: dict[str, CapabilityHead] = field(default_factory=dict)
    retired: dict[str, ModuleHead] = field(default_factory=dict)
    newest: dict[str, int] = field(default_factory=dict)

    def capability(self, name: str) -> Capability | None:
        """The current capability of this id, or None."""
        head = self.capabilities.get(name)
        current = self.modules.get(head.module) if head else None
        return current.module.capabilities.get(name) if current else None


class CapabilityCache:
    """The catalog as one process sees it: at most a second old, parsed once per version."""

    def __init__(self, database: Database, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._monotonic = monotonic
        self._parsed: OrderedDict[tuple[str, int], Module] = OrderedDict()
        self._places: dict[tuple[str, int], tuple[str, int]] = {}
        self._published: dict[tuple[str, int], float] = {}
        self._moves: dict[tuple[str, int, int], int] = {}
        self._catalog = Catalog()
        self._read_at: float | None = None
        self._turn = asyncio.Lock()

    async def pinned(self, capability: str, version: int) -> Capability:
        """This very version. Raises NotFound, Unavailable."""
        place = self._places.get((capability, version))
        if place is None:
            await self._find_versions(capability, version)
            place = self._places.get((capability, version))
        if place is None:
            raise NotFound(f"There is no capability {capability}@{version}")
        module = self._parsed.get(place) or (await self._load([place]))[place]
        found: Capability = module.capabilities[capability]
        return found

    async def latest(self, capability: str) -> Capability | None:
        """The current version, or None. Raises Unavailable."""
        return (await self.catalog()).capability(capability)

    async def latest_version(self, capability: str) -> int | None:
        """The number of the current version, or None. Raises Unavailable."""
        head = (await self.catalog()).capabilities.get(capability)
        return head.version if head else None

    async def for_run(self, capability: str, version: int, *, born_at_s: float | None = None) -> int:
        """The version that a run uses for a task that pins `version`: on past compatible changes only.

        `born_at_s`: when it was fired, in seconds since the epoch; it never changes version. None: it starts now.
        """
        of_then = born_at_s is not None  # which is not undone by retiring it
        newest = (await self.catalog()).newest.get(capability) if of_then else await self.latest_version(capability)
        if newest is None or newest <= version:
            return version
        move = (capability, version, newest)
        if move not in self._moves:
            await self._find_versions(capability, version)
            self._moves[move] = await self._furthest(capability, version, newest)
        furthest = self._moves[move]
        while born_at_s is not None and furthest > version and not self._settled(capability, furthest, born_at_s):
            furthest -= 1
        return furthest

    def _settled(self, capability: str, version: int, at_s: float) -> bool:
        """Whether every process knew of the version by then."""
        return self._published[capability, version] + _settled_s <= at_s

    async def module(self, module_id: str) -> Module:
        """The newest version of a module, with its off switch; a retired one too. Raises NotFound, Unavailable."""
        catalog = await self.catalog()
        current = catalog.modules.get(module_id)
        if current is not None:
            return current.module
        head = catalog.retired.get(module_id)
        if head is None:
            raise NotFound(f"There is no module {module_id}")
        place = (module_id, head.version)
        return (await self._load([place]))[place]

    async def catalog(self) -> Catalog:
        """Everything current; with the database away, what was current when it was last seen. Raises Unavailable."""
        if self._is_fresh():
            return self._catalog
        async with self._turn:
            if not self._is_fresh():
                try:
                    self._catalog = await self._read()
                except Unavailable:
                    if self._read_at is None:
                        raise
                    _log.warning("the catalog could not be read again; using the last one")
                self._read_at = self._monotonic()
        return self._catalog

    def forget(self) -> None:
        """Look again at the next use: this process has just changed the catalog."""
        self._read_at = None

    def _is_fresh(self) -> bool:
        return self._read_at is not None and self._monotonic() - self._read_at < _fresh_s

    async def _read(self) -> Catalog:
        async with self._database.transaction() as tx:
            everything = await modules.module_heads(tx)
            newest = await modules.capability_heads(tx)
        heads = [head for head in everything if not head.retired]
        parsed = await self._load([(head.module, head.version) for head in heads])
        return Catalog(
            {head.module: Current(head, parsed[head.module, head.version]) for head in heads},
            {head.capability: head for head in newest if not head.retired},
            {head.module: head for head in everything if head.retired},
            {head.capability: head.version for head in newest},
        )

    async def _load(self, wanted: list[tuple[str, int]]) -> dict[tuple[str, int], Module]:
        missing = [pair for pair in wanted if pair not in self._parsed]
        if missing:
            async with self._database.transaction() as tx:
                documents = await modules.module_documents(tx, missing)
            for pair, document in documents.items():
                self._parsed[pair] = parse_module(document)
        found = {pair: self._parsed[pair] for pair in wanted if pair in self._parsed}
        for pair in found:
            self._parsed.move_to_end(pair)
        while len(self._parsed) > max(_kept_modules, len(wanted)):
            self._parsed.popitem(last=False)
        return found

    async def _find_versions(self, capability: str, since: int) -> None:
        async with self._database.transaction() as tx:
            for version, module, module_version, published in await modules.capability_versions(tx, capability, since):
                self._places[capability, version] = (module, module_version)
                assert published is not None
                self._published[capability, version] = published.timestamp()

    async def _furthest(self, capability: str, version: int, newest: int) -> int:
        doc = (await self.pinned(capability, version)).doc
        for candidate in range(version + 1, newest + 1):
            following = (await self.pinned(capability, candidate)).doc
            if breaking(doc, following):
                return candidate - 1
            doc = following
        return newest
