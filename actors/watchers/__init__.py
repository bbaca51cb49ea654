"""One watcher per enabled trigger. A watcher may forget everything but its trigger's row: load, decide, act, save."""
