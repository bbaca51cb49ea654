"""`taske module …`: the catalog, and adding to it."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from taske_ray.cli.output import Format, Output, attribute, complain, show_list, show_one
from taske_ray.cli.service import read_document, service

if TYPE_CHECKING:
    from taske_ray.core.capability import Module

app = typer.Typer(no_args_is_help=True, help="Modules: outside services that tasks can talk to.")
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
_SAVED = [(name.upper(), attribute(name)) for name in ("module", "version", "changed", "capabilities")]
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
def apply(context: typer.Context, file: File, output: Output = Format.TABLE) -> None:
    """Add or change a module (admin). It is usable at once."""
    document = read_document(file)
    with service(context) as taske:
        show_one(taske.modules.apply(document), _SAVED, output)


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
