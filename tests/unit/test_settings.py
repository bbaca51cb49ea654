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
