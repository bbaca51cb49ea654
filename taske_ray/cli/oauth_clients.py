"""`taske oauth-client …`: how this service is registered with providers, for administrators."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from taske_ray.cli.output import Format, Output, attribute, is_terminal, say, show_list
from taske_ray.cli.service import service

if TYPE_CHECKING:
    from taske_ray.sdk.client import Taske

app = typer.Typer(no_args_is_help=True, help="OAuth clients: this service's registrations with providers (admin).")
Auth = Annotated[str | None, typer.Option(help="The way to connect; needed if the module has several with a client.")]
_COLUMNS = [
    ("MODULE", attribute("module")),
    ("AUTH", attribute("auth")),
    ("CLIENT ID", attribute("client_id")),
    ("SECRET", attribute("client_secret")),
    ("REDIRECT ADDRESS", attribute("redirect_uri")),
]


@app.command("list")
def list_clients(context: typer.Context, output: Output = Format.TABLE) -> None:
    """Show all clients; of a secret, its last characters at most."""
    with service(context) as taske:
        show_list(taske.oauth_clients.list(), _COLUMNS, output)


@app.command("set")
def set_client(
    context: typer.Context,
    module: str,
    *,
    client_id: Annotated[str, typer.Option(help="As the provider gave it.")],
    auth: Auth = None,
    secret_stdin: Annotated[
        bool, typer.Option("--secret-stdin", help="Read the client's secret from standard input.")
    ] = False,
    public: Annotated[bool, typer.Option("--public", help="The client has no secret.")] = False,
    output: Output = Format.TABLE,
) -> None:
    """Store the client that everybody connects with who brings none; register its redirect address at the provider."""
    if public and secret_stdin:
        raise typer.BadParameter("a public client has no secret", param_hint="--public")
    secret = None if public else _secret(from_stdin=secret_stdin)
    with service(context) as taske:
        way = auth or _only_way(taske, module)
        show_list([taske.oauth_clients.put(module, way, client_id, secret)], _COLUMNS, output)


@app.command("delete")
def delete(context: typer.Context, module: str, *, auth: Auth = None) -> None:
    """Forget a client; connections that live on it work until their tokens end."""
    with service(context) as taske:
        way = auth or _only_way(taske, module)
        taske.oauth_clients.delete(module, way)
    say(f"Deleted {module}/{way}")


def _secret(*, from_stdin: bool) -> str:
    if from_stdin:
        line = sys.stdin.readline().rstrip("\r\n")
        if not line:
            raise typer.BadParameter("standard input is empty")
        return line
    if not is_terminal():
        raise typer.BadParameter("without a terminal the secret comes from standard input: --secret-stdin")
    answer: str = typer.prompt("Client secret", hide_input=True, err=True)
    return answer


def _only_way(taske: "Taske", module: str) -> str:
    ways = [scheme.id for scheme in taske.modules.get(module).auth if scheme.type.startswith("oauth2_")]
    if len(ways) != 1:
        raise typer.BadParameter(
            f"{module} has {', '.join(ways) or 'no way with an OAuth client'}", param_hint="--auth"
        )
    return ways[0]
