//! Seeds of what verifiers read: bundles of both forms, trusted roots, checkpoints.

#[path = "../../../appliance/crates/attest/tests/support/mod.rs"]
mod support;

use support::authorities::TestKey;
use support::{Form, World, provenance};

/// What verifiers read.
pub(crate) struct Bundles {
    /// Bundles, alone and as lines.
    pub(crate) bundles: Vec<Vec<u8>>,
    /// Trusted roots, JSON and PEM.
    pub(crate) roots: Vec<Vec<u8>>,
    /// Checkpoints and entries.
    pub(crate) checkpoints: Vec<Vec<u8>>,
}

impl Bundles {
    /// Makes some of every kind.
    pub(crate) fn new() -> Self {
        let world = World::new();
        let made: Vec<_> = [Form::Plain, Form::Complete]
            .into_iter()
            .flat_map(|form| {
                let signer = world.forge_signer(TestKey::p256(), form);
                let statement = provenance(b"an artifact");
                [
                    world.message_bundle(&signer, b"an artifact", form),
                    world.envelope_bundle(&signer, &statement, form),
                ]
            })
            .collect();
        let entries = made.iter().flat_map(|bundle| &bundle.log_entries);
        let checkpoints = entries
            .flat_map(|entry| {
                let proof = entry.inclusion_proof.as_ref();
                let note = proof.map(|proof| proof.checkpoint.clone().into_bytes());
                note.into_iter().chain([entry.canonicalized_body.clone()])
            })
            .collect();
        let mut bundles: Vec<Vec<u8>> = made
            .iter()
            .map(|bundle| bundle.to_json().into_bytes())
            .collect();
        bundles.push(bundles.join(&b'\n'));
        let root = world.trusted_root();
        Self {
            bundles,
            roots: vec![root.to_json().into_bytes(), root.to_pem().into_bytes()],
            checkpoints,
        }
    }
}
