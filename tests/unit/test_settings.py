"""Settings: providers to log in with, and that children are told exactly what their parent knows."""

import pytest

from taske_ray.errors import StartRefused
from taske_ray.settings import Settings, SocialLogin

GOOGLE = {"TASKE_OIDC_GOOGLE_CLIENT_ID": "g-id", "TASKE_OIDC_GOOGLE_CLIENT_SECRET": "g-secret"}


def test_no_provider_is_none():
    """Without variables nobody logs in elsewhere; an empty variable is as good as none."""
    assert Settings.from_env({"TASKE_OIDC_GOOGLE_CLIENT_ID": ""}).social_logins == ()


def test_google_and_github_need_no_issuer():
    """Both are known by name; any other provider says where it is, and its name may have parts."""
    env = GOOGLE | {
        "TASKE_OIDC_GITHUB_CLIENT_ID": "h-id",
        "TASKE_OIDC_GITHUB_SECRET": "h-secret",
        "TASKE_OIDC_MY_CORP_CLIENT_ID": "c-id",
        "TASKE_OIDC_MY_CORP_CLIENT_SECRET": "c-secret",
        "TASKE_OIDC_MY_CORP_ISSUER": "https://id.example.com/realms/one/",
    }
    assert Settings.from_env(env).social_logins == (
        SocialLogin("github", "h-id", "h-secret", "https://github.com"),
        SocialLogin("google", "g-id", "g-secret", "https://accounts.google.com"),
        SocialLogin("my_corp", "c-id", "c-secret", "https://id.example.com/realms/one/"),
    )


@pytest.mark.parametrize(
    ("env", "named"),
    [
        ({"TASKE_OIDC_GOOGLE_CLIENT_ID": "x"}, "TASKE_OIDC_GOOGLE_CLIENT_SECRET"),
        ({"TASKE_OIDC_GOOGLE_SECRET": "x"}, "TASKE_OIDC_GOOGLE_CLIENT_ID"),
        (GOOGLE | {"TASKE_OIDC_GOOGLE_SECRET": "another"}, "TASKE_OIDC_GOOGLE_CLIENT_SECRET"),
        ({"TASKE_OIDC_CORP_CLIENT_ID": "x", "TASKE_OIDC_CORP_SECRET": "x"}, "TASKE_OIDC_CORP_ISSUER"),
        (GOOGLE | {"TASKE_OIDC_GOOGLE_SCOPE": "x"}, "TASKE_OIDC_GOOGLE_SCOPE"),
        (GOOGLE | {"TASKE_OIDC_CLIENT_ID": "x"}, "TASKE_OIDC_CLIENT_ID"),
        (GOOGLE | {"TASKE_OIDC_GOOGLE_ISSUER": "accounts.google.com"}, "TASKE_OIDC_GOOGLE_ISSUER"),
        (GOOGLE | {"TASKE_OIDC_GOOGLE_ISSUER": "ftp://accounts.google.com"}, "TASKE_OIDC_GOOGLE_ISSUER"),
        (GOOGLE | {"TASKE_OIDC_GOOGLE_ISSUER": "https://a@accounts.google.com"}, "TASKE_OIDC_GOOGLE_ISSUER"),
        (GOOGLE | {"TASKE_OIDC_GOOGLE_ISSUER": "https://accounts.google.com?a=b"}, "TASKE_OIDC_GOOGLE_ISSUER"),
        (GOOGLE | {"TASKE_OIDC_GOOGLE_ISSUER": "https://accounts.google.com#a"}, "TASKE_OIDC_GOOGLE_ISSUER"),
    ],
)
def test_half_a_provider_refuses_the_start(env, named):
    """A missing half, two secrets, an unknown variable and an address that is none: named, and no start."""
    with pytest.raises(StartRefused, match=named):
        Settings.from_env(env)


def test_children_are_told_everything():
    """The variables that a launcher hands on give the same settings; a secret is in no representation."""
    settings = Settings.from_env(GOOGLE)
    assert Settings.from_env(settings.to_env()) == settings
    assert "g-secret" not in repr(settings)


def test_browser_origins_are_exact():
    """Origins as browsers send them are taken; what means anybody, or more than an origin, refuses the start."""
    given = "https://app.example, http://localhost:3000,http://[::1]:8080"
    found = Settings.from_env({"TASKE_CORS_ORIGINS": given}).cors_origins
    assert found == ("https://app.example", "http://localhost:3000", "http://[::1]:8080")
    for wrong in ("*", "null", "https://*.example", "https://app.example/", "app.example", "https://u@app.example"):
        with pytest.raises(StartRefused, match="TASKE_CORS_ORIGINS"):
            Settings.from_env({"TASKE_CORS_ORIGINS": wrong})


SECRETS = {
    "TASKE_DATABASE_URL": "postgresql://taske:pass=word@db/taske",
    "TASKE_MASTER_KEY": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
    "TASKE_MASTER_KEY_OLD": "old1,old2",
    "TASKE_SMTP_URL": "smtp://user:pass@mail:587",
} | GOOGLE


def test_secrets_can_be_told_in_a_file(tmp_path):
    """Open variables and a private file give the same settings; no secret is among the open variables."""
    settings = Settings.from_env(SECRETS | {"TASKE_PORT": "9000"})
    place = tmp_path / "secrets"
    place.touch(mode=0o600)
    place.write_text(f"# ours\n\n{settings.secrets_text()}")
    open_values = settings.to_open_env()
    assert not set(open_values.values()) & {value for name, value in SECRETS.items() if "CLIENT_ID" not in name}
    assert Settings.from_env(open_values | {"TASKE_SECRETS_FILE": str(place)}) == settings


def test_a_file_of_secrets_is_private_and_holds_nothing_else(tmp_path):
    """One that is missing, open to others, or says what is no secret refuses the start and is named."""
    place = tmp_path / "secrets"
    for text, mode, reason in (
        (None, 0, "cannot be read"),
        ("TASKE_SMTP_URL=smtp://mail", 0o640, "open to others"),
        ("TASKE_PORT=1", 0o600, "TASKE_PORT"),
        ("PATH=/bin", 0o600, "PATH"),
    ):
        if text is not None:
            place.write_text(text)
            place.chmod(mode)
        with pytest.raises(StartRefused, match=reason):
            Settings.from_env({"TASKE_SECRETS_FILE": str(place)})
