"""A draft from an OpenAPI description: valid at once, complete where the description is, honest where it is not."""

import pytest

from deployments.console.app import document
from taske_ray.catalog.document import parse_yaml, write_yaml
from taske_ray.catalog.openapi import draft_module
from taske_ray.core.capability import CallContext, ConnectionValues, parse_module, plan_request, run_recorded_test
from taske_ray.errors import Invalid

PETS = {
    "openapi": "3.0.3",
    "info": {"title": "Pet Store", "description": "Sells pets.\n\nMore."},
    "servers": [{"url": "https://{region}.pets.example/v1", "variables": {"region": {"default": "eu"}}}],
    "components": {
        "securitySchemes": {
            "key": {"type": "apiKey", "in": "header", "name": "X-Api-Key"},
            "login": {
                "type": "oauth2",
                "flows": {
                    "authorizationCode": {
                        "authorizationUrl": "https://login.pets.example/a",
                        "tokenUrl": "https://login.pets.example/t",
                    }
                },
            },
            "odd": {"type": "mutualTLS"},
        },
        "schemas": {
            "Pet": {
                "type": "object",
                "required": ["id", "name"],
                "properties": {
                    "id": {"type": "integer", "readOnly": True},
                    "name": {"type": "string"},
                    "nick": {"type": "string", "nullable": True},
                    "parent": {"$ref": "#/components/schemas/Pet"},
                },
            },
            "Dog": {"allOf": [{"$ref": "#/components/schemas/Pet"}, {"properties": {"breed": {"type": "string"}}}]},
        },
    },
    "paths": {
        "/pets/{pet-id}": {
            "parameters": [
                {"name": "pet-id", "in": "path", "required": True, "schema": {"type": "integer"}, "example": 7}
            ],
            "get": {
                "operationId": "getPet",
                "summary": "Read a pet",
                "tags": ["pets"],
                "parameters": [{"name": "limit", "in": "query", "schema": {"type": "integer", "default": 5}}],
                "responses": {
                    "200": {
                        "content": {
                            "application/json": {
                                "schema": {"$ref": "#/components/schemas/Dog"},
                                "example": {"id": 7, "name": "Rex", "nick": None, "parent": None, "breed": "mixed"},
                            }
                        }
                    }
                },
            },
            "delete": {"operationId": "gone", "deprecated": True, "responses": {}},
        },
        "/pets": {
            "post": {
                "operationId": "addPet",
                "tags": ["pets", "write"],
                "requestBody": {
                    "required": True,
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Dog"}}},
                },
                "responses": {"201": {"description": "made"}},
            }
        },
    },
}
OLD = {
    "swagger": "2.0",
    "info": {"title": "Old"},
    "host": "old.example",
    "basePath": "/api",
    "schemes": ["http", "https"],
    "securityDefinitions": {"simple": {"type": "basic"}},
    "paths": {
        "/send": {
            "post": {
                "parameters": [
                    {
                        "name": "text",
                        "in": "formData",
                        "type": "string",
                        "required": True,
                        "x-ms-summary": "What to say",
                    },
                    {"name": "api-version", "in": "query", "type": "string", "default": "1"},
                ],
                "responses": {"200": {"description": "sent", "schema": {"type": "object"}}},
            }
        }
    },
}


def test_our_own_description_becomes_a_module():
    """Every operation of this service's OpenAPI document becomes a capability of a valid module."""
    described = document("https://taske.example")
    draft = draft_module(described)
    operations = [verb for path in described["paths"].values() for verb in path if verb != "parameters"]
    assert len(parse_module(draft).capabilities) == len(operations)
    assert draft["auth"] == [{"id": "bearer", "type": "bearer"}]


def test_an_operation_becomes_the_request_that_it_describes():
    """Path, query and body go where the description says; what only the service writes is not asked for."""
    draft = draft_module(PETS)
    module = parse_module(draft)
    assert (draft["module"], draft["base_url"]) == ("pet_store", "https://eu.pets.example/v1")
    assert list(module.capabilities) == ["pet_store.get_pet", "pet_store.add_pet"]
    by_key = ConnectionValues("key", {}, {"key": "k3y0"})
    read = module.capabilities["pet_store.get_pet"]
    context = CallContext(params=read.params.fill({"pet_id": 7}, now="2026-01-01T00:00:00Z"), now="", connection=by_key)
    planned = plan_request(read, context)
    assert (planned["method"], planned["url"]) == ("GET", "https://eu.pets.example/v1/pets/7?limit=5")
    add = draft["capabilities"][1]
    assert add["params"]["required"] == ["name"]
    assert set(add["params"]["properties"]) == {"name", "nick", "parent", "breed"}
    assert add["params"]["properties"]["nick"]["type"] == ["string", "null"]


def test_the_example_becomes_a_recorded_test_that_passes():
    """An operation with examples for all that it needs has a recorded case; the others have none."""
    draft = draft_module(PETS)
    read = parse_module(draft).capabilities["pet_store.get_pet"]
    assert [run_recorded_test(read, case) for case in read.tests] == [[]]
    assert "tests" not in draft["capabilities"][1]


def test_what_cannot_be_known_is_asked():
    """A scheme that the format has not, an own host of tokens, lists, repetition: each is said or asked."""
    draft = draft_module(PETS)
    questions = {todo["pointer"] for todo in draft["x-todo"]}
    assert {"/auth", "/auth/1/oauth", "/capabilities/0/response", "/capabilities/1/idempotency", "/name"} <= questions
    assert draft["allowed_hosts"] == ["eu.pets.example", "login.pets.example"]


def test_operations_and_schemes_are_chosen():
    """Tags and a scheme's name narrow the draft; names that are not there are told with those that are."""
    draft = draft_module(PETS, module="pets", tags=["write"], auth="login")
    assert [each["capability"] for each in draft["capabilities"]] == ["pets.add_pet"]
    assert [scheme["id"] for scheme in draft["auth"]] == ["login"]
    with pytest.raises(Invalid, match="pets, write"):
        draft_module(PETS, tags=["nothing"])
    with pytest.raises(Invalid, match="key, login, odd"):
        draft_module(PETS, auth="nothing")


def test_the_second_version_is_read_too():
    """Swagger 2: host and base path, form fields, Basic, summaries of Microsoft's dialect; https is preferred."""
    draft = draft_module(OLD)
    sent = draft["capabilities"][0]
    assert draft["base_url"] == "https://old.example/api"
    assert draft["auth"] == [{"id": "simple", "type": "basic"}]
    assert (sent["capability"], sent["request"]["encoding"]) == ("old.post_send", "form")
    assert sent["params"]["properties"]["text"]["title"] == "What to say"
    assert sent["request"]["query"] == {"api-version": "{{ params.api_version }}"}


def test_a_draft_survives_being_written_down():
    """The YAML that people edit is the document."""
    draft = draft_module(PETS)
    assert parse_yaml(write_yaml(draft)) == draft


@pytest.mark.parametrize(
    "described",
    [
        {},
        {"openapi": "3.1.0"},
        {"openapi": "3.1.0", "paths": {}},
        {"openapi": "3.1.0", "paths": {"/a": {"$ref": "https://elsewhere.example/a"}}},
        {"openapi": "3.1.0", "paths": {"/a": {"$ref": "#/components/nothing"}}},
        {"openapi": "3.1.0", "paths": {"/a": {"parameters": []}}},
    ],
)
def test_what_is_no_description_is_refused(described):
    """A document that cannot be read is refused with words."""
    with pytest.raises(Invalid):
        draft_module(described)
