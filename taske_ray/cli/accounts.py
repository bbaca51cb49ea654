"""`taske user create` and `role` (directly in the database) and `taske login` (over HTTP)."""

import socket
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from taske_ray.cli.output import complain, is_terminal, say

if TYPE_CHECKING:
    from taske_ray.errors import SecondFactorRequired
    from taske_ray.schemas.auth import TokenPair
    from taske_ray.sdk.client import Taske

users = typer.Typer(no_args_is_help=True, help="Accounts, made by the operator.")
DataDir = Annotated[Path | None, typer.Option(help="The service's data directory; else TASKE_DATA_DIR.")]


class Role(StrEnum):
    """What somebody may do."""

    user = "user"
    admin = "admin"


@users.command("create")
def create_user(
    email: str,
    *,
    admin: Annotated[bool, typer.Option("--admin", help="May change modules and read metrics.")] = False,
    password_stdin: Annotated[bool, typer.Option("--password-stdin", help="Read the password from standard input.")] = (
        False
    ),
    data_dir: DataDir = None,
) -> None:
    """Create an active account, whether the service runs or not."""
    from taske_ray.cli.database import with_database
    from taske_ray.db.database import Database
    from taske_ray.security.hashing import PasswordHashing
    from taske_ray.services.accounts import AccountRules, Accounts

    password = read_password(from_stdin=password_stdin, twice=True)

    async def create(database: Database) -> str:
        accounts = Accounts(database, hashing=PasswordHashing(), rules=AccountRules())
        return await accounts.create_user(email, password, admin=admin)

    with with_database(data_dir) as run:
        user_id = run(create)
    say(f"Created {user_id}")


@users.command("role")
def set_role(email: str, role: Role, *, data_dir: DataDir = None) -> None:
    """Make somebody an administrator, or no longer; their sessions end at once, whether the service runs or not."""
    from taske_ray.cli.database import with_database
    from taske_ray.db.database import Database
    from taske_ray.security.hashing import PasswordHashing
    from taske_ray.services.accounts import AccountRules, Accounts

    async def change(database: Database) -> str:
        accounts = Accounts(database, hashing=PasswordHashing(), rules=AccountRules())
        return await accounts.set_role(email, admin=role is Role.admin)

    with with_database(data_dir) as run:
        user_id = run(change)
    say(f"{user_id} is {role.value}")


def login(
    url: Annotated[str | None, typer.Option(help="Which service; else TASKE_URL, else the local one.")] = None,
    email: Annotated[str | None, typer.Option(help="Whose account.")] = None,
    *,
    password_stdin: Annotated[bool, typer.Option("--password-stdin", help="Read the password from standard input.")] = (
        False
    ),
    api_key_stdin: Annotated[bool, typer.Option("--api-key-stdin", help="Read an API key from standard input.")] = (
        False
    ),
    code: Annotated[
        str | None, typer.Option(envvar="TASKE_CODE", help="A code of the second factor, where one is asked for.")
    ] = None,
    challenge: Annotated[
        str | None, typer.Option(help="Go on with a login that asked for a mailed code: needs --code, no password.")
    ] = None,
) -> None:
    """Remember an API key for this service in a file that only you can read; with a password, a new key is made."""
    from taske_ray.sdk.client import Taske
    from taske_ray.sdk.logins import SavedLogin, write_login
    from taske_ray.settings import default_service_url, service_address

    address = (url or service_address()[0] or default_service_url).rstrip("/")
    if api_key_stdin:
        key = _line()
    elif challenge:
        key = _key_after(address, challenge, code or _ask("Code", "--code"))
    else:
        key = _new_key(address, email or _ask("E-mail", "--email"), read_password(from_stdin=password_stdin), code)
    with Taske(address, key) as taske:
        me = taske.account.me()
    file = write_login(SavedLogin(url=address, api_key=key))
    say(f"Logged in to {address} as {me.email}; the key is in {file}")


def read_password(*, from_stdin: bool, twice: bool = False) -> str:
    """A password from standard input or, with a terminal, asked for without echo."""
    if from_stdin:
        return _line()
    if not is_terminal():
        raise typer.BadParameter("without a terminal the password comes from standard input: --password-stdin")
    answer: str = typer.prompt("Password", hide_input=True, confirmation_prompt=twice, err=True)
    return answer


def log_in(taske: "Taske", email: str, password: str, code: str | None) -> "TokenPair":
    """Let this client speak for who knows the password, and the code where one is asked for."""
    from taske_ray.errors import SecondFactorRequired

    try:
        return taske.account.login(email, password, code=code)
    except SecondFactorRequired as due:
        return taske.account.second_factor(due.challenge, _code_for(due))


def _new_key(address: str, email: str, password: str, code: str | None) -> str:
    from taske_ray.sdk.client import Taske

    with Taske(address) as taske:
        return _made_key(taske, log_in(taske, email, password, code))


def _key_after(address: str, challenge: str, code: str) -> str:
    from taske_ray.sdk.client import Taske

    with Taske(address) as taske:
        return _made_key(taske, taske.account.second_factor(challenge, code))


def _made_key(taske: "Taske", tokens: "TokenPair") -> str:
    if tokens.password_change_required:
        _choose_password(taske)
    key: str = taske.api_keys.create(f"taske login on {socket.gethostname()}").key
    taske.account.logout()
    return key


def _choose_password(taske: "Taske") -> None:
    """Until there is another one, this session may do nothing else."""
    from taske_ray.errors import Forbidden

    told = "This account was in danger and needs another password"
    if not is_terminal():
        raise Forbidden(f"{told}: log in on a terminal, or reset it by mail", code="password_change_required")
    complain(f"{told}.")
    taske.account.change_password(read_password(from_stdin=False, twice=True))


def _code_for(due: "SecondFactorRequired") -> str:
    """A code from whoever sits there; without a terminal, how to go on."""
    mailed = "mail" in due.methods
    if not is_terminal():
        again = f"a code was mailed: run again with --challenge {due.challenge} --code CODE" if mailed else "--code"
        raise typer.BadParameter(f"this account asks for a second factor: {again}")
    answer: str = typer.prompt("Code (mailed to you)" if mailed else "Code of your app, or a recovery code", err=True)
    return answer


def _ask(question: str, option: str) -> str:
    if not is_terminal():
        raise typer.BadParameter(f"without a terminal {option} is needed")
    answer: str = typer.prompt(question, err=True)
    return answer


def _line() -> str:
    line = sys.stdin.readline().rstrip("\r\n")
    if not line:
        raise typer.BadParameter("standard input is empty")
    return line
