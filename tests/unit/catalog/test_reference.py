"""The written reference of the modules."""

from pathlib import Path

from taske_ray.catalog.reference import pages


def test_the_reference_is_current() -> None:
    """docs/reference/modules says what the catalog's documents say, and has no page of a module that is gone."""
    folder = Path(__file__).parents[3].joinpath("docs", "reference", "modules")
    assert {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir()} == pages()
