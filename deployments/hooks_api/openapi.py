"""What `/hooks` looks like from outside; the app itself is plain ASGI and describes nothing."""

from typing import Any

document: dict[str, Any] = {
    "/hooks/{token}": {
        "post": {
            "summary": "Deliver",
            "operationId": "deliver",
            "description": (
                "Any content type. Answered after the run is committed; the same delivery again (`webhook-id`, the "
                "provider's delivery header, or `Idempotency-Key`) gets the same `run_id`. A module may fix another "
                "answer; with `respond: result` the answer waits up to 25 s for the run's last output (200)."
            ),
            "x-permission": "public",
            "security": [],
            "parameters": [{"name": "token", "in": "path", "required": True, "schema": {"type": "string"}}],
            "requestBody": {"content": {"*/*": {"schema": {}}}, "description": "at most 1 MiB"},
            "responses": {
                "202": {
                    "description": "The run exists.",
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/RunStarted"}}},
                },
                "200": {
                    "description": "The run's last output (`respond: result`).",
                    "content": {"application/json": {}},
                },
                "401": {"$ref": "#/components/responses/Problem"},
                "404": {"$ref": "#/components/responses/Problem"},
                "413": {"$ref": "#/components/responses/Problem"},
                "422": {"$ref": "#/components/responses/Problem"},
                "429": {"$ref": "#/components/responses/Problem"},
                "502": {
                    "description": "The run gave no result: a problem with `run_id`, `run_status`, `error`.",
                    "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
                },
                "503": {"$ref": "#/components/responses/Problem"},
            },
        }
    }
}
