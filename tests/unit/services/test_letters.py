"""The mails about accounts: the same in every language, and nothing secret in a subject."""

import string
from importlib.resources import files

import pytest

from taske_ray.services.letters import languages, letter_text

TEXTS = files("taske_ray.services").joinpath("letter_texts")
PURPOSES = sorted(path.name.removesuffix(".txt") for path in TEXTS.joinpath("en").iterdir())


def fields(text):
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


@pytest.mark.parametrize("language", languages)
def test_every_letter_is_written_in_every_language(language):
    """Korean, English and Japanese have the same letters."""
    assert sorted(path.name.removesuffix(".txt") for path in TEXTS.joinpath(language).iterdir()) == PURPOSES


@pytest.mark.parametrize("purpose", PURPOSES)
def test_letters_say_the_same_in_every_language(purpose):
    """Each language fills in the same values, has a subject of its own without a secret, and links only to us."""
    english = letter_text("en", purpose)
    subjects = set()
    for language in languages:
        subject, text = letter_text(language, purpose)
        subjects.add(subject)
        assert subject.strip()
        assert not {"token", "code"} & fields(subject)
        assert fields(subject) == fields(english[0])
        assert fields(text) == fields(english[1])
        assert "http" not in text.replace("{url}", "")
        assert text.endswith("\n")
    assert len(subjects) == len(languages)


def test_another_language_gets_english():
    """An account with a language that we do not write is written to in English."""
    assert letter_text("pl", "verify") == letter_text("en", "verify")
    assert letter_text("../ko", "verify") == letter_text("en", "verify")
