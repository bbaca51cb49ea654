"""The catalog as rows: versions, what overwrites what, and which version a run uses."""

import asyncio
import copy

import pytest

from taske_ray.errors import NotFound
from taske_ray.services.catalog_cache import CapabilityCache
from taske_ray.services.modules import Modules

pytestmark = pytest.mark.integration


def document(name="acme", base_url="https://api.acme.example", **capability):
    return {
        "module": name,
        "name": "Acme",
        "base_url": base_url,
        "auth": [{"id": "none", "type": "none"}],
        "capabilities": [
            {
                "capability": f"{name}.get",
                "kind": "action",
                "name": "Get",
                "params": {"type": "object", "properties": {"a": {"type": "string"}}},
                "request": {"path": "/x"},
                **capability,
            }
        ],
    }


@pytest.fixture
def cache(fresh_database):
    return CapabilityCache(fresh_database)


@pytest.fixture
def modules(fresh_database, cache):
    return Modules(fresh_database, cache)


async def test_the_demo_replaces_and_the_catalog_restores(modules, cache):
    """With the demo a module points elsewhere in a new version; without it the catalog's own comes back."""
    await modules.sync_catalog([document()])
    await modules.sync_catalog([document(base_url="http://127.0.0.1:9")], "demo")
    assert (await modules.get("acme", locale="en"))["origin"] == "demo"
    assert await cache.for_run("acme.get", 1) == 2
    await modules.sync_catalog([document()])
    found = await modules.get("acme", locale="en")
    assert (found["origin"], found["version"]) == ("catalog", 3)
    assert await cache.for_run("acme.get", 1) == 3
    await modules.sync_catalog([document()])
    assert (await modules.get("acme", locale="en"))["version"] == 3


async def test_an_admins_document_is_never_overwritten(modules):
    """A start leaves a module that an admin changed as it is, and shows it as diverged; a retired one stays retired."""
    await modules.sync_catalog([document(), document("other")])
    await modules.put("acme", document(base_url="https://own.example"))
    await modules.retire("other")
    await modules.sync_catalog([document(), document("other")])
    found = await modules.get("acme", locale="en")
    assert (found["origin"], found["diverged"]) == ("admin", True)
    with pytest.raises(NotFound):
        await modules.get("other", locale="en")


async def test_a_run_moves_on_past_compatible_changes_only(modules, cache):
    """A new optional parameter is used by the next run of an old task; a newly required one is not."""
    await modules.sync_catalog([document()])
    more = {"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "string"}}}
    await modules.put("acme", document(params=more))
    assert await cache.for_run("acme.get", 1) == 2
    await modules.put("acme", document(params=more | {"required": ["b"]}))
    assert await cache.for_run("acme.get", 1) == 2
    assert await cache.for_run("acme.get", 3) == 3
    assert (await cache.pinned("acme.get", 1)).params.schema != (await cache.pinned("acme.get", 3)).params.schema


async def test_a_run_never_changes_version(modules, cache, fresh_database):
    """It uses what was current when it was fired, in every process, whatever is published or retired afterwards."""
    more = [
        {"type": "object", "properties": {name: {"type": "string"} for name in names}} for names in ("a", "ab", "abc")
    ]
    for params in more:
        await modules.put("acme", document(params=params))
    await fresh_database.fetch(
        "UPDATE capabilities SET created_at = to_timestamp(1000 * version) WHERE capability = 'acme.get'"
    )

    async def used():
        other = CapabilityCache(fresh_database)
        return [
            [await one.for_run("acme.get", 1, born_at_s=at) for at in (500, 1500, 2500, 3500)] for one in (cache, other)
        ]

    assert await used() == [[1, 1, 2, 3]] * 2
    assert await cache.for_run("acme.get", 2, born_at_s=500) == 2
    assert await cache.for_run("acme.get", 1, born_at_s=2000 + 1.4) == 1
    assert await cache.for_run("acme.get", 1) == 3
    await modules.retire("acme")
    cache.forget()
    assert await used() == [[1, 1, 2, 3]] * 2
    assert await cache.for_run("acme.get", 1) == 1


async def test_another_process_sees_a_change_within_a_second(modules, fresh_database):
    """A cache that had read the catalog before sees a new module as soon as its second is over."""
    now = [0.0]
    other = CapabilityCache(fresh_database, monotonic=lambda: now[0])
    assert await other.latest("acme.get") is None
    await modules.put("acme", document())
    assert await other.latest("acme.get") is None
    now[0] = 1.0
    assert (await other.latest("acme.get")).id == "acme.get"


async def test_a_capability_that_left_its_document_is_retired(modules, cache):
    """Nothing new may refer to it, its versions stay readable, and it may come back as a new version."""
    two = document()
    extra = copy.deepcopy(two["capabilities"][0]) | {"capability": "acme.extra"}
    two["capabilities"].append(extra)
    await modules.put("acme", two)
    await modules.put("acme", document())
    assert await cache.latest("acme.extra") is None
    assert (await cache.pinned("acme.extra", 1)).id == "acme.extra"
    saved = await modules.put("acme", two)
    assert saved.capabilities["acme.extra"] == 2
    with pytest.raises(NotFound):
        await cache.pinned("acme.extra", 9)


async def test_many_puts_at_once_make_versions_without_gaps(modules):
    """Ten concurrent documents become versions 1 to 10."""
    saved = await asyncio.gather(
        *(modules.put("acme", document(base_url=f"https://n{number}.example")) for number in range(10))
    )
    assert sorted(one.version for one in saved) == list(range(1, 11))
