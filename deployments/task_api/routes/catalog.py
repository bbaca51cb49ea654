"""Modules and capabilities, for everyone to read and for admins to write."""

from typing import Annotated, Any

from fastapi import Body, Query
from starlette.responses import Response

from deployments.shared.answers import answer, nothing
from deployments.shared.application import router as new_router
from deployments.shared.gate import Caller, needs
from deployments.shared.paging import Page
from deployments.task_api.parts import Depth, Locale, Services
from taske_ray.schemas import catalog as wire
from taske_ray.schemas.wire import Page as WirePage
from taske_ray.services.modules import saved_view

router = new_router()
_document = Body(
    description="a module document (format `taske.capability/1`)",
    examples=[{"module": "acme", "name": "Acme", "base_url": "https://api.acme.example", "capabilities": []}],
)


@router.get("/modules", response_model=WirePage[wire.ModuleSummary], openapi_extra=needs("read", one_task=True))
async def list_modules(services: Services, locale: Locale, page: Page) -> Response:
    """Every module, by id."""
    found = page.of(await services.modules.list(locale=locale), "module")

    async def read(limit: int) -> Any:
        return found[:limit]

    return await page.page(read, "module")


@router.get("/modules/{module}", response_model=wire.Module, openapi_extra=needs("read", one_task=True))
async def get_module(module: str, services: Services, locale: Locale) -> Response:
    """A module with its ways to connect and its capabilities."""
    return answer(await services.modules.get(module, locale=locale))


@router.get(
    "/capabilities", response_model=WirePage[wire.CapabilitySummary], openapi_extra=needs("read", one_task=True)
)
async def list_capabilities(
    services: Services,
    locale: Locale,
    page: Page,
    kind: Annotated[wire.Kind | None, Query()] = None,
    module: Annotated[str | None, Query(max_length=40)] = None,
    q: Annotated[str | None, Query(max_length=200, description="words in ids, names and descriptions")] = None,
) -> Response:
    """Capabilities, by id."""
    every = await services.modules.capabilities(locale=locale, kind=kind, module=module, words=q)
    found = page.of(every, "capability")

    async def read(limit: int) -> Any:
        return found[:limit]

    return await page.page(read, "capability")


@router.get("/capabilities/{capability}", response_model=wire.Capability, openapi_extra=needs("read", one_task=True))
async def get_capability(capability: str, services: Services, locale: Locale) -> Response:
    """A capability with its parameters, output and an example."""
    return answer(await services.modules.capability(capability, locale=locale))


@router.post("/capabilities/{capability}/invoke", openapi_extra=needs("write"), responses={409: {}, 404: {}})
async def invoke(capability: str, body: wire.Invoke, caller: Caller, services: Services, depth: Depth) -> Response:
    """Run one action now; the answer is its output."""
    output = await services.invocations.invoke(
        capability, owner=caller.user_id, connection=body.connection, params=body.params, depth=depth
    )
    return answer(output)


@router.put(
    "/admin/modules/{module}",
    response_model=wire.SavedModule,
    openapi_extra=needs("admin"),
    responses={409: {"description": "the stated version is neither the current nor the next one"}},
)
async def put_module(
    module: str,
    document: Annotated[dict[str, Any], _document],
    caller: Caller,
    services: Services,
    draft: Annotated[bool, Query(description="take a document that has open questions (`x-todo`)")] = False,  # noqa: FBT002 - a query
    dry_run: Annotated[bool, Query(description="save nothing, only tell what it would change")] = False,  # noqa: FBT002 - a query
) -> Response:
    """Save a module document as its newest version; every process uses it within two seconds."""
    saved = await services.modules.put(module, document, by=caller.user_id, draft=draft, dry_run=dry_run)
    return answer(saved_view(saved))


@router.get("/admin/modules/{module}/app-webhook", response_model=wire.AppWebhook, openapi_extra=needs("admin"))
async def get_app_webhook(module: str, caller: Caller, services: Services) -> Response:
    """The address to give to the service for all users of this instance's app, and which of its secrets are set."""
    return answer(await services.app_hooks.get(module, admin=caller.user_id))


@router.put(
    "/admin/modules/{module}/app-webhook",
    response_model=wire.AppWebhook,
    openapi_extra=needs("admin"),
    responses={404: {}, 409: {"description": "the module has no such webhook"}},
)
async def put_app_webhook(module: str, body: wire.NewAppWebhook, caller: Caller, services: Services) -> Response:
    """Save what the app's deliveries are checked with; the address stays the same."""
    return answer(await services.app_hooks.put(module, body.fields, admin=caller.user_id))


@router.delete(
    "/admin/modules/{module}/app-webhook", status_code=204, response_class=Response, openapi_extra=needs("admin")
)
async def delete_app_webhook(module: str, caller: Caller, services: Services) -> Response:
    """End the address at once."""
    await services.app_hooks.delete(module, admin=caller.user_id)
    return nothing()


@router.delete("/admin/modules/{module}", status_code=204, response_class=Response, openapi_extra=needs("admin"))
async def retire_module(module: str, caller: Caller, services: Services) -> Response:
    """Retire a module: nothing new may refer to it; runs finish on the versions they know."""
    await services.modules.retire(module, by=caller.user_id)
    return nothing()
