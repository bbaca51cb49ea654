"""A module document of an admin's own: a service that nobody coded for."""


def weather(base_url, *, unit="celsius"):
    """An admin's document."""
    return {
        "module": "weather",
        "name": {"en": "Weather"},
        "description": {"en": "A weather service of somebody's own."},
        "base_url": base_url,
        "allowed_hosts": [base_url.removeprefix("http://").partition("/")[0]],
        "auth": [
            {
                "id": "key",
                "type": "api_key",
                "name": {"en": "Key"},
                "apply": {"headers": {"X-Api-Key": "{{ conn.secret.key }}"}},
                "fields": {
                    "type": "object",
                    "required": ["key"],
                    "additionalProperties": False,
                    "properties": {"key": {"type": "string", "minLength": 1, "x-secret": True, "title": "Key"}},
                },
            }
        ],
        "capabilities": [
            {
                "capability": "weather.today",
                "kind": "action",
                "name": {"en": "Today"},
                "description": {"en": "The weather of today."},
                "params": {
                    "type": "object",
                    "required": ["city"],
                    "additionalProperties": False,
                    "properties": {"city": {"type": "string", "title": "City"}},
                },
                "request": {"method": "GET", "path": "/today", "query": {"city": "{{ params.city }}", "unit": unit}},
                "response": {"output": {"degrees": "{{ response.body.t }}"}},
                "idempotency": {"class": "safe"},
                "output": {
                    "type": "object",
                    "required": ["degrees"],
                    "properties": {"degrees": {"type": "number", "title": "Degrees"}},
                },
                "sample": {"degrees": 21},
                "tests": [
                    {
                        "name": "a warm day",
                        "auth": "key",
                        "secret": {"key": "k"},
                        "params": {"city": "Seoul"},
                        "exchanges": [{"expect": {"method": "GET"}, "respond": {"status": 200, "body": {"t": 21}}}],
                        "output": {"degrees": 21},
                    }
                ],
            }
        ],
    }
