"""The draft of a whole module: what a description says, and what only a person can know (format, section 8)."""

from collections.abc import Collection, Mapping
from typing import Any
from urllib.parse import urlsplit

from taske_ray.catalog.openapi import operations, security
from taske_ray.catalog.openapi.description import Description
from taske_ray.catalog.openapi.naming import identifier
from taske_ray.core.capability import parse_module, run_recorded_test
from taske_ray.errors import Invalid

_most_capabilities = 300
_no_address = "https://api.example.com"


def draft_module(
    document: Mapping[str, Any], *, module: str | None = None, tags: Collection[str] = (), auth: str | None = None
) -> dict[str, Any]:
    """A module document with `x-todo`, from an OpenAPI 3 or Swagger 2 description.

    `module` is its id (the title's words unless given), `tags` keep the operations of these, `auth` one security
    scheme. Raises Invalid for a description that cannot be read, or of which nothing is left.
    """
    description = Description(document)
    schemes, todos = security.schemes(description.security_schemes, auth)
    if auth is not None and not schemes:
        known = ", ".join(description.security_schemes) or "none"
        raise Invalid(f"the description has no security scheme '{auth}' that can be used; it has: {known}")
    name = module or identifier(description.title, "module")
    capabilities = _capabilities(description, name, tags, schemes)
    base_url = description.base_url or _no_address
    draft: dict[str, Any] = {
        "module": name,
        "name": {"en": description.title},
        **({"description": {"en": description.about}} if description.about else {}),
        "base_url": base_url,
        **({"auth": schemes} if schemes else {}),
        "capabilities": capabilities,
    }
    hosts = _token_hosts(schemes) - {urlsplit(base_url).netloc}
    if hosts:
        draft["allowed_hosts"] = [urlsplit(base_url).netloc, *sorted(hosts)]
    _keep_what_passes(draft)
    return draft | {"x-todo": [*_module_todos(description), *todos, *_capability_todos(capabilities)]}


def _capabilities(
    description: Description, module: str, tags: Collection[str], schemes: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    found = [each for each in description.operations() if not tags or set(tags) & set(each.tags)]
    if not found:
        known = sorted({tag for each in description.operations() for tag in each.tags})
        raise Invalid(f"no operation is left; the description's tags are: {', '.join(known) or 'none'}")
    if len(found) > _most_capabilities:
        raise Invalid(f"{len(found)} operations, and a module has {_most_capabilities} at most: choose by tag")
    taken: set[str] = set()
    scheme = schemes[0]["id"] if schemes else None
    return [operations.capability(each, module, taken, scheme) for each in found]


def _token_hosts(schemes: list[dict[str, Any]]) -> set[str]:
    """Where tokens come from, which is often not the base URL's host."""
    return {urlsplit(str(url)).netloc for scheme in schemes for url in (scheme.get("oauth") or {}).values()}


def _keep_what_passes(draft: dict[str, Any]) -> None:
    """Leave out the examples that the draft itself does not reproduce: a description's examples are often careless."""
    module = parse_module(draft)
    for each in draft["capabilities"]:
        parsed = module.capabilities[each["capability"]]
        kept = [case for case in each.pop("tests", ()) if not run_recorded_test(parsed, case)]
        if kept:
            each["tests"] = kept


def _module_todos(description: Description) -> list[dict[str, str]]:
    found = [
        ("/name", "What is it called in Korean and Japanese (`ko`, `ja`)?"),
        ("/errors", "Which answers are a rate limit, a revoked token, an error inside a 200?"),
        ("/rate_limits", "How many requests may a connection make, and which headers say what is left?"),
    ]
    if description.base_url is None:
        found.insert(0, ("/base_url", "The description has no absolute server address. Where is the service?"))
    return [{"pointer": pointer, "question": question} for pointer, question in found]


def _capability_todos(capabilities: list[dict[str, Any]]) -> list[dict[str, str]]:
    found = []
    for index, each in enumerate(capabilities):
        pointer = f"/capabilities/{index}"
        if each["request"]["method"] == "GET":
            found.append((f"{pointer}/response", "If this is a list: where are its items, and how does it go on?"))
        elif "idempotency" not in each:
            found.append((f"{pointer}/idempotency", "May it be sent again after a broken connection (keyed), or ask?"))
        found.append((f"{pointer}/name", "What is it called in Korean and Japanese?"))
    found.append(
        ("/capabilities", "Which lists are worth a trigger, with which key and cursor? Which webhooks are there?")
    )
    return [{"pointer": pointer, "question": question} for pointer, question in found]
