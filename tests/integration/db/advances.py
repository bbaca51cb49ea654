"""What hosts write of their runs: the intent of a call, and its outcome."""

from taske_ray.db.runs import Advance, AttemptClosed, AttemptOpened, StepWritten


def opening(run, step=1, number=1, **more):
    """The intent of a call."""
    return Advance(
        run.run_id,
        run.fence,
        steps=(StepWritten(step, f"action{step}", "http.request", "running", input={"step": step}),),
        opened=(AttemptOpened(step, number, f"{run.run_id}:action{step}"),),
        **more,
    )


def closing(run, step=1, number=1, status="succeeded", **more):
    """The outcome of a call, and by default the end of its run."""
    given = {"status": "succeeded", "steps": (written(step, "succeeded", {"n": step}),), **more}
    return Advance(
        run.run_id, run.fence, closed=(AttemptClosed(step, number, status, sent=True, http_status=200),), **given
    )


def written(step, status, output=None):
    return StepWritten(step, f"action{step}", "http.request", status, output=output)
