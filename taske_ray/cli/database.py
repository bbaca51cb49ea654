"""Commands that work on the database itself, while the service runs or not: `taske db`, `taske mail`, `taske user`."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from taske_ray.cli.output import Format, Output, attribute, say, show_list, working
from taske_ray.errors import Unavailable

if TYPE_CHECKING:
    from taske_ray.db.database import Database

T = TypeVar("T")

app = typer.Typer(no_args_is_help=True, help="The database.")
mails = typer.Typer(no_args_is_help=True, help="Mails that the service wrote.")
DataDir = Annotated[Path | None, typer.Option(help="The service's data directory; else TASKE_DATA_DIR.")]
_MAIL_COLUMNS = [(name.upper(), attribute(name)) for name in ("created_at", "status", "recipients", "subject", "error")]


@app.command("migrate")
def migrate(data_dir: DataDir = None) -> None:
    """Bring the database to this version's schema."""
    with working("Migrating the database"), database_url(data_dir):
        say("The database is up to date.")


@mails.command("list")
def list_mails(
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many, newest first.")] = 50,
    *,
    body: Annotated[bool, typer.Option("--body", help="Print the text of each mail too.")] = False,
    data_dir: DataDir = None,
    output: Output = Format.TABLE,
) -> None:
    """Show the outbox: without TASKE_SMTP_URL mails stay here."""
    from taske_ray.db import mails as rows
    from taske_ray.db.database import Database

    async def read(database: Database) -> list[dict[str, Any]]:
        async with database.transaction() as tx:
            return [mail.model_dump(mode="json") for mail in await rows.list_mails(tx, limit=limit)]

    with with_database(data_dir) as run:
        found = run(read)
    columns = [*_MAIL_COLUMNS, ("BODY", attribute("body_text"))] if body else _MAIL_COLUMNS
    show_list(found, columns, output)


@contextmanager
def database_url(data_dir: Path | None) -> Iterator[str]:
    """The url of the service's database, migrated; an embedded one that does not run is started for the block."""
    from taske_ray.db.embedded import EmbeddedPostgres
    from taske_ray.settings import Settings

    settings = Settings.from_env().with_options(data_dir=data_dir)
    if settings.database_url is not None:
        _upgrade(settings.database_url)
        yield settings.database_url
        return
    with EmbeddedPostgres(settings.data_dir).borrowed() as url:
        _upgrade(url)
        yield url


def _upgrade(url: str) -> None:
    from taske_ray.db.database import away
    from taske_ray.db.migrate import upgrade

    try:
        upgrade(url)
    except away as error:
        cause = getattr(error, "orig", None) or error
        raise Unavailable(f"The database is away: {str(cause).splitlines()[0]}") from error


@contextmanager
def with_database(data_dir: Path | None) -> "Iterator[Callable[[Callable[[Database], Awaitable[T]]], T]]":
    """Call what the block gets with a coroutine function that takes the Database."""
    from taske_ray.db.database import Database

    with working("Reaching the database"), database_url(data_dir) as url:

        async def act(work: Callable[[Database], Awaitable[T]]) -> T:
            database = await Database(url, row_connections=1, hot_connections=1).open()
            try:
                return await work(database)
            finally:
                await database.close()

        yield lambda work: asyncio.run(act(work))
