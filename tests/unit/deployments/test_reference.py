"""The written reference of the HTTP API."""

from pathlib import Path

from deployments.console.app import document
from deployments.console.reference import markdown


def test_the_reference_is_current():
    """docs/reference/http-api.md says what the OpenAPI document says."""
    written = Path(__file__).parents[3].joinpath("docs", "reference", "http-api.md").read_text(encoding="utf-8")
    assert written == markdown(document("http://127.0.0.1:8000"))
