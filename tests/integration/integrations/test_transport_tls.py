"""TLS of the outgoing client: only to the name in the URL, with a certificate from somebody trusted."""

import ssl
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from taske_ray.core.http import HttpRequest
from taske_ray.integrations.egress import EgressGuard
from taske_ray.integrations.failures import NotSent
from taske_ray.integrations.transport import Transport
from tests.integration.integrations.conftest import fixed, reply, send, serving


async def test_failed_tls_is_not_sent(transport):
    """A server that does not speak TLS never sees the request."""
    async with serving(fixed(reply())) as server:
        with pytest.raises(NotSent):
            await send(transport, HttpRequest("POST", f"https://127.0.0.1:{server.port}/", body=b"secret"))
    assert not server.received


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """An authority, and a certificate of its for `api.example.com`: paths of the two, the second with its key."""
    folder = tmp_path_factory.mktemp("certificates")
    authority = _certificate("authority", None, folder / "ca.pem")
    _certificate("api.example.com", authority, folder / "api.pem")
    return folder / "ca.pem", folder / "api.pem"


def _certificate(name, issuer, path):
    key = ec.generate_private_key(ec.SECP256R1())
    own = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    issuer_name, issuer_key = issuer or (own, key)
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(issuer_name, own, key.public_key(), 1, now, now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(issuer_key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    text = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(certificate.public_bytes(pem) + text)
    return own, key


@pytest.mark.parametrize(
    ("name", "trusted", "reached"),
    [("api.example.com", True, True), ("other.example.com", True, False), ("api.example.com", False, False)],
)
async def test_tls_is_for_the_name_in_the_url(certificates, name, trusted, reached):
    """The certificate must be for the host of the URL and from somebody trusted, wherever the name leads."""
    authority, own = certificates

    async def lookup(_host, _port):
        return ["127.0.0.1"]

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(own)
    async with serving(fixed(reply()), ssl=context) as server:
        transport = Transport(guard=EgressGuard(["127.0.0.0/8"]), lookup=lookup)
        if trusted:
            transport._usual.ssl_context.load_verify_locations(authority)
        request = HttpRequest("GET", f"https://{name}:{server.port}/")
        if reached:
            assert (await send(transport, request)).status == 200
        else:
            with pytest.raises(NotSent) as raised:
                await send(transport, request)
            assert raised.value.code == "tls_failed"
        await transport.close()
    assert len(server.received) == reached


async def test_a_credential_needs_https():
    """A secret goes over plain http only where the operator allowed the host."""
    guarded = Transport(guard=EgressGuard())
    with pytest.raises(NotSent) as raised:
        await send(guarded, HttpRequest("GET", "http://example.com/", credentialed=True))
    await guarded.close()
    assert raised.value.code == "host_not_allowed"
