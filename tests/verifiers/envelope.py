"""Has PyPI's securesystemslib and in-toto-attestation judge a bare DSSE envelope.

    python envelope.py ENVELOPE PUBLIC-KEY ARTIFACT PREDICATE-TYPE

PUBLIC-KEY is PEM. Ends with 0 if both accept, 1 if one refuses, 2 if one breaks.
"""

import hashlib
import json
import sys
import traceback
from pathlib import Path

from google.protobuf import json_format
from in_toto_attestation.v1.statement import Statement
from in_toto_attestation.v1.statement_pb2 import Statement as StatementMessage
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import SSlibKey


class StatementError(Exception):
    """What a verifier of envelopes leaves to its caller."""


def verify(envelope_path, key_path, artifact_path, predicate_type):
    envelope = Envelope.from_dict(json.loads(Path(envelope_path).read_bytes()))
    key = SSlibKey.from_crypto(load_pem_public_key(Path(key_path).read_bytes()))
    accepted = envelope.verify([key], 1)
    print(f"securesystemslib: signed by {', '.join(accepted)}")
    message = json_format.Parse(envelope.payload, StatementMessage())
    statement = Statement.copy_from_pb(message)
    try:
        statement.validate()
    except ValueError as error:
        raise StatementError(str(error)) from error
    digest = hashlib.sha256(Path(artifact_path).read_bytes()).hexdigest()
    if digest not in [subject.digest.get("sha256") for subject in message.subject]:
        raise StatementError("the statement is about another artifact")
    if message.predicate_type != predicate_type:
        raise StatementError(f"the statement is of type {message.predicate_type}")
    print(f"in-toto-attestation: a statement of type {message.predicate_type}")


def main(arguments):
    try:
        verify(*arguments)
    except (VerificationError, StatementError, json_format.ParseError) as error:
        print(f"refused: {error}", file=sys.stderr)
        return 1
    except Exception:
        traceback.print_exc()
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
