"""What the owner of a connection reads when it has to be made again, once, in their language."""

from taske_ray.db.connection_tokens import ReauthLetter

most_told = 20
"""So many administrators learn that a connection of the instance has to be made again."""

_letters = {
    "en": """Connection "{name}" has to be made again
{module} no longer accepts your connection "{name}". Until you connect it again, nothing uses it: its triggers are
paused and steps that need it fail.

Connect it again:   {link}
Or in a terminal:   taske connection reconnect {id}
""",
    "ko": """연결 "{name}"을(를) 다시 연결해야 합니다
{module}에서 연결 "{name}"을(를) 더 이상 받아들이지 않습니다. 다시 연결할 때까지 이 연결은 사용되지 않습니다.
이 연결의 트리거는 일시 중지되었고, 이 연결이 필요한 단계는 실패합니다.

다시 연결하기:     {link}
터미널에서:        taske connection reconnect {id}
""",
    "ja": """接続「{name}」を再接続してください
{module} が接続「{name}」を受け付けなくなりました。再接続するまで、この接続は使われません。
この接続のトリガーは一時停止し、この接続が必要なステップは失敗します。

再接続する:           {link}
ターミナルの場合:     taske connection reconnect {id}
""",
}


def reconnect_link(url: str, connection_id: str) -> str:
    """Where a browser makes a connection again; what stands behind the # reaches no server."""
    return f"{url}/reconnect#{connection_id}"


def reauth_letters(url: str, connection_id: str) -> list[ReauthLetter]:
    """The letter in every language; `{name}` and `{module}` are filled in where they are known."""
    found = []
    for locale, text in _letters.items():
        subject, _, body = text.partition("\n")
        link = reconnect_link(url, connection_id)
        found.append(ReauthLetter(locale, subject, body.replace("{link}", link).replace("{id}", connection_id)))
    return found
