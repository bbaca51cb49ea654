"""The mails about accounts, in the user's language: plain text, links only to our own public address.

The texts are `letter_texts/<language>/<purpose>.txt`; the first line is the subject, in which no code ever stands.
"""

from datetime import timedelta
from functools import cache
from importlib.resources import files

from taske_ray.clock import new_id
from taske_ray.db.database import Transaction
from taske_ray.db.mails import add_mail, lock_mails_to, mail_token, mails_to
from taske_ray.db.one_time_tokens import add_one_time_token
from taske_ray.db.tables import Mail, User
from taske_ray.security.tokens import digest, new_token
from taske_ray.services.origin import Origin

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
    await lock_mails_to(tx, address=address, purpose=purpose)
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
    """A letter with a fresh token for one `purpose`; False when it was one too many.

    `address` comes into force, or back, with the token; `values` fill the text in.
    """
    token = new_token()
    if not await write_letter(tx, user, letter, url=url, to=to, token=token, **values):
        return False
    await add_one_time_token(tx, owner=user.id, digest=digest(token), purpose=purpose, lives=lives, address=address)
    return True


async def mail_token_to(  # noqa: PLR0913 - what a token is bound to
    tx: Transaction,
    email: str,
    purpose: str,
    *,
    url: str,
    lives: timedelta,
    action: str,
    origin: Origin,
    unverified: bool = False,
    password_hash: str | None = None,
) -> None:
    """A letter with a fresh token to whoever has an address, `unverified`: only while it is that; recorded as `action`.

    For an address without an account nothing is mailed, and it takes as long. `password_hash` comes into force with
    the token.
    """
    token = new_token()
    texts = [letter_text(language, purpose) for language in languages]
    await lock_mails_to(tx, address=email, purpose=purpose)
    await mail_token(
        tx,
        email=email,
        purpose=purpose,
        languages=list(languages),
        subjects=[subject for subject, _ in texts],
        bodies=[text.format(url=url, token=token) for _, text in texts],
        unverified=unverified,
        most=most_an_hour,
        digest=digest(token),
        password_hash=password_hash,
        lives=lives,
        mail_id=new_id(),
        audit_id=new_id(),
        action=action,
        address=origin.address,
    )


@cache
def letter_text(language: str, purpose: str) -> tuple[str, str]:
    """Subject and text of a letter; English for a language that we do not write."""
    chosen = language if language in languages else "en"
    place = files("taske_ray.services").joinpath("letter_texts", chosen, f"{purpose}.txt")
    subject, _, text = place.read_text(encoding="utf-8").partition("\n")
    return subject, text.lstrip("\n")
