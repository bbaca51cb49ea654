"""The weekly planning documents from Python: connect, define the task, run it once by hand and print what came out.

Needs GOOGLE_ACCESS_TOKEN and SLACK_BOT_TOKEN; which service is called is said by TASKE_URL and TASKE_API_KEY, or by
`taske login`.
"""

import os
import sys

from taske_ray import Taske, action, cron, task


def main() -> None:
    """Create what is missing, and run it."""
    if missing := [name for name in ("GOOGLE_ACCESS_TOKEN", "SLACK_BOT_TOKEN") if name not in os.environ]:
        sys.exit(f"Set {' and '.join(missing)}: the task reads from Drive and writes to Slack.")
    with Taske() as taske:
        drive = taske.connections.create(
            "google", "access_token", "Planning Drive", {"token": os.environ["GOOGLE_ACCESS_TOKEN"]}
        )
        slack = taske.connections.create("slack", "bot_token", "Team Slack", {"token": os.environ["SLACK_BOT_TOKEN"]})

        weekly = (
            task("Weekly planning documents")
            .when(cron("0 9 * * MON", timezone="Asia/Seoul", misfire="once"))
            .then(
                action(
                    "google.drive.list_files",
                    connection=drive,
                    folder_id="0AEplanning",
                    name_contains="기획서",
                    modified_after="{{ trigger.output.scheduled_at | date_add: '-P7D' }}",
                )
            )
            .then(
                action(
                    "slack.chat.post_message",
                    connection=slack,
                    channel="C01PLANNING",
                    text="지난주 수정된 기획서: {{ action1.output.fileList | map: 'name' | join: ', ' }}",
                ).options(condition="action1.output.count > 0", max_attempts=4)
            )
        )
        saved = taske.tasks.apply(weekly)

        run = taske.tasks.run(saved.id, wait=True)
        print(f"{saved.name} (version {saved.version}): {run.status}")
        for step in run.steps:
            print(f"  {step.key}: {step.status} {step.error.message if step.error else step.output}")


if __name__ == "__main__":
    main()
