//! Whether trusted logs have seen the signer's certificate.

use pki::chain::Chain;
use pki::public_key::PublicKey;
use pki::sct::{self, SctError};

use super::Case;
use super::report::{Check, CheckName, Checks};

/// Judges the certificate's embedded timestamps.
pub(super) fn judge_sct(case: &Case<'_>, chain: Option<&Chain>, checks: &mut Checks) {
    let wanted = case.verification.policy.scts;
    let check = Check::new(CheckName::Sct).expected(format_args!(
        "timestamps of {wanted} trusted logs in the certificate"
    ));
    let asked = wanted > 0;
    let issuer = chain.and_then(|chain| chain.certificates().get(1));
    let Some(issuer) = issuer else {
        let why = "nobody knows what the logs signed: there is no chain";
        checks.push(if asked {
            check.failed(why)
        } else {
            check.skipped(why)
        });
        return;
    };
    let logs = &case.verification.trust.ct_logs;
    let keys: Vec<PublicKey> = logs.iter().map(|log| log.public_key.clone()).collect();
    checks.push(
        match sct::verify(&case.parts.leaf, issuer.public_key(), &keys) {
            Ok(verified) => {
                let mut known: Vec<[u8; 32]> = Vec::new();
                for sct in &verified {
                    let counts = logs.iter().any(|log| {
                        log.log_id == sct.log_id && log.valid_for.contains(sct.timestamp)
                    });
                    if counts && !known.contains(&sct.log_id) {
                        known.push(sct.log_id);
                    }
                }
                let times: Vec<String> = verified
                    .iter()
                    .map(|sct| sct.timestamp.to_string())
                    .collect();
                check.holds(
                    !known.is_empty() && known.len() >= wanted as usize,
                    format_args!("of {} trusted logs: {}", known.len(), times.join(", ")),
                )
            }
            Err(error @ (SctError::Absent | SctError::UnknownLog { .. })) if !asked => {
                check.skipped(error)
            }
            Err(error) => check.failed(error),
        },
    );
}
