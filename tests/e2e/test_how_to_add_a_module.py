"""`docs/how-to/add-a-module.md`, followed as a reader would: its files written, its commands run against a service."""

import re
import shlex
from pathlib import Path

import pytest

from tests.e2e.instance import TASKE

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180, func_only=True)]
PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "add-a-module.md"


def test_its_steps_lead_to_a_task_that_uses_it(service, admin, tmp_path):
    """Every command of the page succeeds, in its order; the module is there, and a task runs on both of its parts."""
    text = PAGE.read_text(encoding="utf-8")
    *module, task = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    nowhere = "".join(module).replace("ntfy.sh", "ntfy.invalid")  # nobody outside hears of this test
    (tmp_path / "ntfy.yaml").write_text(nowhere, encoding="utf-8")
    (tmp_path / "relay.yaml").write_text(task, encoding="utf-8")
    commands = [line for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL) for line in block.splitlines()]
    assert len(commands) == 7
    for command in commands[1:]:  # the first begins with somebody's OpenAPI description instead
        name, *arguments = shlex.split(command, comments=True)
        assert name == TASKE.name
        places = [str(tmp_path / one) if one.endswith(".yaml") else one for one in arguments]
        done = service.taske(*places, key=admin.key)
        assert done.returncode == 0, done.stderr + done.stdout
    [saved] = [each for each in admin.ask("GET", "/tasks")["items"] if each["name"] == "Relay the planning topic"]
    assert saved["trigger"]["capability"] == "ntfy.message"
    [run] = admin.ask("GET", f"/runs?task_id={saved['id']}")["items"]
    assert run["trigger_output"] == {"message": "It is Monday"}
    admin.ask("DELETE", f"/tasks/{saved['id']}", status=204)
