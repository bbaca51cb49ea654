"""An event of a watched trigger, as it is recorded."""

from datetime import datetime

from actors.watchers.ports import Runs
from taske_ray.clock import new_id
from taske_ray.db.fire_values import Fire
from taske_ray.db.triggers import WatchedTrigger


def fire_of(
    trigger: WatchedTrigger, fire_key: str, output: object, *, runs: Runs, scheduled_at: datetime | None = None
) -> Fire:
    """The event with the key `fire_key`; its run is to execute on the host that `runs` picks."""
    run_id = new_id()
    return Fire(
        trigger_id=trigger.id,
        user_id=trigger.user_id,
        task_id=trigger.task_id,
        task_version=trigger.version,
        trigger_version=trigger.version,
        overlap=trigger.overlap,
        fire_key=fire_key,
        run_id=run_id,
        input=output,
        scheduled_at=scheduled_at,
        host=runs.pick(run_id.bytes),
    )
