"""`taske account …`: what protects one's own account. No API key may do that: each command logs in and out again."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from taske_ray.cli.accounts import log_in, read_password
from taske_ray.cli.audit import Action, Limit, Result, Since, Until, show_acts
from taske_ray.cli.output import Format, Output, attribute, say, show_list
from taske_ray.cli.service import service

if TYPE_CHECKING:
    from taske_ray.sdk.client import Taske

app = typer.Typer(no_args_is_help=True, help="Your own account: each command asks for its password.")
Email = Annotated[str | None, typer.Option(help="Whose account; that of `taske login` unless said.")]
PasswordStdin = Annotated[bool, typer.Option("--password-stdin", help="Read the password from standard input.")]
Code = Annotated[str | None, typer.Option(envvar="TASKE_CODE", help="A code of the second factor, where one is asked.")]
_SESSIONS = [
    ("ID", attribute("id")),
    ("THIS ONE", attribute("current")),
    ("DEVICE", attribute("device")),
    ("ADDRESS", attribute("address")),
    ("BY", attribute("method")),
    ("BEGAN", attribute("created_at")),
    ("USED", attribute("last_used_at")),
]
_LOGINS = [
    ("ID", attribute("id")),
    ("PROVIDER", attribute("provider")),
    ("E-MAIL", attribute("email")),
    ("LINKED", attribute("created_at")),
    ("USED", attribute("last_used_at")),
]


@app.command("sessions")
def sessions(
    context: typer.Context,
    *,
    email: Email = None,
    password_stdin: PasswordStdin = False,
    code: Code = None,
    output: Output = Format.TABLE,
) -> None:
    """Show where the account is logged in."""
    with _oneself(context, email, code, password_stdin=password_stdin) as taske:
        show_list(taske.account.sessions(), _SESSIONS, output)


@app.command("end-session")
def end_session(
    context: typer.Context,
    session: str,
    *,
    email: Email = None,
    password_stdin: PasswordStdin = False,
    code: Code = None,
) -> None:
    """End a session: its tokens die at once."""
    with _oneself(context, email, code, password_stdin=password_stdin) as taske:
        taske.account.end_session(session)
    say(f"Ended {session}")


@app.command("logins")
def logins(
    context: typer.Context,
    *,
    email: Email = None,
    password_stdin: PasswordStdin = False,
    code: Code = None,
    output: Output = Format.TABLE,
) -> None:
    """Show the logins at providers that open the account."""
    with _oneself(context, email, code, password_stdin=password_stdin) as taske:
        show_list(taske.account.identities(), _LOGINS, output)


@app.command("unlink")
def unlink(
    context: typer.Context,
    login: str,
    *,
    email: Email = None,
    password_stdin: PasswordStdin = False,
    code: Code = None,
) -> None:
    """Let a login at a provider open the account no more; LOGIN is its id."""
    with _oneself(context, email, code, password_stdin=password_stdin) as taske:
        taske.account.unlink(login)
    say(f"Unlinked {login}")


@app.command("audit")
def audit(  # noqa: PLR0913 - its filters
    context: typer.Context,
    *,
    action: Action = None,
    result: Result = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = 50,
    email: Email = None,
    password_stdin: PasswordStdin = False,
    code: Code = None,
    output: Output = Format.TABLE,
) -> None:
    """Show what was done to and with the account, newest first; 90 days are kept."""
    with _oneself(context, email, code, password_stdin=password_stdin) as taske:
        only: dict[str, Any] = {"action": action, "result": result, "since": since, "until": until}
        show_acts(taske.audit.list(**only), limit, output)


@contextmanager
def _oneself(context: typer.Context, email: str | None, code: str | None, *, password_stdin: bool) -> "Iterator[Taske]":
    """A session of the account for one command."""
    with service(context) as taske:
        who = email or taske.account.me().email
        log_in(taske, who, read_password(from_stdin=password_stdin), code)
        try:
            yield taske
        finally:
            taske.account.logout()
