"""The catalog on the wire: modules and capabilities, labelled in the caller's language."""

from typing import Literal

from pydantic import Field

from taske_ray.schemas.wire import Input, Json, Output

Kind = Literal["action", "trigger", "lookup"]


class AuthScheme(Output):
    """One way to connect; `fields` is the JSON Schema of what a connection takes."""

    id: str
    type: str
    name: str | None = None
    fields: dict[str, Json]
    available: bool = Field(default=True, description="whether a user can make a connection with it")
    consent: bool = Field(
        default=False, description="made by POST /connections/authorize: the user allows it elsewhere"
    )
    owner: Literal["connection", "instance"] = Field(
        default="connection", description="instance: an administrator connects it once, for everybody"
    )


class CapabilitySummary(Output):
    """One thing a module can do."""

    capability: str
    module: str
    version: int
    kind: Kind
    execution: str
    name: str
    description: str | None = None


class Capability(CapabilitySummary):
    """A capability with its parameters (JSON Schema), output and an example."""

    auth: list[str]
    connection_required: bool
    scopes: list[str] = Field(default_factory=list)
    params: dict[str, Json]
    output: dict[str, Json] | None = None
    sample: Json = None


class ModuleSummary(Output):
    """An outside service that tasks can talk to."""

    module: str
    version: int
    name: str
    description: str | None = None
    icon: str | None = None
    docs_url: str | None = None
    categories: list[str] = Field(default_factory=list)
    enabled: bool = True
    origin: Literal["catalog", "admin", "demo"]
    diverged: bool = Field(default=False, description="changed by an admin: the shipped catalog does not overwrite it")


class Module(ModuleSummary):
    """A module with its ways to connect and its capabilities."""

    auth: list[AuthScheme]
    capabilities: list[CapabilitySummary]


class ModuleChange(Output):
    """One place in which the document differs from the version before."""

    pointer: str = Field(description="in the new document; for what was removed, in the old one")
    kind: Literal["added", "removed", "changed"]
    breaking: bool = Field(description="tasks that were saved before stay on the version they have")


class AffectedTask(Output):
    """A task that uses a capability whose next version it does not move to by itself."""

    id: str
    capability: str
    version: int = Field(description="the version that the task was saved with")


class SavedModule(Output):
    """What a PUT of a module document did, or with `dry_run` would do."""

    module: str
    version: int
    changed: bool
    capabilities: dict[str, int] = Field(description="the version of each capability now")
    changes: list[ModuleChange] = Field(default_factory=list, description="against the version before")
    breaking: bool = Field(default=False, description="whether tasks could trip over it")
    affected_tasks: list[AffectedTask] = Field(
        default_factory=list, description="tasks of all users that stay on their version until they are saved again"
    )


class NewAppWebhook(Input):
    """What the deliveries to a module's one address are checked with, as the module's `app_webhook.fields` say."""

    fields: dict[str, Json]


class AppWebhook(Output):
    """A module's one address for all users of its app; secrets are never shown."""

    module: str
    hook_url: str
    fields: dict[str, dict[str, bool]]


class Invoke(Input):
    """Run one action now."""

    connection: str | None = None
    params: dict[str, Json] = Field(default_factory=dict)
