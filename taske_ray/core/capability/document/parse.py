"""Reads a whole module document (format, sections 1 and 3): `parse_module`."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final
from urllib.parse import urlsplit

from taske_ray.core.capability.document.auth import AuthScheme, auth_scheme, bound_hosts, implied_scheme
from taske_ray.core.capability.document.capability import capability, connection_names, policies
from taske_ray.core.capability.document.expression import Expression, constant, template
from taske_ray.core.capability.document.hosts import host_of, is_allowed
from taske_ray.core.capability.document.literals import (
    address,
    boolean,
    identifier,
    integer,
    is_address,
    list_of,
    localised,
    text,
)
from taske_ray.core.capability.document.names import Names
from taske_ray.core.capability.document.place import Fields, Place, Report
from taske_ray.core.capability.document.request import Defaults, RequestSpec, defaults, literal_url, under
from taske_ray.core.capability.document.schema import properties_of
from taske_ray.core.capability.document.webhook import WEBHOOK_REQUESTS, app_webhook
from taske_ray.core.capability.module import FORMAT, Capability, Module, Policies, canonical_hash

_most_capabilities: Final = 300
_most_bytes: Final = 1024 * 1024
_fields: Final = (
    "format version description icon docs_url categories enabled base_url allowed_hosts auth defaults errors"
    " rate_limits rate_headers app_webhook"
)


def parse_module(doc: Any) -> Module:
    """A module from its document. Raises `Invalid` with all errors at once; compiles every template and schema once."""
    report = Report()
    place = Place(doc, "", report)
    if not isinstance(doc, dict):
        place.fail("wrong_type", "a module document must be an object")
        report.raise_if_any("the document is not valid")
    _check_size(place)
    fields = Fields(place, _fields, required="module name capabilities")
    module = _module(fields, doc)
    module.capabilities.update(_capabilities(fields, module))
    _check_hosts(fields, module)
    report.raise_if_any("the module document is not valid")
    return module


def _module(fields: Fields, doc: dict[str, Any]) -> Module:
    """The module without its capabilities: those are read against it."""
    fields.read("format", _format, FORMAT)
    auth = _auth(fields)
    names = _names(auth)
    bare = Module(
        id=fields.read("module", identifier, ""),
        name=fields.read("name", localised, ""),
        description=fields.read("description", localised, ""),
        base_url=fields.read_optional("base_url", template(names)),
        allowed_hosts=(),
        auth=auth,
        defaults=fields.read("defaults", defaults(names), Defaults()),
        policies=policies(fields, names, {}),
        app_webhook=fields.read_optional("app_webhook", app_webhook),
        capabilities={},
        enabled=fields.read("enabled", boolean, default=True),
        categories=fields.read("categories", list_of(text, 0, 5), ()),
        icon=fields.read_optional("icon", address),
        docs_url=fields.read_optional("docs_url", address),
        version=fields.read_optional("version", integer(1)),
        doc=doc,
        hash=canonical_hash({name: part for name, part in doc.items() if name != "version"}),
    )
    return replace(bare, allowed_hosts=_allowed_hosts(fields, bare, names))


def _names(auth: dict[str, AuthScheme]) -> Names:
    bare = Module(
        "",
        "",
        "",
        None,
        (),
        auth,
        Defaults(),
        Policies(),
        None,
        {},
        enabled=True,
        categories=(),
        icon=None,
        docs_url=None,
        version=None,
        doc={},
    )
    return Names({"conn": connection_names(bare, tuple(auth))})


def _check_size(place: Place) -> None:
    try:
        size = len(json.dumps(place.value, ensure_ascii=False).encode("utf-8", "surrogatepass"))
    except (TypeError, ValueError, RecursionError):
        place.fail("wrong_type", "a module document must be JSON")
        place.report.raise_if_any("the document is not valid")
        return
    if size > _most_bytes:
        place.fail("out_of_range", "a module document may have 1 MiB")
        place.report.raise_if_any("the document is not valid")


def _format(place: Place) -> str:
    if place.value != FORMAT:
        place.fail("unsupported", f"must be '{FORMAT}'")
    return FORMAT


def _auth(fields: Fields) -> dict[str, AuthScheme]:
    place = fields.place_of("auth")
    if place is None:
        return {"none": implied_scheme()}
    found: dict[str, AuthScheme] = {}
    for child in place.items():
        scheme = auth_scheme(child)
        if scheme.id in found:
            child.fail("duplicate", f"'{scheme.id}' is there already", "/id")
        test = under(scheme.test, Defaults()) if scheme.test is not None else None
        found[scheme.id] = replace(scheme, test=test)
    return found


def _allowed_hosts(fields: Fields, module: Module, names: Names) -> tuple[Expression, ...]:
    literal = _literal_base(fields, module)
    given = fields.read_optional("allowed_hosts", bound_hosts(names))
    if given is not None:
        _check_star(fields, module, given)
        return given
    if literal is not None:
        return (constant(host_of(literal), "/allowed_hosts"),)
    if _sends_requests(fields):
        fields.place.fail("missing", "'allowed_hosts' is required without a literal base_url", "/allowed_hosts")
    return ()


def _literal_base(fields: Fields, module: Module) -> str | None:
    base = module.base_url
    if base is None or not base.constant:
        return None
    found = base.evaluate({})
    if not isinstance(found, str) or not is_address(found) or urlsplit(found).query or urlsplit(found).fragment:
        fields.place.fail("bad_url", "must be an absolute https URL without query", "/base_url")
        return None
    return found


def _sends_requests(fields: Fields) -> bool:
    """Whether any capability of the document has a request: a module of internal capabilities needs no hosts."""
    place = fields.place_of("capabilities")
    found = place.value if place is not None and isinstance(place.value, list) else []
    return any(
        isinstance(each, dict) and ("request" in each or "subscribe" in _block(each, "webhook")) for each in found
    )


def _block(found: dict[str, Any], name: str) -> dict[str, Any]:
    block = found.get(name)
    return block if isinstance(block, dict) else {}


def _check_star(fields: Fields, module: Module, hosts: tuple[Expression, ...]) -> None:
    """`*` would send a credential anywhere, unless each scheme with a secret says itself where that may go."""
    if any(host.constant and host.evaluate({}) == "*" for host in hosts):
        unbound = [scheme.id for scheme in module.auth.values() if scheme.has_secret and not _bound(scheme)]
        if unbound:
            message = f"'*' needs allowed_hosts of their own for: {', '.join(unbound)}"
            fields.place.fail("unbound_secret", message, "/allowed_hosts")


def _bound(scheme: AuthScheme) -> bool:
    hosts = scheme.allowed_hosts or ()
    return bool(hosts) and not any(host.constant and host.evaluate({}) == "*" for host in hosts)


def _capabilities(fields: Fields, module: Module) -> dict[str, Capability]:
    place = fields.place_of("capabilities")
    if place is None:
        return {}
    places = place.items()
    if isinstance(place.value, list) and not 1 <= len(places) <= _most_capabilities:
        place.fail("out_of_range", f"must have 1 to {_most_capabilities} capabilities")
    lookups = dict(_lookups(place.value))
    found = [capability(child, module, lookups) for child in places if _is_object(child)]
    for index, (name, count) in enumerate(Counter(each.id for each in found).items()):
        if count > 1:
            place.fail("duplicate", f"'{name}' is there {count} times", f"/{index}/capability")
    for child, each in zip(places, found, strict=False):
        _check_path(child, each)
    return {each.id: each for each in found}


def _is_object(place: Place) -> bool:
    if not isinstance(place.value, dict):
        place.fail("wrong_type", "must be an object")
    return isinstance(place.value, dict)


def _lookups(found: Any) -> Iterator[tuple[str, frozenset[str]]]:
    """The lookups of a document with their parameters, before anything is read."""
    for each in found if isinstance(found, list) else ():
        if isinstance(each, dict) and each.get("kind") == "lookup" and isinstance(each.get("capability"), str):
            params = each.get("params")
            yield each["capability"], frozenset(properties_of(params) if isinstance(params, dict) else ())


def _requests(each: Capability) -> Iterator[RequestSpec]:
    yield from (pre.request for pre in each.pre)
    if each.request is not None:
        yield each.request
    block = each.webhook or {}
    calls = (block.get(name) or {} for name in WEBHOOK_REQUESTS)
    yield from (call["request"] for call in calls if call.get("request") is not None)


def _check_path(place: Place, each: Capability) -> None:
    if each.module.base_url is None and any(spec.target.relative and spec.target.pieces for spec in _requests(each)):
        place.fail("missing", "a request with 'path' needs the module's base_url", "/request/path")


def _check_hosts(fields: Fields, module: Module) -> None:
    """Every literal URL of the document must match the literal hosts; templates are checked before sending."""
    if not all(host.constant for host in module.allowed_hosts):
        return
    patterns = [str(host.evaluate({})) for host in module.allowed_hosts]
    for pointer, url in _literal_urls(module):
        if patterns and is_address(url) and not is_allowed(url, patterns):
            Place(url, pointer, fields.place.report).fail("host_not_allowed", f"not in allowed_hosts: {host_of(url)}")


def _literal_urls(module: Module) -> Iterator[tuple[str, str]]:
    if module.base_url is not None and module.base_url.constant:
        yield "/base_url", str(module.base_url.evaluate({}))
    specs = [spec for each in module.capabilities.values() for spec in _requests(each)]
    specs += [spec for scheme in module.auth.values() for spec in scheme.requests]
    for spec in specs:
        literal = literal_url(spec.target)
        if literal is not None:
            yield f"{spec.pointer}/url", literal
    for index, scheme in enumerate(module.auth.values()):
        for block, part in (("oauth", scheme.oauth), ("jwt", scheme.jwt)):
            for name in ("authorize_url", "token_url", "refresh_url", "revoke_url"):
                url = getattr(part, name, None)
                if url:
                    yield f"/auth/{index}/{block}/{name}", url
