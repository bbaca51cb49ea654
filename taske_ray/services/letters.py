"""The mails about accounts, in the user's language: plain text, links only to our own public address.

The texts are `letter_texts/<language>/<purpose>.txt`; the first line is the subject, in which no code ever stands.
"""

from datetime import timedelta
from functools import cache
from importlib.resources import files

from taske_ray.clock import new_id
from taske_ray.db.database import Transaction
from taske_ray.db.mails import add_mail, mails_to
from taske_ray.db.one_time_tokens import add_one_time_token
from taske_ray.db.tables import Mail, User
from taske_ray.security.tokens import digest, new_token

languages = ("ko", "en", "ja")
most_an_hour = 5
token_lives = timedelta(hours=24)


async def write_letter(
    tx: Transaction, user: User, purpose: str, *, url: str, to: str | None = None, **values: str | int
) -> bool:
    """Queue a letter to a user, in the transaction that causes it; False when the address had its five this hour.

    `to`: another address of theirs than the account's. `values` fill the text in.
    """
    address = to or user.email
    if await mails_to(tx, address=address, purpose=purpose, within=timedelta(hours=1)) >= most_an_hour:
        return False
    subject, text = letter_text(user.locale, purpose)
    body = text.format(url=url, **values)
    mail = Mail(id=new_id(), user_id=user.id, recipients=[address], subject=subject, body_text=body, purpose=purpose)
    await add_mail(tx, mail)
    return True


async def write_token_letter(
    tx: Transaction,
    user: User,
    letter: str,
    *,
    purpose: str,
    url: str,
    to: str | None = None,
    lives: timedelta = token_lives,
    address: str | None = None,
    **values: str | int,
) -> bool:
    """A letter with a fresh token for one `purpose`, perhaps about an `address`; False when it was one too many."""
    token = new_token()
    if not await write_letter(tx, user, letter, url=url, to=to, token=token, **values):
        return False
    await add_one_time_token(tx, owner=user.id, digest=digest(token), purpose=purpose, lives=lives, address=address)
    return True


@cache
def letter_text(language: str, purpose: str) -> tuple[str, str]:
    """Subject and text of a letter; English for a language that we do not write."""
    chosen = language if language in languages else "en"
    place = files("taske_ray.services").joinpath("letter_texts", chosen, f"{purpose}.txt")
    subject, _, text = place.read_text(encoding="utf-8").partition("\n")
    return subject, text.lstrip("\n")
