"""Signs an alert as a whole (CAP 1.2, 3.3.4; W3C XML Signature), so that `signing` verifies it.

The signature is enveloped and covers the document without it, in exclusive canonical form, with
SHA-256; the certificate stands inside for who looks it up among those that they trust.
"""

from dataclasses import dataclass
from typing import TypeAlias

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from lxml import etree
from signxml.algorithms import CanonicalizationMethod, DigestAlgorithm, SignatureMethod
from signxml.signer import XMLSigner

from services.broadcast.cap.reading import parse

SigningKey: TypeAlias = EllipticCurvePrivateKey | RSAPrivateKey


@dataclass(frozen=True, slots=True)
class Seal:
    """A certificate and the key that belongs to it."""

    certificate: x509.Certificate
    key: SigningKey

    def signed(self, alert: bytes) -> bytes:
        """The alert, signed. `alert`: as `write` wrote it.

        Raises CapError when readers would refuse it: the certificate was not valid when the alert
        says that it was sent, or the signature makes it too large.
        """
        is_rsa = isinstance(self.key, RSAPrivateKey)
        signer = XMLSigner(
            signature_algorithm=(
                SignatureMethod.RSA_SHA256 if is_rsa else SignatureMethod.ECDSA_SHA256
            ),
            digest_algorithm=DigestAlgorithm.SHA256,
            c14n_algorithm=CanonicalizationMethod.EXCLUSIVE_XML_CANONICALIZATION_1_0,
        )
        root = signer.sign(etree.fromstring(alert), key=self.key, cert=[self.certificate])
        written = bytes(etree.tostring(root, xml_declaration=True, encoding="UTF-8"))
        parse(written, [self.certificate], signed=True)
        return written
