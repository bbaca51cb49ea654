"""The pages and examples tell the truth: examples are checked and run, references complete, links lead somewhere."""

import dataclasses
import inspect
import re
import runpy
from pathlib import Path

import httpx
import pytest
from typer.main import get_command

import taske_ray
from taske_ray import errors
from taske_ray.catalog.document import parse_yaml
from taske_ray.catalog.registry import load_modules
from taske_ray.cli.main import app
from taske_ray.core.capability import parse_module, run_recorded_test
from taske_ray.core.connection import KnownConnection
from taske_ray.core.task import check_task
from taske_ray.sdk.client import Taske
from taske_ray.settings import Density, Settings
from tests.unit.sdk.service import NOW, RUN, TASK, FakeService, ok, page

ROOT = Path(__file__).parents[3]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
TASKS = ["hello-webhook.yaml", "weekly-planning.yaml"]
SHOWN = re.compile(r"<!-- example: (\S+) -->\n```\w+\n(.*?)```", re.DOTALL)
LINK = re.compile(r"\]\((?!https?:)([^)#]+)(?:#[^)]*)?\)")


def reference(name):
    return (ROOT / "docs" / "reference" / f"{name}.md").read_text()


@pytest.mark.parametrize("name", TASKS)
def test_example_tasks_are_valid(name):
    """An example task passes the check that the service makes when a task is saved."""
    document = parse_yaml((ROOT / "examples" / name).read_text())
    modules, connections = load_modules(), {}
    for part in [document["trigger"], *document["actions"]]:
        module = modules[part["capability"].split(".")[0]]
        if "connection" in part:
            auth = next(id_ for id_, scheme in module.auth.items() if scheme.type == "bearer")
            connections[part["connection"]] = KnownConnection(module.id, auth)
    check_task(document, lambda text: modules[text.split(".")[0]].capabilities.get(text), connections)


def test_the_example_script_runs(monkeypatch, capsys):
    """The weekly planning script connects, applies the task of the YAML example and prints the run."""
    step = {"key": "action1", "capability": "google.drive.list_files", "status": "succeeded", "output": {"count": 2}}
    connection = {"module": "m", "auth": "a", "name": "n", "status": "active", "fields": {}}
    connection |= {"created_at": NOW, "updated_at": NOW}
    done = RUN | {"status": "succeeded", "steps": [step]}
    service = FakeService(
        ok(connection | {"id": "conn_1"}, 201),
        ok(connection | {"id": "conn_2"}, 201),
        page(),
        ok(TASK, 201),
        ok({"run_id": "run_1"}, 202),
        ok(done),
    )
    monkeypatch.setattr(taske_ray, "Taske", service.taske, raising=False)
    monkeypatch.setenv("GOOGLE_ACCESS_TOKEN", "g")
    monkeypatch.setenv("SLACK_BOT_TOKEN", "s")
    runpy.run_path(str(ROOT / "examples" / "weekly_planning.py"), run_name="__main__")
    printed = capsys.readouterr().out
    assert "Weekly (version 3): succeeded" in printed
    sent, written = service.body(3), parse_yaml((ROOT / "examples" / "weekly-planning.yaml").read_text())
    for mine, theirs in zip(
        [sent["trigger"], *sent["actions"]], [written["trigger"], *written["actions"]], strict=True
    ):
        assert mine | {"connection": None} == theirs | {"connection": None}


async def test_the_asynchronous_example_runs(monkeypatch, capsys):
    """The watching script prints each change of a run."""
    service = FakeService(ok(RUN), ok(RUN | {"status": "succeeded"}))
    monkeypatch.setattr(taske_ray, "AsyncTaske", service.async_taske, raising=False)
    example = runpy.run_path(str(ROOT / "examples" / "async_watch.py"))
    await example["main"]("run_1")
    assert capsys.readouterr().out.split() == ["queued", "succeeded"]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_shown_examples_are_the_files(path):
    """An example in a page is the file that is tested."""
    for name, text in SHOWN.findall(path.read_text()):
        assert text == (ROOT / "examples" / name).read_text()


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_links_lead_somewhere(path):
    """Every relative link names a file of the repository."""
    broken = [target for target in LINK.findall(path.read_text()) if not (path.parent / target).exists()]
    assert broken == []


def test_the_readme_shows_a_valid_task():
    """The task in the README is the example that is tested."""
    shown = parse_yaml(re.search(r"```yaml\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)[1])
    assert shown == parse_yaml((ROOT / "examples" / "weekly-planning.yaml").read_text())


def commands(group, words):
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, [*words, name])
        else:
            yield " ".join([*words, name]), command


@pytest.mark.parametrize(("name", "command"), list(commands(get_command(app), ["taske"])), ids=str)
def test_every_command_is_documented(name, command):
    """The reference names every command and each of its options."""
    assert f"`{name}" in reference("cli")
    options = {option for parameter in command.params for option in parameter.opts if option.startswith("-")}
    assert [option for option in options if option not in reference("cli")] == []


def test_every_setting_is_documented():
    """The reference names every variable that is read."""
    source = inspect.getsource(inspect.getmodule(Settings))
    read = set(re.findall(r'(?:text|items)\("([A-Z_]+)"\)', source)) | set(re.findall(r'\(env, "([A-Z_]+)"', source))
    read |= {field.name.upper() for field in dataclasses.fields(Density)} | {"URL", "API_KEY"}
    assert {name for name in read if f"`TASKE_{name}`" not in reference("settings")} == set()


def test_every_error_is_documented():
    """The reference names every class with its code."""

    def leaves(kind):
        yield kind
        for child in kind.__subclasses__():
            yield from leaves(child)

    public = [
        kind for kind in leaves(errors.TaskeError) if kind.__module__ == errors.__name__ and kind.__name__[0] != "_"
    ]
    table = reference("errors")
    assert [kind.__name__ for kind in public if f"`{kind.__name__}`" not in table] == []
    coded = [kind for kind in public if kind not in (errors.TaskeError, errors.StartRefused)]
    assert [kind.code for kind in coded if f"`{kind.code}`" not in table] == []


def test_documented_statuses_are_the_servers():
    """The status beside each class is the one that the server answers with."""
    from deployments.shared.problems import statuses

    rows = re.findall(r"^\| (\d{3}) \| `([A-Z]\w+)`", reference("errors"), re.MULTILINE)
    assert {name: int(status) for status, name in rows} == {
        kind.__name__: status for kind, status in statuses.items() if status < 500 or kind is errors.Unavailable
    }


def test_every_sdk_call_is_documented():
    """The reference lists exactly the methods that there are."""
    taske = Taske("http://taske.test", transport=httpx.MockTransport(lambda _: httpx.Response(500)))
    rows = dict(re.findall(r"^\| `taske\.(\w+)` \| `([^`]+)` \|", reference("sdk"), re.MULTILINE))
    faces = {name: value for name, value in vars(taske).items() if type(value).__module__.startswith("taske_ray.sdk")}
    actual = {
        name: {method for method in dir(face) if not method.startswith("_")}
        for name, face in faces.items()
        if not name.startswith("_")
    }
    assert {name: set(methods.split()) for name, methods in rows.items()} == actual


def test_the_steps_of_adding_a_module_make_the_example():
    """Followed to its end the page gives the example; its module is whole after the action and after the trigger."""
    text = (ROOT / "docs" / "how-to" / "add-a-module.md").read_text()
    head, action, trigger, _ = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    assert head + action + trigger == (ROOT / "examples" / "ntfy.yaml").read_text()
    for written, recorded in ((head + action, 2), (head + action + trigger, 4)):
        module = parse_module(parse_yaml(written))
        cases = [(capability, test) for capability in module.capabilities.values() for test in capability.tests]
        assert [run_recorded_test(*case) for case in cases] == [[]] * recorded
