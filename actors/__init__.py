"""What happens on its own, without a request.

    taske up ── TriggerSupervisor (named, detached, one)     re-reads the desired triggers, keeps every host alive
                 ├─ WatcherHost (per node)                   one CronWatcher, PollWatcher or WebhookWatcher per trigger
                 ├─ RunHost (per node)                       one WorkflowRun per live run
                 └─ IntegrationClient (a pool per node)      makes the calls; the only one that opens credentials

Hosts are Ray actors: processes that Ray places, names and restarts. What they hold are plain classes with a state, a
timer and a failure of their own. PostgreSQL is the truth; every one of these may forget everything but its row. A
message between them is a nudge: one that is lost costs a tick, because the next look finds the row.
"""
