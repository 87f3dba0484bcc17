"""Has PyPI's sigstore judge a bundle, offline.

    python sigstore_bundle.py TRUSTED-ROOT BUNDLE ARTIFACT QUESTION

QUESTION is JSON: identity, issuer, predicateType. It knows the complete form alone.
Ends with 0 if it accepts, 1 if it refuses, 2 if it breaks.
"""

import hashlib
import json
import logging
import sys
import traceback
from pathlib import Path

from sigstore.errors import Error
from sigstore.models import Bundle, InvalidBundle, TrustedRoot
from sigstore.verify import Verifier, policy

# It warns of a policy that asks for nobody, which some tests want.
logging.disable(logging.WARNING)


class StatementError(Exception):
    """What its caller must look at: the library leaves statements alone."""


def check_statement(payload, artifact, predicate_type):
    statement = json.loads(payload)
    digest = hashlib.sha256(artifact).hexdigest()
    if digest not in [subject["digest"].get("sha256") for subject in statement["subject"]]:
        raise StatementError("the statement is about another artifact")
    if predicate_type not in (None, statement["predicateType"]):
        raise StatementError(f"the statement is of type {statement['predicateType']}")


def verify(trusted_root, bundle_path, artifact_path, question):
    artifact = Path(artifact_path).read_bytes()
    bundle = Bundle.from_json(Path(bundle_path).read_bytes())
    verifier = Verifier(trusted_root=TrustedRoot.from_file(trusted_root))
    asked = [policy.UnsafeNoOp()]
    if "identity" in question:
        asked.append(policy.Identity(identity=question["identity"]))
    if "issuer" in question:
        asked.append(policy.OIDCIssuerV2(question["issuer"]))
    asked = policy.AllOf(asked)
    if "dsseEnvelope" in json.loads(Path(bundle_path).read_bytes()):
        _, payload = verifier.verify_dsse(bundle, asked)
        check_statement(payload, artifact, question.get("predicateType"))
    else:
        verifier.verify_artifact(artifact, bundle, asked)


def main(arguments):
    *files, question = arguments
    try:
        verify(*files, json.loads(question))
    except (Error, InvalidBundle, StatementError) as error:
        print(f"refused: {error}", file=sys.stderr)
        return 1
    except Exception:
        traceback.print_exc()
        return 2
    print("verified")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
