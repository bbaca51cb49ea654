"""Every place where a text becomes a template, and every place where one is evaluated (security, 11.2, 11.3 and 19.4).

A new place without a row here fails. Hostile texts are refused wherever a template may stand in a shipped module or a
task, each with its pointer; and while the recorded exchanges of all modules run, nothing that arrives is compiled.
"""

import ast
import contextlib
import sys
from pathlib import Path

import pytest

from taske_ray.catalog.document import parse_yaml
from taske_ray.core.capability import parse_module, run_recorded_test
from taske_ray.core.capability.document.expression import Expression
from taske_ray.core.task import check_task
from taske_ray.core.template.value import Compiler
from taske_ray.errors import Invalid
from tests.syntax import parsed

ROOT = Path(__file__).parents[2]
FOLDERS = ("taske_ray", "actors", "deployments")
NOT_OURS_TO_CHECK = ("taske_ray/core/template/", "taske_ray/standins/")
"""The engine itself, and what plays providers in the demo."""
MODULES = sorted((ROOT / "taske_ray" / "catalog" / "modules").glob("*.yaml"))
HOSTILE = {
    "never closed": "{{ a",
    "openers": "{{" * 4_000,
    "more than there may be": "{{ a }}" * 1_001,
    "another file": "{% include 'secrets' %}",
    "another file, rendered": "{% render 'secrets' %}",
    "a filter that nobody wrote": "{{ now | import_module }}",
    "a name that is not there": "{{ settings.master_key }}",
    "an object's inside": "{{ ''.__class__.__mro__ }}",
    "nested too deep": "{% if now %}" * 11 + "{% endif %}" * 11,
}
SAVED, LITERAL = "what was checked when it was saved", "an empty scope, while a document is read"
RECORDED = "the recorded exchanges of the shipped modules"
_ready = Expression.__post_init__
COMPILERS = {
    "actors/compiled_tasks.py:_action": SAVED,
    "taske_ray/core/capability/document/expression.py:_check_condition": "modules",
    "taske_ray/core/capability/document/expression.py:condition": "modules",
    "taske_ray/core/capability/document/expression.py:constant": "modules",
    "taske_ray/core/capability/document/expression.py:value": "modules",
    "taske_ray/core/task.py:_compile_params": "tasks",
    "taske_ray/core/task.py:_condition": "tasks",
    "taske_ray/services/plans.py:_step": SAVED,
}
"""Whose texts become templates here; modules and tasks are tried below."""
EVALUATORS = {
    RECORDED: {
        "capability/document/expression.py": ["evaluate", "masked"],
        "capability/exchange/build.py": [
            "_add_prefix",
            "_authorise",
            "_hosts",
            "_object_of",
            "_parts",
            "_url",
            "prepare",
        ],
        "capability/exchange/conversation.py": ["_ask_first", "_items", "_mapped", "_output", "add_key"],
        "capability/exchange/pages.py": ["_cap", "_number", "_stopped", "_token"],
        "capability/exchange/polled.py": ["_cursor_value", "_is_past", "_item", "read_items"],
        "capability/exchange/verdict.py": ["_evaluated", "judge"],
        "capability/params.py": ["_compute"],
        "signature.py": ["_hmac_passes", "_is_fresh", "_parts", "_signatures", "_token_passes"],
        "webhook.py": ["_answer", "_event", "_events", "_key", "_receive"],
    },
    LITERAL: {
        "capability/document/parse.py": ["_bound", "_check_hosts", "_check_star", "_literal_base", "_literal_urls"],
        "capability/document/request.py": ["literal_method", "under"],
    },
    "tests/unit/catalog/test_reference.py": {"../catalog/reference.py": ["_habit"]},
    "tests/unit/core/capability/test_conversation.py": {"capability/exchange/conversation.py": ["_test"]},
    "tests/unit/core/capability/test_plan.py": {"capability/exchange/plan.py": ["idempotency_class"]},
    "tests/unit/core/capability/test_subscription.py": {
        "capability/exchange/subscription.py": ["_existing", "_expiry", "_subscribed"]
    },
    "tests/unit/core/capability/test_tokens.py": {
        "capability/tokens/answer.py": ["_is_revoked"],
        "capability/tokens/endpoint.py": ["extra_params"],
        "capability/tokens/flows.py": ["_label", "_log_in", "_saved", "_signed", "_table"],
    },
    "tests/unit/core/rules/test_progress.py": {"progress/opening.py": ["_render"]},
    "tests/unit/core/rules/test_webhook.py": {"webhook.py": ["_holds_quietly", "routed_by"]},
    "tests/unit/integrations/test_limiter.py": {"../integrations/limits.py": ["_weight"]},
    "tests/integration/api/test_tasks_api.py": {"../services/plans.py": ["_step"]},
}
"""What drives each function that evaluates, by its file under `taske_ray/core`."""


def functions_with(source, names):
    """The outermost functions in which something of these names is called or handed on."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)

    def outermost(node):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, kinds):
                if any(_mentions(one, names) for one in ast.walk(child)):
                    yield child.name
            else:
                yield from outermost(child)

    yield from outermost(parsed(source))


def _mentions(node, names):
    if isinstance(node, ast.Attribute):
        return node.attr in names
    return isinstance(node, ast.Name) and node.id in names and isinstance(node.ctx, ast.Load)


def places_of(*names):
    """Such functions of the whole tree, as `file:function`."""
    return {
        f"{path.relative_to(ROOT)}:{name}"
        for folder in FOLDERS
        for path in (ROOT / folder).rglob("*.py")
        if not str(path.relative_to(ROOT)).startswith(NOT_OURS_TO_CHECK)
        for name in functions_with(path.read_text(), names)
    }


def at(document, pointer):
    """The part of a document that holds what a pointer names, and under which key. Raises LookupError."""
    *above, last = [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]
    for part in above:
        document = document[int(part) if isinstance(document, list) else part]
    key = int(last) if isinstance(document, list) else last
    document[key]
    return document, key


@pytest.fixture(scope="module")
def places():
    """The pointers of all templates that each module's document holds."""
    with pytest.MonkeyPatch.context() as patched:
        return {path: _templates_of(parse_yaml(path.read_text()), patched) for path in MODULES}


def _templates_of(document, patched):
    found = set()

    def note(self):
        with contextlib.suppress(LookupError, TypeError, ValueError):
            at(document, self.pointer)
            found.add(self.pointer)
        _ready(self)

    patched.setattr(Expression, "__post_init__", note)
    parse_module(document)
    return found


def named(drivers):
    """The rows of a part of the table, as `file:function`."""
    core = ROOT / "taske_ray" / "core"
    return {
        f"{(core / file).resolve().relative_to(ROOT)}:{name}"
        for driver in drivers
        for file, names in EVALUATORS[driver].items()
        for name in names
    }


def reached_by(call):
    """The functions of ours that run during a call."""
    codes = set()

    def note(frame, event, _argument):
        if event == "call":
            codes.add(frame.f_code)

    sys.setprofile(note)
    try:
        call()
    finally:
        sys.setprofile(None)
    return {
        f"{Path(code.co_filename).relative_to(ROOT)}:{code.co_name}"
        for code in codes
        if code.co_filename.startswith(f"{ROOT}/taske_ray")
    }


def exchanges():
    """The recorded exchanges of every module; not those in which a task brings its own signature check."""
    for path in MODULES:
        for capability in parse_module(parse_yaml(path.read_text())).capabilities.values():
            for case in capability.tests:
                if "verify" not in case.get("params", {}):
                    yield capability, case


def test_every_place_where_a_text_becomes_a_template_has_a_row():
    """What compiles is named above, and what is named compiles."""
    assert places_of("compile_value", "compile_text", "compile_condition") == set(COMPILERS)


def test_every_place_where_a_template_is_evaluated_has_a_row():
    """The same for what evaluates; tests that stand in for recorded exchanges exist."""
    assert places_of("evaluate", "evaluate_masked") == named(EVALUATORS)
    assert all((ROOT / driver).exists() for driver in EVALUATORS if driver not in (RECORDED, LITERAL))


def test_what_arrives_is_never_compiled(monkeypatch):
    """Through every recorded exchange and delivery: parameters, answers and payloads are data, in a single pass.

    All functions are reached that the table says are.
    """
    cases, differences = list(exchanges()), []
    assert len(cases) > 100
    monkeypatch.setattr(Compiler, "build", lambda *_: pytest.fail("something that arrived became a template"))
    reached = reached_by(lambda: differences.extend(run_recorded_test(*case) for case in cases))
    assert [each for each in differences if each] == []
    assert named([RECORDED]) - reached == set()


def test_literals_are_evaluated_while_a_document_is_read():
    """Only those, and in a scope without a name."""
    reached = reached_by(lambda: [parse_module(parse_yaml(path.read_text())) for path in MODULES])
    assert named([LITERAL]) - reached == set()


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_hostile_texts_are_refused_wherever_a_module_has_a_template(text, places):
    """In every template of every shipped module at once: each is named by its pointer."""
    for path in MODULES:
        document = parse_yaml(path.read_text())
        for pointer in places[path]:
            part, key = at(document, pointer)
            part[key] = text
        with pytest.raises(Invalid) as refused:
            parse_module(document)
        assert places[path] - {one.pointer for one in refused.value.errors} == set(), path.name


@pytest.fixture(scope="module")
def catalog():
    """What a task may use, by name."""
    modules = {path.stem: parse_module(parse_yaml(path.read_text())) for path in MODULES}
    return lambda name: modules[name.split(".")[0]].capabilities.get(name)


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("place", ["/actions/0/params/body/deep/0", "/actions/0/params/url", "/actions/0/if"])
def test_hostile_texts_are_refused_wherever_a_task_has_a_template(text, place, catalog):
    """In a parameter, deep inside one, and as a condition."""
    call = {"capability": "http.request", "if": "true"}
    call |= {"params": {"method": "POST", "url": "https://example.com/", "body": {"deep": ["x"]}}}
    task = {"name": "t", "trigger": {"capability": "system.manual"}, "actions": [call]}
    part, key = at(task, place)
    before, part[key] = part[key], text
    with pytest.raises(Invalid) as refused:
        check_task(task, catalog, {})
    found = {one.pointer for one in refused.value.errors}
    assert any(place.startswith(pointer) for pointer in found), found
    part[key] = before
    check_task(task, catalog, {})


def test_a_new_place_is_noticed():
    """Also deep inside, and when the function is only handed on."""
    assert list(
        functions_with("class A:\n    def f(self):\n        if x:\n            y.evaluate({})", {"evaluate"})
    ) == ["f"]
    assert list(functions_with("def f(): return map(compile_value, x)", {"compile_value"})) == ["f"]
    assert list(functions_with("def f(): return evaluated", {"evaluate"})) == []
