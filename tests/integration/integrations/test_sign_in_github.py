"""Logging in at GitHub, in its own dialect: a number says who somebody is, and one verified address."""

import pytest

from taske_ray.integrations.sign_in.github import GitHubProvider
from taske_ray.integrations.sign_in.identity import Identity, SignInRefused
from taske_ray.settings import SocialLogin
from tests.integration.integrations.visits import BACK, VISIT, returned
from tests.integration.providers import GitHub, playing, query_of


@pytest.fixture
async def github():
    """A strict stand-in for GitHub, as an Enterprise server."""
    async with playing(GitHub(redirect_uri=BACK)) as provider:
        yield provider


def at_github(github, strict, **changes):
    values = {"client_id": github.client_id, "client_secret": github.client_secret, **changes}
    return GitHubProvider(SocialLogin("github", issuer=github.home, **values), transport=strict(github.home))


async def test_github_says_who_it_is(github, strict):
    """Its number and its primary verified address; the code works once."""
    provider = at_github(github, strict)
    code = query_of(github.consent(await provider.address(VISIT)))["code"]
    assert await provider.identify(returned(code)) == Identity(
        github.home, "583231", "octocat@example.com", email_verified=True
    )
    with pytest.raises(SignInRefused):
        await provider.identify(returned(code))


@pytest.mark.parametrize(
    "addresses",
    [
        None, [], [{"email": "octocat@example.com", "primary": True, "verified": False}],
        [{"email": "octocat@example.com", "primary": False, "verified": True}],
        [{"email": "octocat@example.com", "primary": "true", "verified": True}],
        [{"email": "octocat@example.com", "primary": True, "verified": "true"}],
        [{"email": None, "primary": True, "verified": True}],
        [{"email": "a@b.c", "primary": True, "verified": True}, {"email": "d@e.f", "primary": True, "verified": True}],
    ],
)  # fmt: skip
async def test_github_addresses_count_when_primary_and_verified(github, strict, addresses):
    """Anything but one primary, verified address is none; the person is known all the same."""
    github.addresses = addresses
    provider = at_github(github, strict)
    code = query_of(github.consent(await provider.address(VISIT)))["code"]
    found = await provider.identify(returned(code))
    assert (found.subject, found.email, found.email_verified) == ("583231", None, False)


@pytest.mark.parametrize("user", [{}, {"id": "583231"}, {"id": True}, {"id": 0}, {"id": None}, {"id": 1.5}])
async def test_github_without_a_number_is_nobody(github, strict, user):
    """Names can change hands; only the number says who it is."""
    github.user = {"login": "octocat", **user}
    provider = at_github(github, strict)
    code = query_of(github.consent(await provider.address(VISIT)))["code"]
    with pytest.raises(SignInRefused):
        await provider.identify(returned(code))


async def test_github_refuses_what_is_not_ours(github, strict):
    """A wrong secret, verifier or redirect is a 200 with an error; another's answer is not even shown to it."""
    provider = at_github(github, strict)

    async def code():
        return query_of(github.consent(await provider.address(VISIT)))["code"]

    wrong = at_github(github, strict, client_secret="wrong")
    for asked, answer in (
        (wrong, returned(await code())),
        (provider, returned(await code(), verifier="w" * 43)),
        (provider, returned(await code(), redirect_uri=BACK + "x")),
        (provider, returned(await code(), answered_by="https://evil.example")),
    ):
        with pytest.raises(SignInRefused):
            await asked.identify(answer)
    assert "/api/v3/user" not in github.asked
