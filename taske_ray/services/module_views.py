"""The catalog in the words of the contract: documents turned into what the API answers, in one language."""

from typing import Any

from taske_ray.services.catalog_cache import Catalog, Current
from taske_ray.services.labels import localised, localised_schema


def module_summary(current: Current, locale: str) -> dict[str, Any]:
    """A module in a list."""
    head, doc = current.head, current.module.doc
    return {
        "module": head.module,
        "version": head.version,
        "name": localised(doc.get("name"), locale) or head.module,
        "description": localised(doc.get("description"), locale),
        "icon": doc.get("icon"),
        "docs_url": doc.get("docs_url"),
        "categories": doc.get("categories") or [],
        "enabled": current.module.enabled,
        "origin": head.origin,
        "diverged": head.origin == "admin" and head.shipped,
    }


def module_view(catalog: Catalog, current: Current, locale: str) -> dict[str, Any]:
    """A module with its ways to connect and its capabilities."""
    schemes = [
        {
            "id": scheme.id,
            "type": scheme.type,
            "name": localised(scheme.name, locale),
            "fields": localised_schema(scheme.fields.schema, locale),
            "available": scheme.type != "none" and scheme.owner != "instance",
            "consent": scheme.type == "oauth2_code",
            "owner": scheme.owner,
        }
        for scheme in current.module.auth.values()
    ]
    names = [doc["capability"] for doc in current.module.doc["capabilities"]]
    capabilities = [capability_summary(catalog, name, locale) for name in names if catalog.capability(name)]
    return module_summary(current, locale) | {"auth": schemes, "capabilities": capabilities}


def capability_summary(catalog: Catalog, name: str, locale: str) -> dict[str, Any]:
    """A capability in a list."""
    capability = catalog.capability(name)
    assert capability is not None
    doc = capability.doc
    return {
        "capability": name,
        "module": capability.module.id,
        "version": catalog.capabilities[name].version,
        "kind": capability.kind,
        "execution": capability.execution,
        "name": localised(doc.get("name"), locale) or name,
        "description": localised(doc.get("description"), locale),
    }


def capability_view(catalog: Catalog, name: str, locale: str) -> dict[str, Any]:
    """A capability with its parameters, output and example."""
    capability = catalog.capability(name)
    assert capability is not None
    doc = capability.doc
    return capability_summary(catalog, name, locale) | {
        "auth": list(capability.auth_ids),
        "connection_required": capability.needs_connection,
        "scopes": doc.get("scopes") or [],
        "params": localised_schema(capability.params.schema, locale),
        "output": localised_schema(doc.get("output"), locale),
        "sample": doc.get("sample"),
    }
