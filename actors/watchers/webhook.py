"""WebhookWatcher: stands for a hook that waits for others to call.

Deliveries are recorded by the hooks deployment, which needs nobody else. The watcher is what the supervisor starts and
stops with the trigger, so that every enabled trigger, however it is fired, is watched by one actor.
"""

from taske_ray.db.triggers import WatchedTrigger


class WebhookWatcher:
    """The watcher of one hook, of a task that is started by hand, or of one that other runs fire."""

    def __init__(self, trigger: WatchedTrigger) -> None:
        self.trigger = trigger

    @property
    def due_at(self) -> float | None:
        """Never by itself."""
        return None

    async def act(self) -> None:
        """Nothing is ever due."""
