"""An authority of a test's own, and the certificates it signs."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.builders import NOON

_YEARS = timedelta(days=3650)


@dataclass
class Authority:
    """`folder` holds its files."""

    folder: Path
    _key: ec.EllipticCurvePrivateKey = field(init=False)
    _own: x509.Certificate = field(init=False)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._key = ec.generate_private_key(ec.SECP256R1())
        subject = _named("an authority of the tests")
        self._own = (
            _begun(subject, subject, self._key)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(self._key, hashes.SHA256())
        )

    def trust(self) -> ssl.SSLContext:
        """What a client has that trusts this authority alone."""
        file = self.folder / "authority.pem"
        file.write_bytes(self._own.public_bytes(serialization.Encoding.PEM))
        return ssl.create_default_context(cafile=str(file))

    def server(self, name: str, *, expired: bool = False) -> ssl.SSLContext:
        """What a server of this name has."""
        key = ec.generate_private_key(ec.SECP256R1())
        begun = _begun(_named(name), self._own.subject, key, over=expired)
        signed = begun.add_extension(
            x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False
        ).sign(self._key, hashes.SHA256())
        file = self.folder / f"{name}.pem"
        file.write_bytes(_pem(key) + signed.public_bytes(serialization.Encoding.PEM))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        return context


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _begun(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, *, over: bool = False
) -> x509.CertificateBuilder:
    until = NOON - _YEARS + timedelta(days=1) if over else NOON + _YEARS
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOON - _YEARS)
        .not_valid_after(until)
    )


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
