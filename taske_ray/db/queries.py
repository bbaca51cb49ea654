"""The statements of `db/sql`, one per file, by the file's name: `queries.claim_runs`."""

from functools import cache
from importlib.resources import files


@cache
def statement(name: str) -> str:
    """The text of `db/sql/<name>.sql`."""
    return files("taske_ray.db").joinpath("sql", f"{name}.sql").read_text(encoding="utf-8")


def __getattr__(name: str) -> str:
    try:
        return statement(name)
    except FileNotFoundError:
        raise AttributeError(name) from None
