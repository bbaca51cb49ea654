"""The limits of one user: two profiles, each figure a setting, and what makes no sense refuses the start."""

from dataclasses import replace
from pathlib import Path

import pytest

from taske_ray.errors import StartRefused
from taske_ray.limits import codes, figures, optional, profiles
from taske_ray.settings import Settings

usual = {
    "tasks": (100_000, 100),
    "actions": (50, 50),
    "running_runs": (None, 10),
    "queued_runs": (100_000, 10_000),
    "runs_per_day": (None, 10_000),
    "hook_per_s": (None, 30),
    "hook_burst": (100, 100),
    "hook_in_flight": (250, 100),
    "user_per_s": (None, 60),
    "token_per_min": (6000, 600),
    "address_per_min": (600, 60),
    "sign_ups_per_hour": (60, 10),
    "poll_every_s": (None, 60),
    "calls_in_flight": (200, 20),
    "calls_per_s": (None, 10),
    "body_kib": (1024, 1024),
    "input_mib": (6, 6),
    "response_mib": (50, 50),
    "context_mib": (20, 20),
    "timeout_s": (30, 30),
    "longest_timeout_s": (300, 120),
    "active_run_s": (3600, 3600),
    "history_days": (30, 30),
    "history_runs": (10_000, 10_000),
    "failed_runs": (50, 50),
    "failing_hours": (120, 120),
    "hook_depth": (3, 3),
}
"""Default and public, as they are documented."""


@pytest.mark.parametrize("name", sorted(usual))
def test_profiles_are_what_the_documents_say(name):
    """Both columns of the table, line by line."""
    assert (getattr(profiles["default"], name), getattr(profiles["public"], name)) == usual[name]


def test_nothing_is_chosen():
    """Without a word the machine's owner is not throttled."""
    assert Settings.from_env({}).limits == profiles["default"]
    assert Settings.from_env({"TASKE_LIMITS": "public"}).limits == profiles["public"]


@pytest.mark.parametrize("name", figures)
def test_each_figure_is_a_setting(name):
    """`TASKE_LIMIT_…` sets one figure of the profile and leaves the others."""
    limits = Settings.from_env({"TASKE_LIMITS": "public", f"TASKE_LIMIT_{name.upper()}": "7"}).limits
    assert limits == replace(profiles["public"], **{name: 7})


@pytest.mark.parametrize("name", sorted(optional))
def test_some_figures_may_be_none(name):
    """No limit at all is a choice where it makes sense."""
    limits = Settings.from_env({"TASKE_LIMITS": "public", f"TASKE_LIMIT_{name.upper()}": "none"}).limits
    assert limits == replace(profiles["public"], **{name: None})


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("TASKE_LIMITS", "strict"),
        ("TASKE_LIMIT_TASKS", "0"),
        ("TASKE_LIMIT_TASKS", "none"),
        ("TASKE_LIMIT_QUEUED_RUNS", "many"),
        ("TASKE_LIMIT_QUEUED_RUN", "5"),
        ("TASKE_LIMIT_PROFILE", "5"),
    ],
)
def test_what_makes_no_sense_refuses_the_start(variable, value):
    """A figure that is none, a name that there is not: the message names the variable."""
    with pytest.raises(StartRefused, match=variable):
        Settings.from_env({variable: value})


def test_children_get_the_same_limits():
    """What a launcher hands on gives the limits that it was given itself."""
    given = {"TASKE_LIMITS": "public", "TASKE_LIMIT_TASKS": "7", "TASKE_LIMIT_CALLS_PER_S": "none"}
    settings = Settings.from_env(given)
    assert Settings.from_env(settings.to_env()).limits == settings.limits
    assert settings.to_env().keys() >= given.keys()


def test_every_limit_has_a_code_and_a_line_in_the_documents():
    """What is exceeded has a stable code, and each figure stands in the reference."""
    bounds_of_others = {"hook_burst", "user_burst", "history_days", "history_runs"}
    assert set(figures) - bounds_of_others == codes.keys()
    page = (Path(__file__).parents[2] / "docs" / "reference" / "settings.md").read_text()
    assert [name for name in figures if f"`{name.upper()}`" not in page] == []
    assert [code for code in codes.values() if f"`{code}`" not in page] == []
