"""A supervisor that reads other settings than the processes beside it: how many watchers share one process."""

import os

from actors.supervisor import TriggerSupervisor


class OneWatcherEach(TriggerSupervisor):
    """Gives every trigger a Ray actor of its own, as `TASKE_WATCHERS_PER_HOST=1` does."""

    def __init__(self):
        os.environ["TASKE_WATCHERS_PER_HOST"] = "1"
        super().__init__()
