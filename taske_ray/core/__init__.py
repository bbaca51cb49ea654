"""The rules. Pure: no I/O, no Ray, no clock, no randomness; `now` and `jitter` are arguments."""
