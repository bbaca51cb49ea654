"""The wire: pydantic models that the API and the SDK share. No behaviour, no rules of the engine."""
