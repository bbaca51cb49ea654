"""Reads one capability of a module document (format, section 4)."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from taske_ray.core.capability.document import policy
from taske_ray.core.capability.document.expression import Expression, condition, template
from taske_ray.core.capability.document.literals import anything, capability_id, list_of, localised, one_of, table, text
from taske_ray.core.capability.document.names import (
    Names,
    Tree,
    cursor_names,
    page_names,
    response_names,
    run_names,
    tree_of,
)
from taske_ray.core.capability.document.place import Fields, Place, Reader
from taske_ray.core.capability.document.poll import PollSpec, poll
from taske_ray.core.capability.document.request import Defaults, RequestSpec, request, under
from taske_ray.core.capability.document.response import (
    PaginationSpec,
    PreSpec,
    ResponseSpec,
    pagination,
    pre_requests,
    response,
)
from taske_ray.core.capability.document.schema import Check, object_schema, output_shaper, properties_of, schema
from taske_ray.core.capability.document.webhook import WEBHOOK_REQUESTS, webhook
from taske_ray.core.capability.module import Capability, Module, Policies, canonical_hash
from taske_ray.core.capability.params import ParamsSchema

_executions: Final = {
    "action": ("http", "internal"),
    "trigger": ("poll", "webhook", "schedule", "internal"),
    "lookup": ("http",),
}
_closed: Final[dict[str, Any]] = {"type": "object", "additionalProperties": False, "properties": {}}
_fields: Final = (
    "execution executor description auth scopes params pre request response pagination poll webhook errors rate_limits"
    " rate_headers idempotency output sample tests"
)


def capability(place: Place, module: Module, lookups: Mapping[str, frozenset[str]]) -> Capability:
    """Reads a capability. `module` is made but for its capabilities; `lookups` are the parameters of each lookup."""
    fields = Fields(place, _fields, required="capability kind name")
    kind = fields.read("kind", one_of("action trigger lookup"), "action")
    execution = _execution(fields, kind)
    auth_ids = _auth_ids(fields, module)
    found = fields.read("params", object_schema, _closed)
    declared: Tree = tree_of(properties_of(found) | ({"every": {}} if execution == "poll" else {}))
    base = Names({"params": declared, "conn": connection_names(module, auth_ids), "now": None})
    _check_references(fields.place_of("params"), found, lookups)
    poll_spec, names, pre, own_request = _conversation(fields, base, module, execution)
    output = fields.read_optional("output", schema)
    return Capability(
        id=fields.read("capability", _id_in(module.id), ""),
        kind=kind,
        execution=execution,
        executor=_executor(fields, execution),
        name=fields.read("name", localised, ""),
        description=fields.read("description", localised, ""),
        module=module,
        auth_ids=auth_ids,
        scopes=fields.read("scopes", list_of(text), ()),
        params=ParamsSchema(
            found,
            _computed(fields.place_of("params"), base),
            poll_spec.min_every if poll_spec is not None else None,
        ),
        pre=pre,
        request=own_request,
        response=fields.read("response", response(names), ResponseSpec()),
        pagination=_pagination(fields, names),
        poll=poll_spec,
        webhook=_with_requests(fields.read_optional("webhook", webhook(base)), module.defaults),
        policies=policies(fields, names.public(), properties_of(found)),
        idempotency=fields.read(
            "idempotency", policy.idempotency(base), policy.default_idempotency(_method(own_request))
        ),
        output=output,
        shape_output=output_shaper(output),
        sample=_sample(fields, output),
        tests=fields.read("tests", list_of(table), ()),
        doc=place.value if isinstance(place.value, dict) else {},
        hash=canonical_hash(place.value),
    )


def policies(fields: Fields, names: Names, params: Mapping[str, Any]) -> Policies:
    """Reads `errors`, `rate_limits` and `rate_headers` of a module or capability."""
    seen = names.plus(response=response_names, page=page_names)
    weights = names.only("params").plus(run=run_names)
    return Policies(
        errors=fields.read("errors", policy.error_rules(seen), ()),
        rate_limits=fields.read("rate_limits", policy.rate_limits(weights, params), ()),
        rate_headers=fields.read_optional("rate_headers", policy.rate_headers),
    )


def connection_names(module: Module, auth_ids: tuple[str, ...]) -> Tree:
    """What `conn` holds under any of the schemes that are accepted."""
    merged: dict[str, dict[str, Tree]] = {"config": {}, "secret": {}}
    for auth_id in auth_ids:
        for half, names in (module.auth[auth_id].names or {}).items():
            merged[half] |= names or {}
    return merged


def _conversation(
    fields: Fields, base: Names, module: Module, execution: str
) -> tuple[PollSpec | None, Names, tuple[PreSpec, ...], RequestSpec | None]:
    """The requests of a capability, and the names that what comes after them may read."""
    names = base.plus(run=run_names).private()
    if execution == "poll":
        names = names.plus(cursor=cursor_names)
        _require(fields, "poll")
    pre = tuple(_with_defaults(each, module.defaults) for each in fields.read("pre", pre_requests(names), ()))
    names = names.plus(pre=tree_of(each.id for each in pre))
    if execution == "http" or (execution == "poll" and "executor" not in fields):
        _require(fields, "request")
    if execution == "webhook":
        _require(fields, "webhook")
    own = fields.read_optional("request", request(names))
    own = under(own, module.defaults) if own is not None else None
    return fields.read_optional("poll", poll(names)), names, pre, own


def _with_requests(block: dict[str, Any] | None, defaults: Defaults) -> dict[str, Any] | None:
    """A `webhook` block whose own requests have the module's defaults."""
    if block is None:
        return None
    calls = {name: block[name] for name in WEBHOOK_REQUESTS if block[name] is not None}
    filled = {
        name: {**call, "request": under(call["request"], defaults)}
        for name, call in calls.items()
        if call["request"] is not None
    }
    return {**block, **filled}


def _with_defaults(pre: PreSpec, defaults: Defaults) -> PreSpec:
    return replace(pre, request=under(pre.request, defaults))


def _require(fields: Fields, name: str) -> None:
    if isinstance(fields.place.value, dict) and name not in fields:
        fields.place.fail("missing", f"'{name}' is required", f"/{name}")


def _execution(fields: Fields, kind: str) -> str:
    implied = "http"
    if kind == "trigger":
        implied = "webhook" if "webhook" in fields else "poll"
    found = fields.read("execution", one_of("http internal poll webhook schedule"), implied)
    place = fields.place_of("execution")
    if place is not None and found not in _executions.get(kind, ()):
        place.fail("bad_combination", f"a {kind} cannot be executed as {found}")
    return found


def _executor(fields: Fields, execution: str) -> str | None:
    if execution in ("internal", "schedule"):
        _require(fields, "executor")
    return fields.read_optional("executor", text)


def _auth_ids(fields: Fields, module: Module) -> tuple[str, ...]:
    place = fields.place_of("auth")
    if place is None:
        return tuple(module.auth)
    for child in place.items():
        if child.value not in module.auth:
            child.fail("unknown_ref", "the module has no such auth scheme")
    return tuple(child for child in place.value if child in module.auth) if isinstance(place.value, list) else ()


def _id_in(module_id: str) -> Reader[str]:
    def read(place: Place) -> str:
        found = capability_id(place)
        if found and not found.startswith(f"{module_id}."):
            place.fail("bad_id", f"must start with '{module_id}.'")
        return found

    return read


def _method(own: RequestSpec | None) -> str | None:
    return own.literal_method if own is not None else None


def _pagination(fields: Fields, names: Names) -> PaginationSpec | None:
    return fields.read_optional("pagination", pagination(names))


def _computed(place: Place | None, names: Names) -> dict[str, Expression]:
    """The `x-default` of each parameter."""
    found: dict[str, Expression] = {}
    for name, child in _property_places(place).items():
        if "x-default" in child.value:
            found[name] = template(names.only("params", "now"))(child.child("x-default"))
    return found


def _check_references(place: Place | None, found: Mapping[str, Any], lookups: Mapping[str, frozenset[str]]) -> None:
    """The lookups and parameters that `x-options`, `x-schema` and `x-show-if` name."""
    declared = set(properties_of(found))
    scope = Names({"params": tree_of(declared), "now": None})
    for child in _property_places(place).values():
        for key in ("x-options", "x-schema"):
            if key in child.value:
                _check_lookup(child.child(key), declared, lookups)
        if "x-show-if" in child.value:
            condition(scope)(child.child("x-show-if"))


def _check_lookup(place: Place, declared: set[str], lookups: Mapping[str, frozenset[str]]) -> None:
    fields = Fields(place, "params search depends_on", required="lookup")
    lookup = fields.read("lookup", text, "")
    if lookup and lookup not in lookups:
        place.fail("unknown_ref", f"there is no lookup '{lookup}' in this module", "/lookup")
    for child in fields.read("depends_on", Place.items, []):
        if child.value not in declared:
            child.fail("unknown_ref", "there is no such parameter")
    search = fields.read_optional("search", anything)
    if isinstance(search, str) and lookup in lookups and search not in lookups[lookup]:
        place.fail("unknown_ref", "the lookup has no such parameter", "/search")


def _property_places(place: Place | None) -> dict[str, Place]:
    """Where each declared parameter stands."""
    if place is None or not isinstance(place.value, dict) or not isinstance(place.value.get("properties"), dict):
        return {}
    return {name: child for name, child in place.child("properties").members().items() if isinstance(child.value, dict)}


def _sample(fields: Fields, output: Mapping[str, Any] | None) -> Any:
    place = fields.place_of("sample")
    if place is None:
        return None
    for error in Check(output).errors(place.value) if output else ():
        place.fail("sample_mismatch", error.message, error.pointer)
    return place.value
