"""A module and its capabilities as the engine uses them. Made by `parse_module`; nothing in them changes after."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from taske_ray.core.capability.document.auth import AuthScheme
from taske_ray.core.capability.document.expression import Expression
from taske_ray.core.capability.document.policy import ErrorRule, IdempotencySpec, RateHeaders, RateLimit
from taske_ray.core.capability.document.poll import PollSpec
from taske_ray.core.capability.document.request import Defaults, RequestSpec
from taske_ray.core.capability.document.response import PaginationSpec, PreSpec, ResponseSpec
from taske_ray.core.capability.document.schema import Shaped
from taske_ray.core.capability.params import ParamsSchema

Label = str | Mapping[str, str]
FORMAT: Final = "taske.capability/1"


@dataclass(frozen=True, slots=True)
class Policies:
    """What a module or a capability says about errors and limits."""

    errors: tuple[ErrorRule, ...] = ()
    rate_limits: tuple[RateLimit, ...] = ()
    rate_headers: RateHeaders | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Module:
    """An outside service. `allowed_hosts` and `base_url` may depend on `conn.config`; `hash` is that of `doc`."""

    id: str
    name: Label
    description: Label
    base_url: Expression | None
    allowed_hosts: tuple[Expression, ...]
    auth: dict[str, AuthScheme]
    defaults: Defaults
    policies: Policies
    app_webhook: dict[str, Any] | None
    capabilities: dict[str, "Capability"]
    enabled: bool
    categories: tuple[str, ...]
    icon: str | None
    docs_url: str | None
    version: int | None
    doc: dict[str, Any] = field(repr=False)
    hash: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Capability:
    """One thing a module can do: an action, a trigger or a lookup."""

    id: str
    kind: str
    execution: str
    executor: str | None
    name: Label
    description: Label
    module: Module
    auth_ids: tuple[str, ...]
    scopes: tuple[str, ...]
    params: ParamsSchema
    pre: tuple[PreSpec, ...]
    request: RequestSpec | None
    response: ResponseSpec
    pagination: PaginationSpec | None
    poll: PollSpec | None
    webhook: dict[str, Any] | None
    policies: Policies
    idempotency: IdempotencySpec
    output: dict[str, Any] | None
    shape_output: Callable[[Any], Shaped] = field(repr=False)
    sample: Any = field(repr=False)
    tests: tuple[dict[str, Any], ...] = field(repr=False)
    doc: dict[str, Any] = field(repr=False)
    hash: str = ""

    @property
    def needs_connection(self) -> bool:
        """Whether it cannot work without a connection: none of its schemes is of type `none`."""
        return all(self.module.auth[auth_id].type != "none" for auth_id in self.auth_ids)

    @property
    def errors(self) -> tuple[ErrorRule, ...]:
        """Its own rules, then the module's."""
        return self.policies.errors + self.module.policies.errors

    @property
    def rate_limits(self) -> tuple[RateLimit, ...]:
        """Its own limits and the module's: all of them must grant."""
        return self.policies.rate_limits + self.module.policies.rate_limits

    @property
    def rate_headers(self) -> RateHeaders | None:
        """Where the service says what is left."""
        return self.policies.rate_headers or self.module.policies.rate_headers


def canonical_hash(doc: Any) -> str:
    """SHA-256 of the canonical JSON of a document: sorted names, no white space, UTF-8."""
    text = json.dumps(doc, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
