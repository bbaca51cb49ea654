"""Whether the clock tells a foreign id from a made-up one: `python -m tests.bench.foreign_timing` (security, 8.4).

On a service of its own one user asks for the task, run and connection of another, and in turns for ids that nobody has.
Two sets of made-up ids show what noise the machine has by itself. The medians of foreign and made-up
ids may differ by less than 5 % of a request.
"""

import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import httpx

from taske_ray import Taske, action, task, webhook
from taske_ray.clock import new_id
from taske_ray.core.ids import format_id
from tests.bench.service import Service, temporary
from tests.bench.stand import Stub, running

ROUNDS: Final = 200
BOUND: Final = 0.05


@dataclass(frozen=True, slots=True)
class Place:
    """Something of another user's: how it is asked for, and how a made-up id of its kind looks."""

    method: str
    path: str
    id: str
    prefix: str

    def made_up(self) -> str:
        """An id of this kind that nobody has."""
        return format_id(self.prefix, new_id())


def places(service: Service, key: str, receiver: Stub) -> list[Place]:
    """What the other user has."""
    with Taske(service.url, key) as taske:
        step = action("http.request", method="POST", url=f"{receiver.url}/first", body={})
        saved = taske.tasks.create(task("Foreign").when(webhook()).then(step))
        run = taske.tasks.run(saved.id, wait=True)
        connection = taske.connections.create(
            "http", "bearer", "Foreign", {"token": "x" * 20, "hosts": ["example.com"]}
        )
    return [
        Place("GET", "/api/v1/tasks/{}", saved.id, "task"),
        Place("POST", "/api/v1/tasks/{}/disable", saved.id, "task"),
        Place("GET", "/api/v1/runs/{}", run.id, "run"),
        Place("POST", "/api/v1/runs/{}/cancel", run.id, "run"),
        Place("GET", "/api/v1/connections/{}", connection.id, "conn"),
        Place("DELETE", "/api/v1/connections/{}", connection.id, "conn"),
    ]


def medians(ask: Callable[[str], float], place: Place) -> tuple[float, float, float]:
    """Seconds for the foreign id, and for made-up ones twice, in turns."""
    found: tuple[list[float], ...] = ([], [], [])
    for _ in range(ROUNDS):
        for times, one in zip(found, (place.id, place.made_up(), place.made_up()), strict=True):
            times.append(ask(place.path.format(one)))
    foreign, made_up, again = map(statistics.median, found)
    return foreign, made_up, again


def measured(service: Service, key: str, place: Place) -> bool:
    """Print one line; whether the bound is kept."""
    with httpx.Client(base_url=service.url, headers={"authorization": f"Bearer {key}"}) as http:

        def ask(path: str) -> float:
            began = time.perf_counter()
            answer = http.request(place.method, path, json={} if place.method == "POST" else None)
            assert answer.status_code == httpx.codes.NOT_FOUND, answer.text
            return time.perf_counter() - began

        foreign, made_up, again = medians(ask, place)
    apart, noise = abs(foreign - made_up) / made_up, abs(again - made_up) / made_up
    sys.stdout.write(f"| {place.method} {place.path} | {made_up * 1e3:.2f} ms | {apart:.1%} | {noise:.1%} |\n")
    return apart < BOUND


def main() -> None:
    """Measure; the exit code says whether every bound is kept."""
    with running("tests.bench.receiver") as receiver, temporary(receiver, TASKE_LIMIT_TOKEN_PER_MIN="none") as service:
        service.start()
        owner, stranger = service.create_user("ann@example.com"), service.create_user("ben@example.com")
        found = places(service, owner, receiver)
        sys.stdout.write(
            "| request | median | foreign against made up | made up against made up |\n|---|---|---|---|\n"
        )
        kept = [measured(service, stranger, place) for place in found]
    raise SystemExit(0 if all(kept) else 1)


if __name__ == "__main__":
    main()
