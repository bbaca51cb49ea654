"""How much one user may do: every figure a setting, two profiles to start from (durability, 12; security, 15).

`default` throttles no machine's owner; `public` is for a service that is open to strangers. `TASKE_LIMITS` chooses the
profile, `TASKE_LIMIT_…` another figure, by the name of its field. Each excess has a code that stays: `codes`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Final, Literal

Profile = Literal["default", "public"]


@dataclass(frozen=True, slots=True)
class Limits:
    """One user's limits, unless a line says otherwise. None: no limit.

    `running_runs` None: all slots while nobody else has a due run queued, else half of them, at least 10.
    `token_per_min`, `address_per_min` and `sign_ups_per_hour` count requests to the API, not deliveries.
    `calls_in_flight` and `calls_per_s` are per user and host; `active_run_s`, `input_mib`, `context_mib` and
    `timeout_s` (of a step that says none) bound one run; `response_mib` is the most that a capability may ask for.
    A task is switched off after `failed_runs` in a row, or when it has done nothing but fail for `failing_hours`.
    """

    profile: Profile = "default"
    tasks: int = 100_000
    actions: int = 50
    running_runs: int | None = None
    queued_runs: int = 100_000
    runs_per_day: int | None = None
    hook_per_s: int | None = None
    hook_burst: int = 100
    hook_in_flight: int = 250
    user_per_s: int | None = None
    user_burst: int = 200
    token_per_min: int | None = 6_000
    address_per_min: int | None = 600
    sign_ups_per_hour: int | None = 60
    poll_every_s: int | None = None
    calls_in_flight: int = 200
    calls_per_s: int | None = None
    body_kib: int = 1024
    input_mib: int = 6
    response_mib: int = 50
    context_mib: int = 20
    timeout_s: int = 30
    longest_timeout_s: int = 300
    active_run_s: int = 3600
    history_days: int = 30
    history_runs: int = 10_000
    failed_runs: int | None = 50
    failing_hours: int | None = 120
    hook_depth: int = 3

    @property
    def by_user(self) -> bool:
        """Whether all calls of a user are made by one client, because what is promised about them must be exact."""
        return self.calls_per_s is not None


profiles: Final[Mapping[Profile, Limits]] = {
    "default": Limits(),
    "public": Limits(
        profile="public",
        tasks=100,
        running_runs=10,
        queued_runs=10_000,
        runs_per_day=10_000,
        hook_per_s=30,
        hook_in_flight=100,
        user_per_s=60,
        token_per_min=600,
        address_per_min=60,
        sign_ups_per_hour=10,
        poll_every_s=60,
        calls_in_flight=20,
        calls_per_s=10,
        longest_timeout_s=120,
    ),
}

figures: Final = tuple(field.name for field in fields(Limits) if field.name != "profile")
optional: Final = frozenset(field.name for field in fields(Limits) if field.type == int | None)
"""The figures that may be `none`."""

codes: Final[Mapping[str, str]] = {
    "tasks": "too_many_tasks",
    "actions": "too_many_actions",
    "running_runs": "queued",
    "queued_runs": "queue_full",
    "runs_per_day": "runs_per_day",
    "hook_per_s": "rate_limited",
    "hook_in_flight": "rate_limited",
    "user_per_s": "rate_limited",
    "token_per_min": "rate_limited",
    "address_per_min": "rate_limited",
    "sign_ups_per_hour": "rate_limited",
    "poll_every_s": "below_minimum",
    "calls_in_flight": "too_many_in_flight",
    "calls_per_s": "rate_limited",
    "body_kib": "too_large",
    "input_mib": "input_too_large",
    "response_mib": "response_too_large",
    "context_mib": "output_too_large",
    "longest_timeout_s": "out_of_range",
    "timeout_s": "timeout",
    "active_run_s": "run_timeout",
    "failed_runs": "failing",
    "failing_hours": "failing",
    "hook_depth": "loop",
}
"""What a user sees when a figure is exceeded: the code of an error, of a skip's detail, or of a pause."""
