"""`taske module …`: the catalog, and adding to it."""

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from taske_ray.cli.output import Format, Output, attribute, complain, show_list, show_one
from taske_ray.cli.service import read_document, service

if TYPE_CHECKING:
    from taske_ray.core.capability import Module

app = typer.Typer(no_args_is_help=True, help="Modules: outside services that tasks can talk to.")
_most_description_bytes = 32 * 1024 * 1024
File = Annotated[str, typer.Option("-f", "--file", help="A module document, YAML or JSON; - for standard input.")]

_COLUMNS = [
    ("MODULE", attribute("module")),
    ("NAME", attribute("name")),
    ("VERSION", attribute("version")),
    ("ORIGIN", attribute("origin")),
    ("DIVERGED", attribute("diverged")),
    ("ENABLED", attribute("enabled")),
]
_DETAILS = [
    *_COLUMNS,
    ("ABOUT", attribute("description")),
    ("CONNECT BY", lambda module: ", ".join(scheme.id for scheme in module.auth if scheme.available)),
    ("CAN", lambda module: ", ".join(capability.capability for capability in module.capabilities)),
]
_SAVED = [
    *((name.upper(), attribute(name)) for name in ("module", "version", "changed", "breaking")),
    ("CAPABILITIES", lambda saved: ", ".join(f"{name}@{version}" for name, version in saved.capabilities.items())),
    ("TASKS LEFT BEHIND", lambda saved: ", ".join(f"{use.id} ({use.capability})" for use in saved.affected_tasks)),
]
_CHANGED = [(name.upper(), attribute(name)) for name in ("pointer", "kind", "breaking")]
_TESTED = [(name.upper(), attribute(name)) for name in ("capability", "test", "passed", "differences")]


@app.command("list")
def list_modules(context: typer.Context, output: Output = Format.TABLE) -> None:
    """Show all modules; a diverged one was changed by an admin, and the shipped catalog leaves it alone."""
    with service(context) as taske:
        show_list(taske.modules.list(), _COLUMNS, output)


@app.command("get")
def get(context: typer.Context, module: str, output: Output = Format.TABLE) -> None:
    """Show one module with its ways to connect and its capabilities."""
    with service(context) as taske:
        show_one(taske.modules.get(module), _DETAILS, output)


@app.command("apply")
def apply(
    context: typer.Context,
    file: File,
    *,
    draft: Annotated[bool, typer.Option("--draft", help="Take a document that has open questions (x-todo).")] = False,
    output: Output = Format.TABLE,
) -> None:
    """Add or change a module (admin). It is usable at once."""
    document = read_document(file)
    with service(context) as taske:
        show_one(taske.modules.apply(document, draft=draft), _SAVED, output)


@app.command("diff")
def diff(context: typer.Context, file: File, output: Output = Format.TABLE) -> None:
    """Show what `apply` would change, and which tasks would stay on the version they have (admin)."""
    document = read_document(file)
    with service(context) as taske:
        found = taske.modules.diff(document)
    if output is Format.TABLE:
        show_list(found.changes, _CHANGED, output)
    show_one(found, _SAVED, output)


@app.command("import-openapi")
def import_openapi(
    source: Annotated[str, typer.Argument(metavar="FILE", help="OpenAPI 3 or Swagger 2, JSON or YAML; - for input.")],
    module: Annotated[str | None, typer.Option("--module", help="The module's id; else from the title.")] = None,
    tag: Annotated[
        list[str] | None, typer.Option("--tag", help="Only operations of this tag; may be repeated.")
    ] = None,
    auth: Annotated[str | None, typer.Option("--auth", help="Only this security scheme.")] = None,
) -> None:
    """Write a draft of a module document from an OpenAPI description, with a list of what is still to be said."""
    from taske_ray.catalog.document import write_yaml
    from taske_ray.catalog.openapi import draft_module

    description = read_document(source, most_bytes=_most_description_bytes)
    draft = draft_module(description, module=module, tags=tag or (), auth=auth)
    sys.stdout.write(write_yaml(draft))
    complain(f"{len(draft['capabilities'])} capabilities, {len(draft['x-todo'])} open questions under x-todo.")


@app.command("test")
def run_tests(
    module: Annotated[
        str | None, typer.Argument(help="A module that comes with Taske; all of them if left out.")
    ] = None,
    file: Annotated[
        str | None, typer.Option("-f", "--file", help="A module document instead; - for standard input.")
    ] = None,
    output: Output = Format.TABLE,
) -> None:
    """Run the recorded tests of a module document, without service and network; exit 1 if one fails."""
    results = [result for found in _modules(module, file) for result in _tested(found)]
    show_list(results, _TESTED, output)
    if not all(result["passed"] for result in results):
        raise typer.Exit(1)
    if not results:
        complain("There are no recorded tests in this module.")


def _modules(name: str | None, file: str | None) -> "list[Module]":
    from taske_ray.catalog.registry import load_modules
    from taske_ray.core.capability import parse_module

    if file is not None:
        return [parse_module(read_document(file))]
    known = load_modules()
    if name is not None and name not in known:
        raise typer.BadParameter(f"{name} is not in the catalog, which has: {', '.join(known)}")
    return [known[name]] if name is not None else list(known.values())


def _tested(module: "Module") -> list[dict[str, Any]]:
    from taske_ray.core.capability import run_recorded_test

    return [
        {
            "capability": capability.id,
            "test": case.get("name", str(number)),
            "passed": not (differences := run_recorded_test(capability, case)),
            "differences": differences,
        }
        for capability in module.capabilities.values()
        for number, case in enumerate(capability.tests, start=1)
    ]
