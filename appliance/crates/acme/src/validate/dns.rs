//! dns-01 (RFC 8555, 8.4) and dns-account-01 (draft-ietf-acme-dns-account-label).

use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::BASE32_NOPAD;

use super::Proof;
use super::failure::Failure;
use super::task::{KeyAuthorization, Task};
use mesh::Excerpt;
use mesh::resolve::Resolve;

/// Octets of the account URL's digest that the account's label holds.
const LABEL_OCTETS: usize = 10;

/// Returns the name whose TXT records prove control by dns-01.
pub(super) fn challenge_name(name: &str) -> String {
    // RFC 8555, 8.4: "_acme-challenge" before the name being validated; of a
    // wildcard before its base, which is what authorizations name.
    format!("_acme-challenge.{}", name)
}

/// Returns the name whose TXT records prove control by dns-account-01.
pub(super) fn account_challenge_name(name: &str, account_url: &str) -> String {
    let hash = digest(&SHA256, account_url.as_bytes());
    let label = hash.as_ref().get(..LABEL_OCTETS).unwrap_or_default();
    let label = BASE32_NOPAD.encode(label).to_ascii_lowercase();
    format!("_{label}._acme-challenge.{}", name)
}

/// Looks for the digest among the TXT records of a name.
pub(super) async fn validate(
    resolve: &dyn Resolve,
    record_name: &str,
    key_authorization: &KeyAuthorization,
) -> Result<Proof, Failure> {
    let texts = resolve.texts(record_name).await?;
    let expected = key_authorization.txt_value();
    // 8.4: "Verify that the contents of one of the TXT records match the digest
    // value"; others belong to other orders.
    if texts.iter().any(|text| text == expected.as_bytes()) {
        return Ok(Proof {
            address: None,
            caa_checked: false,
        });
    }
    Err(Failure::Txt {
        name: record_name.into(),
        count: texts.len(),
        first: Excerpt::of(texts.first().map_or(&[], Vec::as_slice)),
        expected: expected.into(),
    })
}

/// Says that a kind of challenge is not offered.
pub(super) fn unsupported(task: &Task) -> Failure {
    Failure::Unsupported {
        kind: task.kind,
        identifier: task.identifier.to_string().into(),
    }
}
