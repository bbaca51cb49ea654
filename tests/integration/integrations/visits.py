"""One visit to a provider that people log in with, and what comes back from it."""

from taske_ray.integrations.sign_in.identity import Return, Visit
from taske_ray.security.pkce import challenge_of

BACK = "http://taske.test/auth/login/corp/callback"
VERIFIER, NONCE = "v" * 43, "n" * 43
VISIT = Visit(BACK, "s" * 43, challenge_of(VERIFIER), NONCE)


def returned(code="code", *, answered_by=None, verifier=VERIFIER, nonce=NONCE, redirect_uri=BACK):
    return Return(redirect_uri, code, answered_by, verifier, nonce)
