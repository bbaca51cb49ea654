"""The engine's brain: from what a run has recorded to what is written next and which call is made next.

`start` begins or takes over a run, `adopt` takes over one whose client still knew what came of its open call, `after`
digests an outcome, `sleep` and `resolve` are the special cases. Each returns one Decision, to be written in one
transaction: the checkpoint of step n and the intent of step n + 1 together. Nothing here acts; losing a Decision before
it is written loses nothing but time.
"""

from taske_ray.core.progress.decisions import (
    Classify,
    Decision,
    NextCall,
    Resolution,
    adopt,
    after,
    lost_call,
    resolve,
    sleep,
    start,
)

__all__ = ["Classify", "Decision", "NextCall", "Resolution", "adopt", "after", "lost_call", "resolve", "sleep", "start"]
