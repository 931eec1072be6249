"""Whether a trusted certificate signed the whole alert (CAP 1.2, 3.3.4; W3C XML Signature).

Only certificates that the caller trusts count; a certificate inside the alert proves nothing, for
anybody can put one there. The signature must cover the whole alert: one that covers a part would
let the rest be written by anybody.
"""

from collections.abc import Sequence
from datetime import UTC, datetime

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.hashes import SHA256
from lxml import etree
from signxml.algorithms import CanonicalizationMethod, DigestAlgorithm, SignatureMethod
from signxml.exceptions import InvalidDigest, InvalidInput, SignXMLException
from signxml.verifier import SignatureConfiguration, VerifyResult, XMLVerifier

from services.broadcast.cap.values import Refused

XMLDSIG = "http://www.w3.org/2000/09/xmldsig#"
SIGNATURE = f"{{{XMLDSIG}}}Signature"
_ENVELOPED = f"{XMLDSIG}enveloped-signature"
_TRANSFORMS = frozenset({_ENVELOPED, *(method.value for method in CanonicalizationMethod)})
_METHODS = frozenset(
    method
    for method in SignatureMethod
    if method.name.startswith(("RSA_SHA", "ECDSA_SHA")) and "SHA1" not in method.name
)
_DIGESTS = frozenset({DigestAlgorithm.SHA256, DigestAlgorithm.SHA384, DigestAlgorithm.SHA512})


def verified(
    root: etree._Element, trusted: Sequence[x509.Certificate], sent_ms: int
) -> tuple[str, etree._Element]:
    """The SHA-256 (hex) of the trusted certificate that signed the alert, and what it signed.

    A certificate counts if it was valid when the alert says that it was sent (Unix ms). Raises
    Refused with what is wrong.
    """
    _covers_all(root)
    config = SignatureConfiguration(
        location="./",
        expect_references=1,
        signature_methods=_METHODS,
        digest_algorithms=_DIGESTS,
        ignore_ambiguous_key_info=True,
        verification_time=datetime.fromtimestamp(sent_ms / 1000, UTC),
    )
    sent = config.verification_time
    assert sent is not None
    expired = False
    for certificate in trusted:
        if not certificate.not_valid_before_utc <= sent <= certificate.not_valid_after_utc:
            expired = True
            continue
        signed = _signed_by(root, certificate, config)
        if signed is not None:
            return certificate.fingerprint(SHA256()).hex(), signed
    if expired:
        raise Refused(
            "is by no trusted certificate that was valid when the alert was sent; ask the sender"
        )
    raise Refused("is by none of the trusted certificates; ask the sender, and trust no part of it")


def _covers_all(root: etree._Element) -> None:
    references = root.findall(f"{SIGNATURE}/{{{XMLDSIG}}}SignedInfo/{{{XMLDSIG}}}Reference")
    transforms = [
        str(transform.get("Algorithm"))
        for reference in references
        for transform in reference.iter(f"{{{XMLDSIG}}}Transform")
    ]
    if len(references) != 1 or references[0].get("URI") != "" or _ENVELOPED not in transforms:
        raise Refused("must cover the whole alert (one enveloped reference with an empty URI)")
    if not _TRANSFORMS.issuperset(transforms):
        raise Refused("may transform the alert by canonicalization only")
    for name in ("DigestValue", "SignatureValue"):
        if not all(value.text for value in root.iterfind(f"{SIGNATURE}//{{{XMLDSIG}}}{name}")):
            raise Refused(f"must have a {name}; ask the sender")


def _signed_by(
    root: etree._Element, certificate: x509.Certificate, config: SignatureConfiguration
) -> etree._Element | None:
    try:
        result = XMLVerifier().verify(root, x509_cert=certificate, expect_config=config)
    except InvalidDigest:
        raise Refused("does not fit: the alert was changed after it was signed") from None
    except InvalidInput as error:
        if "forbidden by configuration" in str(error):
            raise Refused("must use RSA or ECDSA with SHA-256, SHA-384 or SHA-512") from None
        return None
    except (SignXMLException, etree.LxmlError, UnsupportedAlgorithm, ValueError):
        # No signature by its schema, of an algorithm or in letters that nobody reads, or by another
        # key: it proves nothing by this certificate.
        return None
    assert isinstance(result, VerifyResult)
    return result.signed_xml
