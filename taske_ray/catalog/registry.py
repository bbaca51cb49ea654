"""The modules that come with Taske: documents beside this file, loaded into the database as rows."""

from functools import cache
from importlib.resources import files
from typing import Any

from taske_ray.catalog.document import parse_yaml
from taske_ray.core.capability import Module, parse_module
from taske_ray.errors import Invalid


def load_documents() -> list[dict[str, Any]]:
    """Every document of the catalog, by file name. Raises `Invalid` naming the file that cannot be read."""
    documents = []
    for path in sorted(files("taske_ray.catalog").joinpath("modules").iterdir(), key=lambda path: path.name):
        if path.name.endswith(".yaml"):
            try:
                documents.append(parse_yaml(path.read_text(encoding="utf-8")))
            except Invalid as error:
                raise Invalid(f"{path.name}: {error.message}") from None
    return documents


@cache
def load_modules() -> dict[str, Module]:
    """The catalog's modules by id, parsed once per process."""
    modules = (parse_module(document) for document in load_documents())
    return {module.id: module for module in modules}
