"""The mails about accounts, in the user's language: plain text, links only to our own public address."""

from datetime import timedelta
from uuid import UUID

from taske_ray.clock import new_id
from taske_ray.db.database import Database
from taske_ray.db.mails import add_mail, mails_to
from taske_ray.db.tables import Mail

_most_an_hour = 5

_letters = {
    ("verify", "en"): """Confirm your e-mail address
Open this page to confirm your address:

{link}

Or send this token to POST /auth/verify:

{token}

It works once, for 24 hours. If you did not sign up, ignore this mail.
""",
    ("verify", "ko"): """이메일 주소를 확인해 주세요
아래 주소를 열어 이메일 주소를 확인해 주세요:

{link}

또는 이 토큰을 POST /auth/verify 로 보내세요:

{token}

24시간 동안 한 번만 쓸 수 있습니다. 가입하지 않으셨다면 이 메일을 무시하세요.
""",
    ("verify", "ja"): """メールアドレスの確認
次のページを開いてアドレスを確認してください:

{link}

または次のトークンを POST /auth/verify に送ってください:

{token}

24時間以内に一度だけ使えます。心当たりがなければ、このメールは無視してください。
""",
    ("known", "en"): """You already have an account
Somebody, perhaps you, tried to sign up at {url} with this address.
You have an account already: log in as usual. If it was not you, there is nothing to do.
""",
    ("known", "ko"): """이미 계정이 있습니다
누군가(아마 본인이) 이 주소로 {url} 에 가입하려고 했습니다.
이미 계정이 있으니 평소처럼 로그인하세요. 본인이 아니라면 아무것도 하지 않아도 됩니다.
""",
    ("known", "ja"): """すでにアカウントがあります
このアドレスで {url} に登録しようとした人がいます。
すでにアカウントがありますので、いつも通りログインしてください。心当たりがなければ、何もする必要はありません。
""",
    ("compromised", "en"): """All your sessions were ended
A spent login token of your account at {url} was used a second time, which happens when it was stolen.
All sessions were ended. Log in again and change your password.
""",
    ("compromised", "ko"): """모든 세션이 종료되었습니다
{url} 계정의 이미 사용된 로그인 토큰이 다시 사용되었습니다. 도난되었을 수 있습니다.
모든 세션을 종료했습니다. 다시 로그인하고 비밀번호를 바꾸세요.
""",
    ("compromised", "ja"): """すべてのセッションを終了しました
{url} のアカウントの使用済みログイントークンがもう一度使われました。盗まれた可能性があります。
すべてのセッションを終了しました。もう一度ログインし、パスワードを変更してください。
""",
}


async def write_letter(
    database: Database, *, owner: UUID, to: str, purpose: str, locale: str, url: str, token: str = ""
) -> bool:
    """Queue a letter about an account; False when its address had its five of this purpose this hour."""
    subject, _, text = (_letters.get((purpose, locale)) or _letters[purpose, "en"]).partition("\n")
    async with database.transaction() as tx:
        if await mails_to(tx, owner=owner, purpose=purpose, within=timedelta(hours=1)) >= _most_an_hour:
            return False
        body = text.format(link=f"{url}/verify#token={token}", token=token, url=url)
        mail = Mail(id=new_id(), user_id=owner, recipients=[to], subject=subject, body_text=body, purpose=purpose)
        await add_mail(tx, mail)
    return True
