//! What verifiers need to believe this service's signatures.

use attest::trusted_root::{Authority, TrustedRoot, Validity};
use pki::certificate::Certificate;

use super::Signing;

impl Signing {
    /// Returns the trusted root of this moment.
    pub(crate) fn trusted_root(&self) -> TrustedRoot {
        let above = self.above();
        let issuing = above.first();
        let mut root = TrustedRoot {
            certificate_authorities: vec![Authority {
                uri: self.verifier_id.clone(),
                valid_for: Validity {
                    start: issuing.map(Certificate::not_before),
                    end: None,
                },
                certificates: above.clone(),
            }],
            time_stamp_authorities: self.stampers(&above),
            logs: Vec::new(),
            ct_logs: self.keys.certificate_logs(),
        };
        if let Some(log) = &self.log {
            log.describe(&mut root);
        }
        root
    }

    /// Describes every authority that time-stamps were made under.
    fn stampers(&self, above: &[Certificate]) -> Vec<Authority> {
        let (Some(issuing), Some(root)) = (above.first(), above.last()) else {
            return Vec::new();
        };
        let stampers = self.keys.timestamp_certificates();
        stampers
            .iter()
            .flat_map(|leaf| Authority::time_stamping(&self.verifier_id, leaf, issuing, root))
            .collect()
    }

    /// Returns the authorities above the keys' certificates, the nearest first, the root
    /// last.
    fn above(&self) -> Vec<Certificate> {
        let mut above: Vec<Certificate> = Vec::new();
        let leaves = self.keys.artifact_keys().map(|(_, key)| key);
        let known = leaves
            .flat_map(|key| key.chain().iter().skip(1).cloned().collect::<Vec<_>>())
            .chain(self.authorities.iter().cloned());
        for certificate in known {
            if !above.iter().any(|one| one.der() == certificate.der()) {
                above.push(certificate);
            }
        }
        above.sort_by_key(Certificate::is_self_issued);
        above
    }
}
