"""`/` over HTTP: health, metrics, the one OpenAPI document and its page."""

import re
from importlib.resources import files

import pytest

pytestmark = pytest.mark.integration
_static = files("deployments.console").joinpath("static")
_letters = files("taske_ray.services").joinpath("letter_texts")


async def test_health_and_readiness_say_yes_or_no(console, readiness):
    """Alive is 200; ready is 200 only while every part answers, and says nothing else."""
    assert (await console.get("/healthz")).json() == {"status": "ok"}
    assert (await console.get("/readyz")).json() == {"status": "ready"}
    readiness.answers = {"supervisor": False}
    health = console._transport.app.state.services.health
    health._looked_at = float("-inf")
    unready = await console.get("/readyz")
    assert (unready.status_code, unready.json()) == (503, {"status": "not ready"})


async def test_metrics_are_for_admins(console, person, admin):
    """Prometheus text for an admin, 403 for others, 401 for nobody."""
    assert (await console.get("/metrics")).status_code == 401
    assert (await console.get("/metrics", headers=person["headers"])).status_code == 403
    text = (await console.get("/metrics", headers=admin["headers"])).text
    assert 'taske_live{host="run-1"} 3.0' in text
    assert 'taske_outbox_length{host="run-1"} 0.0' in text


async def test_one_document_of_everything(console):
    """The document names every path of every app with a permission, and each reference in it leads somewhere."""
    api = (await console.get("/openapi.json")).json()
    assert {"/auth/login", "/api/v1/tasks/{task_id}", "/hooks/{token}", "/healthz"} <= api["paths"].keys()
    for operations in api["paths"].values():
        for operation in operations.values():
            assert operation["x-permission"]
            assert bool(operation["security"]) == (operation["x-permission"] != "public")
            assert "HTTPValidationError" not in str(operation)
    for reference in references(api):
        found = api
        for part in reference.removeprefix("#/").split("/"):
            found = found[part]


def references(value):
    if isinstance(value, dict):
        for name, part in value.items():
            yield from [part] if name == "$ref" and isinstance(part, str) else references(part)
    elif isinstance(value, list):
        for part in value:
            yield from references(part)


async def test_texts_and_pages_are_documented_with_their_media_types(console, admin):
    """Metrics, pages and their files come as the kind of text that the document names."""
    api = (await console.get("/openapi.json")).json()
    for path, documented in (
        ("/metrics",) * 2,
        ("/docs",) * 2,
        ("/verify",) * 2,
        ("/static/docs.js", "/static/{name}"),
    ):
        answer = await console.get(path, headers=admin["headers"])
        media = answer.headers["content-type"].partition(";")[0]
        assert media in api["paths"][documented]["get"]["responses"]["200"]["content"]


async def test_pages_use_bundled_files_only(console):
    """The pages load nothing from elsewhere and nothing inline, and their files are there."""
    assert (await console.get("/")).headers["location"] == "/docs"
    for page in ("/docs", "/verify", "/email", "/reset", "/not-me", "/reconnect"):
        answer = await console.get(page)
        assert answer.headers["content-type"].startswith("text/html")
        assert "http://" not in answer.text
        assert "https://" not in answer.text
        assert "script-src 'self'" in answer.headers["content-security-policy"]
    for name in ("docs.js", "docs.css", "icon.svg", "words.js", "letter.js", "reconnect.js"):
        assert (await console.get(f"/static/{name}")).status_code == 200
    assert (await console.get("/static/..%2fapp.py")).status_code == 404


async def test_what_is_not_there_is_a_problem(console):
    """An unknown path anywhere is 404 problem+json."""
    answer = await console.get("/nothing/here")
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["instance"] == "/nothing/here"


@pytest.mark.parametrize("locale", ["en", "ko", "ja"])
async def test_every_link_in_a_mail_leads_to_a_page(console, locale):
    """The addresses that mails name are pages, and send the token where the mail says, too."""
    texts = [path.read_text(encoding="utf-8") for path in _letters.joinpath(locale).iterdir()]
    links = {link for text in texts for link in re.findall(r"\{url\}(/[a-z-]+)#token=", text)}
    assert links == {"/verify", "/email", "/reset", "/not-me"}
    for link in links:
        page = (await console.get(link)).text
        [target] = re.findall(r'data-to="([^"]+)"', page)
        assert [text for text in texts if f"{{url}}{link}#token=" in text and f"POST {target}" in text]


def test_the_pages_of_mails_have_their_words_in_three_languages():
    """Every sentence of these pages and of their scripts has its Korean and Japanese, and none is left over."""
    source = {path.name: path.read_text(encoding="utf-8") for path in _static.iterdir() if path.name != "icon.svg"}
    pages = [text for name, text in source.items() if name.endswith(".html") and name != "docs.html"]
    said = {text.strip() for page in pages for text in re.findall(r">([^<]+)<", page.partition("<body")[2])}
    said |= {text for page in pages for text in re.findall(r'data-done="([^"]+)"', page)}
    said |= {text for name in ("letter.js", "reconnect.js") for text in re.findall(r'inWords\("([^"]+)"', source[name])}
    _, korean, japanese = re.split(r"\n  (?:ko|ja): \{", source["words.js"])
    for language in (korean, japanese):
        assert set(re.findall(r'\n    "([^"]+)": "[^"]+"', language)) == said - {"", "This page needs JavaScript."}


async def test_a_person_gets_a_page_and_a_program_a_problem(console):
    """Who opens a wrong address in a browser reads a sentence and the request's id, with status and headers as ever."""
    headers = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
    for path, status in (("/<b>nothing</b>", 404), ("/metrics", 401)):
        shown, told = await console.get(path, headers=headers), await console.get(path)
        assert (shown.status_code, told.status_code) == (status, status)
        assert shown.headers["content-type"].startswith("text/html")
        assert shown.headers["x-request-id"] in shown.text
        assert "<b>" not in shown.text
        assert shown.headers.get("www-authenticate") == told.headers.get("www-authenticate")
        assert shown.headers["content-security-policy"] == told.headers["content-security-policy"]
    assert (await console.post("/docs", headers=headers)).headers["content-type"] == "application/problem+json"
