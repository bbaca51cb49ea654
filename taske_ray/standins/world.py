"""What the stand-ins hold: files, channels, tokens, what they received, and how badly they should behave."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from taske_ray.standins.played import Player, services


@dataclass(frozen=True, slots=True)
class DriveFile:
    """A file in a folder of the drive."""

    id: str
    name: str
    folder: str
    modified: datetime
    mime_type: str = "application/vnd.google-apps.document"
    trashed: bool = False

    def resource(self) -> dict[str, Any]:
        """The file as the Drive API describes it."""
        stamp = (
            self.modified.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{self.modified.microsecond // 1000:03}Z"
        )
        return {
            "kind": "drive#file",
            "id": self.id,
            "name": self.name,
            "mimeType": self.mime_type,
            "modifiedTime": stamp,
            "createdTime": stamp,
            "parents": [self.folder],
            "trashed": self.trashed,
            "webViewLink": f"https://docs.google.com/document/d/{self.id}/edit",
        }


@dataclass(frozen=True, slots=True)
class Channel:
    """A channel of the workspace."""

    id: str
    name: str
    joined: bool = True
    archived: bool = False


@dataclass(frozen=True, slots=True)
class Received:
    """One request as it arrived."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes


@dataclass(slots=True)
class Drive:
    """A Google account: `refuse_next` answers that many requests with userRateLimitExceeded, `fail_next` with 503."""

    tokens: set[str] = field(default_factory=set)
    folders: set[str] = field(default_factory=set)
    files: list[DriveFile] = field(default_factory=list)
    email: str = "demo@example.com"
    refuse_next: int = 0
    fail_next: int = 0


@dataclass(slots=True)
class Slack:
    """A workspace: `messages` were posted; `per_channel_s` is the least time between two in a channel."""

    tokens: set[str] = field(default_factory=set)
    channels: list[Channel] = field(default_factory=list)
    messages: list[dict[str, Any]] = field(default_factory=list)
    team: str = "Taske demo"
    per_channel_s: float = 1.0
    fail_next: int = 0


def players() -> dict[str, Player]:
    """The providers that are played from documents, nobody known to them yet."""
    return {name: Player(document) for name, document in services().items()}


@dataclass(slots=True)
class World:
    """All providers and everything they received, in order."""

    drive: Drive = field(default_factory=Drive)
    slack: Slack = field(default_factory=Slack)
    players: dict[str, Player] = field(default_factory=players)
    received: list[Received] = field(default_factory=list)


demo_folder = "demo-folder"
demo_channel = "C0DEMO"
demo_google_token = "demo-google-token"  # noqa: S105 - accepted by the stand-in only
demo_slack_token = "xoxb-demo-slack-token"  # noqa: S105 - accepted by the stand-in only


def register(world: World, redirect_uri: str) -> None:
    """Register the client of every played login with an address to come back to."""
    for player in world.players.values():
        if player.login is not None:
            player.login.redirect_uris.add(redirect_uri)


def demo_world(now: datetime) -> World:
    """A folder in which some planning documents changed in the last week and others did not, and two channels."""
    changed = (
        ("신제품 기획서", 1),
        ("2분기 마케팅 기획서", 3),
        ("앱 개편 기획서 v2", 6),
        ("지난 달 기획서", 30),
        ("회의록", 2),
        ("예산안", 5),
    )
    files = [
        DriveFile(f"demo-file-{number}", name, demo_folder, now - timedelta(days=days))
        for number, (name, days) in enumerate(changed, 1)
    ]
    return World(
        Drive(tokens={demo_google_token}, folders={demo_folder}, files=files),
        Slack(tokens={demo_slack_token}, channels=[Channel(demo_channel, "기획"), Channel("C0GENERAL", "general")]),
    )
