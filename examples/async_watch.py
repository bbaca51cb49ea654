"""Follow a run live, asynchronously: `python examples/async_watch.py RUN_ID`."""

import asyncio
import sys

from taske_ray import AsyncTaske


async def main(run_id: str) -> None:
    """Print each change of a run until it has ended."""
    async with AsyncTaske() as taske:
        async for run in taske.runs.watch(run_id, timeout_s=600):
            done = [step.key for step in run.steps if step.status == "succeeded"]
            print(run.status, *done)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
