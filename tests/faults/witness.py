"""The second witness: our own rows, read beside the service as the oracle wants them."""

from datetime import timedelta
from pathlib import Path
from typing import Any, Final, Literal

import psycopg
from psycopg.rows import dict_row

from taske_ray.core.ids import format_id, parse_id
from taske_ray.core.times import format_time
from taske_ray.db.embedded import EmbeddedPostgres
from tests.faults.oracle import Attempt, RunRow, Schedule

_runs = """
SELECT r.id, r.fire_key, r.scheduled_at, r.status,
       coalesce(jsonb_object_agg(a.step, a.attempts) FILTER (WHERE a.step IS NOT NULL), '{}') AS attempts
FROM runs r LEFT JOIN LATERAL (
    SELECT step, jsonb_agg(jsonb_build_object('status', status, 'sent', sent, 'error_class', error->>'class',
                                              'key', idempotency_key) ORDER BY number) AS attempts
    FROM attempts WHERE run_id = r.id GROUP BY step) a ON true
WHERE r.task_id = ANY(%s) GROUP BY r.id
"""
_holders: Final = {
    "run": "SELECT h.pid FROM runs r JOIN hosts h ON h.id = r.owner WHERE r.task_id = ANY(%s) AND r.status = 'running'",
    "client": "SELECT h.pid FROM runs r JOIN attempts a ON a.run_id = r.id JOIN hosts h ON h.id = a.client"
    " WHERE r.task_id = ANY(%s) AND a.status = 'dispatched'",
}


class Witness:
    """What the rows say about the tasks of a measurement, given by their wire ids."""

    def __init__(self, data_dir: Path, tasks: list[str]) -> None:
        self._url = EmbeddedPostgres(data_dir).url
        self._tasks = [parse_id("task", task) for task in tasks]

    def unfinished(self) -> int:
        """How many runs are neither over nor wait for a person."""
        wanted = "status NOT IN ('succeeded', 'failed', 'cancelled', 'needs_attention')"
        return int(self._fetch(f"SELECT count(*) AS n FROM runs WHERE task_id = ANY(%s) AND {wanted}")[0]["n"])

    def runs(self) -> list[RunRow]:
        """Every run and its attempts; a scheduled one stands for its instant, any other for its fire key."""
        return [
            RunRow(
                run_id=format_id("run", row["id"]),
                event=format_time(row["scheduled_at"]) if row["scheduled_at"] else row["fire_key"],
                status=row["status"],
                attempts={int(step): tuple(Attempt(**one) for one in found) for step, found in row["attempts"].items()},
            )
            for row in self._fetch(_runs)
        ]

    def holder(self, part: Literal["run", "client"]) -> int | None:
        """The process that executes the run under way (`run`), or makes the call that is open now (`client`)."""
        rows = self._fetch(_holders[part])
        return int(rows[0]["pid"]) if rows else None

    def schedule(self, every: timedelta) -> Schedule:
        """The instants between the first scheduled run and the last, and what the skips say of them."""
        span = "SELECT min(scheduled_at) AS first, max(scheduled_at) AS last FROM runs WHERE task_id = ANY(%s)"
        (row,) = self._fetch(span)
        if row["first"] is None:
            return Schedule((), 0)
        count = round((row["last"] - row["first"]) / every) + 1
        skips = "SELECT coalesce(sum(s.count), 0)::int AS n FROM skips s JOIN triggers t ON t.id = s.trigger_id"
        (skipped,) = self._fetch(f"{skips} WHERE t.task_id = ANY(%s) AND s.reason IN ('misfire', 'quota')")
        return Schedule([format_time(row["first"] + number * every) for number in range(count)], skipped["n"])

    def _fetch(self, statement: str) -> list[dict[str, Any]]:
        with psycopg.connect(self._url, row_factory=dict_row, autocommit=True, connect_timeout=5) as connection:
            return connection.execute(statement, [self._tasks]).fetchall()
