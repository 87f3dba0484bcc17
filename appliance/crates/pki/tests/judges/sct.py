"""Verifies every embedded SCT of a leaf by pyca/cryptography: LEAF ISSUER LOG_KEY (PEM)."""

import hashlib
import struct
import sys

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

leaf_pem, issuer_pem, log_pem = (open(path, "rb").read() for path in sys.argv[1:4])
leaf = x509.load_pem_x509_certificate(leaf_pem)
issuer = x509.load_pem_x509_certificate(issuer_pem)
log = serialization.load_pem_public_key(log_pem)


def spki(key):
    return key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


scts = list(leaf.extensions.get_extension_for_class(x509.PrecertificateSignedCertificateTimestamps).value)
assert len(scts) == 1, f"{len(scts)} timestamps"
for sct in scts:
    assert sct.version == x509.certificate_transparency.Version.v1
    assert sct.entry_type == x509.certificate_transparency.LogEntryType.PRE_CERTIFICATE
    assert sct.log_id == hashlib.sha256(spki(log)).digest(), "another log"
    assert isinstance(sct.signature_hash_algorithm, hashes.SHA256)
    seen = leaf.tbs_precertificate_bytes
    milliseconds = int(sys.argv[4])
    signed = (
        struct.pack(">BBQH", 0, 0, milliseconds, 1)
        + hashlib.sha256(spki(issuer.public_key())).digest()
        + len(seen).to_bytes(3, "big")
        + seen
        + struct.pack(">H", len(sct.extension_bytes))
        + sct.extension_bytes
    )
    log.verify(sct.signature, signed, ec.ECDSA(hashes.SHA256()))
