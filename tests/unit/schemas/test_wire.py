"""Wire models: inputs are strict, outputs are tolerant."""

import inspect

import pytest
from pydantic import ValidationError

from taske_ray.schemas import auth, catalog, connections, health, problems, runs, tasks, wire

MODULES = (auth, catalog, connections, health, problems, runs, tasks, wire)
MODELS = {one for module in MODULES for _, one in inspect.getmembers(module, inspect.isclass)}
INPUTS = sorted((one for one in MODELS if issubclass(one, wire.Input)), key=lambda one: one.__name__)
OUTPUTS = sorted((one for one in MODELS if issubclass(one, wire.Output)), key=lambda one: one.__name__)


@pytest.mark.parametrize("model", INPUTS, ids=lambda one: one.__name__)
def test_inputs_refuse_unknown_fields(model):
    """Nobody sets a role or an owner by adding a key."""
    with pytest.raises(ValidationError) as refused:
        model.model_validate({"no_such_field": 1})
    assert "extra_forbidden" in {error["type"] for error in refused.value.errors()}


@pytest.mark.parametrize("model", OUTPUTS, ids=lambda one: one.__name__)
def test_outputs_tolerate_newer_servers(model):
    """A field that a newer server adds does not break an older client."""
    assert model.model_config["extra"] == "ignore"


def test_times_need_an_offset():
    """A time without an offset could be anyone's."""
    with pytest.raises(ValidationError):
        auth.NewApiKey.model_validate({"name": "x", "expires_at": "2027-01-01T00:00:00"})
    assert auth.NewApiKey.model_validate({"name": "x", "expires_at": "2027-01-01T00:00:00Z"}).expires_at


def test_nothing_is_coerced():
    """Text is no number and a number no text."""
    with pytest.raises(ValidationError):
        tasks.Rollback.model_validate({"version": "1"})


def test_aliases_are_the_wire_names():
    """`if`, `from` and `class` are Python words, so the models name them otherwise and write them as the contract."""
    assert tasks.ActionSpec(capability="a", condition="x").model_dump(by_alias=True)["if"] == "x"
    assert runs.Replay.model_validate({"from": "failed"}).start == "failed"
    assert runs.Failure.model_validate({"class": "fatal"}).error_class == "fatal"
