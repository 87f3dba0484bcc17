//! A world that signs: authorities, a log of certificates, a log of signatures, a
//! time-stamping authority and signers, all in memory.
//!
//! Certificates are planned, linted and signed as the CA does it; time is this run's, so
//! that verifiers which cannot be told another time agree.
#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    clippy::unwrap_used,
    reason = "shared by tests that each use a part; a test fails by panicking"
)]

#[path = "../../../pki/tests/support/mod.rs"]
pub mod authorities;

use std::convert::Infallible;
use std::sync::Mutex;
use std::time::Duration;

use attest::bundle::{Bundle, InclusionProof, LogEntry};
use attest::dsse::{Envelope, IN_TOTO, Signature, key_id, pae};
use attest::json;
use attest::statement::{DigestSet, Statement, Subject};
use attest::tlog::{
    Checkpoint, CompactTree, Hash, HashedRekord, NoteKey, ReadNodes, inclusion_path, leaf_hash,
    node_hash,
};
use attest::trusted_root::{Authority as Trusted, LogInstance, TrustedRoot, Validity};
use model::signing::{ArtifactDigest, HashAlgorithm};
use model::{RevocationReason, SerialNumber, Timestamp};
use pki::algorithm::{SignatureAlgorithm, digest_of};
use pki::certificate::Certificate;
use pki::cms::{self, CmsPlan, CmsSigner};
use pki::crl::{self, CrlNumber, CrlPlan};
use pki::forge::{ForgeClaim, ForgeClaims};
use pki::names::AlternativeName;
use pki::profile::{PlanRequest, Profile, ProfileKind};
use pki::timestamp::{
    self, AuthoritySettings, Precision, RequestPlan, TimeStampAuthority, TimeStampRequest,
    TimeStampToken,
};

use authorities::{Authority, TestKey, serial};

pub use authorities::now;

/// The name of the log of signatures.
pub const LOG: &str = "log.example.internal";

/// Who signs with certificates that live long.
pub const SIGNER: &str = "https://signing.example.internal/main";

/// The repository that a forge's builds come from.
pub const REPOSITORY: &str = "acme/app";

/// Who vouches for a forge's builds.
pub const FORGE: &str = "https://token.actions.githubusercontent.com";

/// Which proofs a bundle has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A time-stamp alone.
    Plain,
    /// Time-stamp, log entry, and an SCT in the certificate.
    Complete,
}

/// Everybody who takes part.
pub struct World {
    /// The root.
    pub root: Authority,
    /// Below it.
    pub issuing: Authority,
    /// Who stamps.
    pub stamper: Stamper,
    /// The key of the log of certificates.
    pub ct: TestKey,
    /// The log of signatures.
    pub log: Log,
}

/// A time-stamping authority.
pub struct Stamper {
    /// Its key.
    pub key: TestKey,
    /// Its certificate.
    pub certificate: Certificate,
    /// How it stamps.
    pub authority: TimeStampAuthority,
}

/// A log of signatures, every node recomputed when asked for.
pub struct Log {
    /// Its key.
    pub key: TestKey,
    /// Its leaves.
    leaves: Mutex<Vec<Hash>>,
}

/// A key and its certificate.
pub struct Signer {
    /// The key.
    pub key: TestKey,
    /// The certificate.
    pub certificate: Certificate,
}

impl Log {
    /// Makes one with a few entries of others.
    fn new() -> Self {
        let others = (0_u8..5).map(|number| leaf_hash(&[number])).collect();
        Self {
            key: TestKey::ed25519(),
            leaves: Mutex::new(others),
        }
    }

    /// Returns name and key of its checkpoints.
    pub fn note_key(&self) -> NoteKey {
        NoteKey::new(LOG, self.key.public_key()).unwrap()
    }

    /// Enters a signature, and proves it.
    pub fn enter(&self, entry: &HashedRekord) -> LogEntry {
        let body = entry.to_canonical_json().into_bytes();
        let mut leaves = self.leaves.lock().unwrap();
        leaves.push(leaf_hash(&body));
        let size = leaves.len() as u64;
        let mut tree = CompactTree::new();
        for leaf in leaves.iter() {
            tree.append(*leaf, |_, _, _| {}).unwrap();
        }
        let checkpoint = Checkpoint {
            origin: LOG.to_owned(),
            size,
            root: tree.root(),
        };
        let text = checkpoint.text();
        let signature = self.key.sign(SignatureAlgorithm::Ed25519, text.as_bytes());
        LogEntry {
            log_index: size - 1,
            log_id: self.note_key().key_id().to_vec(),
            kind: HashedRekord::KIND.to_owned(),
            version: HashedRekord::VERSION.to_owned(),
            integrated_time: None,
            inclusion_promise: None,
            inclusion_proof: Some(InclusionProof {
                log_index: size - 1,
                tree_size: size,
                root_hash: tree.root(),
                hashes: inclusion_path(&Nodes(&leaves), size - 1, size).unwrap(),
                checkpoint: checkpoint
                    .assemble(&self.note_key(), &signature)
                    .to_string(),
            }),
            canonicalized_body: body,
        }
    }
}

/// Nodes above leaves.
struct Nodes<'a>(&'a [Hash]);

impl ReadNodes for Nodes<'_> {
    type Error = Infallible;

    fn node(&self, level: u8, index: u64) -> Result<Hash, Infallible> {
        match level.checked_sub(1) {
            None => Ok(self.0[index as usize]),
            Some(below) => Ok(node_hash(
                &self.node(below, 2 * index)?,
                &self.node(below, 2 * index + 1)?,
            )),
        }
    }
}

impl World {
    /// Makes everybody.
    pub fn new() -> Self {
        let root = Authority::root(TestKey::p256(), TestKey::p256().algorithm());
        let issuing = root.subordinate(TestKey::p256(), &Default::default());
        let key = TestKey::p256();
        let (public_key, subject) = (
            key.public_key(),
            "CN=Example TSA 1,O=Example".parse().unwrap(),
        );
        let profile = Profile::built_in(ProfileKind::TimeStamping).unwrap();
        let request = PlanRequest::new(&public_key, &subject, serial(60), now());
        let certificate = issuing.issue(&profile, &request);
        let settings = AuthoritySettings {
            policy: "1.3.6.1.4.1.99999.1".parse().unwrap(),
            accuracy: None,
            ordering: false,
            precision: Precision::Seconds,
            named: false,
        };
        let authority = TimeStampAuthority::new(&certificate, key.algorithm(), settings).unwrap();
        Self {
            root,
            issuing,
            stamper: Stamper {
                key,
                certificate,
                authority,
            },
            ct: TestKey::p256(),
            log: Log::new(),
        }
    }

    /// Issues a certificate that lives long.
    pub fn signer(&self, key: TestKey) -> Signer {
        let profile = Profile::built_in(ProfileKind::CodeSigning).unwrap();
        let (public_key, subject) = (key.public_key(), "CN=Signing,O=Example".parse().unwrap());
        let names: [AlternativeName; 1] = [format!("uri:{SIGNER}").parse().unwrap()];
        let mut request = PlanRequest::new(&public_key, &subject, serial(70), now());
        request.names = &names;
        let certificate = self.issuing.issue(&profile, &request);
        Signer { key, certificate }
    }

    /// Issues a certificate for a forge's build, for ten minutes, for the complete form
    /// one that the log has seen.
    pub fn forge_signer(&self, key: TestKey, form: Form) -> Signer {
        let profile = Profile::built_in(ProfileKind::CodeSigningForge).unwrap();
        let (public_key, subject) = (key.public_key(), Default::default());
        let claims = claims();
        let mut request = PlanRequest::new(&public_key, &subject, serial(71), now());
        request.forge = Some(&claims);
        let ms = u64::try_from(now().as_millisecond()).unwrap();
        let certificate = match form {
            Form::Plain => self.issuing.issue(&profile, &request),
            Form::Complete => self
                .issuing
                .issue_timestamped(&profile, &request, &self.ct, ms),
        };
        Signer { key, certificate }
    }

    /// Issues what a form takes.
    pub fn signer_for(&self, form: Form) -> Signer {
        match form {
            Form::Plain => self.signer(TestKey::p256()),
            Form::Complete => self.forge_signer(TestKey::p256(), form),
        }
    }

    /// Returns whom to believe.
    pub fn trusted_root(&self) -> TrustedRoot {
        let since = |certificate: &Certificate| Validity::since(certificate.not_before());
        let (issuing, root) = (&self.issuing.certificate, &self.root.certificate);
        let stamper = &self.stamper.certificate;
        TrustedRoot {
            certificate_authorities: vec![Trusted::new(
                "https://ca.example.internal",
                vec![issuing.clone(), root.clone()],
                since(issuing),
            )],
            time_stamp_authorities: Trusted::time_stamping(
                "https://signing.example.internal/v1/timestamps",
                stamper,
                issuing,
                root,
            )
            .to_vec(),
            logs: vec![LogInstance::signatures(
                &self.log.note_key(),
                since(issuing),
            )],
            ct_logs: vec![LogInstance::certificates(
                "https://ct.example.internal",
                self.ct.public_key(),
                since(issuing),
            )],
        }
    }

    /// Stamps octets at a time.
    pub fn stamp_token(&self, octets: &[u8], at: Timestamp) -> TimeStampToken {
        let request_der = RequestPlan {
            digest: digest_of(HashAlgorithm::Sha256, octets),
            policy: None,
            nonce: None,
            certificate: true,
        }
        .encode();
        let request = TimeStampRequest::parse(&request_der).unwrap();
        let Stamper { key, authority, .. } = &self.stamper;
        let planned = authority.plan(&request, &serial(90), at).unwrap();
        let linted = timestamp::lint(planned, &request, authority, at).unwrap();
        let signature = key.sign(linted.signature_algorithm(), linted.der());
        linted.assemble(&signature).unwrap()
    }

    /// Adds time-stamp, and log entry where the form has one.
    fn prove(
        &self,
        bundle: Bundle,
        signer: &Signer,
        digest: ArtifactDigest,
        form: Form,
        at: Timestamp,
    ) -> Bundle {
        let signature = bundle.signature().to_vec();
        let bundle = bundle.with_time_stamp(self.stamp_token(&signature, at).to_response());
        if form == Form::Plain {
            return bundle;
        }
        let entry = HashedRekord::new(
            digest,
            signature,
            signer.certificate.der().to_vec(),
            signer.certificate.public_key(),
        );
        bundle.with_log_entry(self.log.enter(&entry.unwrap()))
    }

    /// Signs an artifact.
    pub fn message_bundle(&self, signer: &Signer, artifact: &[u8], form: Form) -> Bundle {
        self.message_bundle_at(signer, artifact, form, now())
    }

    /// Signs an artifact at a time.
    pub fn message_bundle_at(
        &self,
        signer: &Signer,
        artifact: &[u8],
        form: Form,
        at: Timestamp,
    ) -> Bundle {
        let algorithm = signer.key.algorithm();
        let digest = digest_of(hash_of(algorithm), artifact);
        let signature = signer.key.sign(algorithm, artifact);
        let bundle = Bundle::message(signer.certificate.der(), digest, signature);
        self.prove(bundle, signer, digest, form, at)
    }

    /// Signs a statement.
    pub fn envelope_bundle(&self, signer: &Signer, statement: &Statement, form: Form) -> Bundle {
        self.envelope_bundle_at(signer, statement, form, now())
    }

    /// Signs a statement at a time.
    pub fn envelope_bundle_at(
        &self,
        signer: &Signer,
        statement: &Statement,
        form: Form,
        at: Timestamp,
    ) -> Bundle {
        let algorithm = signer.key.algorithm();
        let payload = statement.bytes().to_vec();
        let signed = pae(IN_TOTO, &payload);
        let signature = Signature {
            keyid: key_id(&signer.key.public_key()),
            sig: signer.key.sign(algorithm, &signed),
        };
        let envelope = Envelope::signed(IN_TOTO, payload, signature);
        let bundle = Bundle::envelope(signer.certificate.der(), envelope).unwrap();
        let digest = digest_of(hash_of(algorithm), &signed);
        self.prove(bundle, signer, digest, form, at)
    }

    /// Makes a detached CMS signature, and one with a time-stamp in it.
    pub fn cms(&self, signer: &Signer, artifact: &[u8]) -> (Vec<u8>, Vec<u8>) {
        let algorithm = signer.key.algorithm();
        let chain = [signer.certificate.clone(), self.issuing.certificate.clone()];
        let cms_signer = CmsSigner::new(&chain, algorithm).unwrap();
        let plan = CmsPlan {
            digest: digest_of(hash_of(algorithm), artifact),
            signing_time: now(),
        };
        let planned = plan.encode(&cms_signer);
        let linted = cms::lint(planned, &plan.digest, &cms_signer, now()).unwrap();
        let signature = signer.key.sign(algorithm, linted.der());
        let bare = linted.assemble(&signature).unwrap();
        let token = self.stamp_token(&signature, now());
        let stamped = cms::add_time_stamp(&bare, token.der()).unwrap();
        (bare, stamped)
    }

    /// Publishes what the issuing authority and the root have revoked.
    pub fn crls(&self, revoked: &[(&SerialNumber, Timestamp, RevocationReason)]) -> Vec<Vec<u8>> {
        vec![crl(&self.issuing, revoked), crl(&self.root, &[])]
    }
}

/// Signs a list of an authority's.
pub fn crl(
    authority: &Authority,
    revoked: &[(&SerialNumber, Timestamp, RevocationReason)],
) -> Vec<u8> {
    let entries: Vec<Box<[u8]>> = revoked
        .iter()
        .map(|(serial, at, reason)| crl::encode_entry(serial, *at, *reason, None).unwrap())
        .collect();
    // Made when the last of them was revoked.
    let made = revoked.iter().map(|(_, at, _)| *at).fold(now(), Ord::max);
    let plan = CrlPlan::full(CrlNumber::from(1), made, later(86_400));
    let planned = plan
        .encode(&authority.facts, entries.iter().map(|entry| &**entry))
        .unwrap();
    let linted = crl::lint(planned, &plan, &authority.facts, made).unwrap();
    let algorithm = authority.key.algorithm();
    let signature = authority.key.sign(algorithm, linted.tbs_der());
    linted.assemble(&signature).unwrap()
}

/// Returns a time so many seconds from now.
pub fn later(seconds: i64) -> Timestamp {
    let moved = Duration::from_secs(seconds.unsigned_abs());
    if seconds < 0 {
        now() - moved
    } else {
        now() + moved
    }
}

/// Returns the hash of an algorithm.
pub fn hash_of(algorithm: SignatureAlgorithm) -> HashAlgorithm {
    match algorithm {
        SignatureAlgorithm::RsaPkcs1(hash)
        | SignatureAlgorithm::RsaPss(hash)
        | SignatureAlgorithm::Ecdsa(hash) => hash,
        SignatureAlgorithm::Ed25519 => panic!("Ed25519 signs no digests"),
    }
}

/// Returns what a forge said of a build.
pub fn claims() -> ForgeClaims {
    use ForgeClaim as Claim;
    let workflow = "https://github.com/acme/app/.github/workflows/release.yml@refs/heads/main";
    let commit = "0a1b2c3d4e5f60718293a4b5c6d7e8f901234567";
    let claims = [
        (Claim::Issuer, FORGE),
        (Claim::BuildSignerUri, workflow),
        (Claim::BuildSignerDigest, commit),
        (Claim::RunnerEnvironment, "github-hosted"),
        (Claim::SourceRepositoryUri, "https://github.com/acme/app"),
        (Claim::SourceRepositoryDigest, commit),
        (Claim::SourceRepositoryRef, "refs/heads/main"),
        (Claim::SourceRepositoryIdentifier, "1001"),
        (Claim::SourceRepositoryOwnerUri, "https://github.com/acme"),
        (Claim::SourceRepositoryOwnerIdentifier, "77"),
        (Claim::BuildConfigUri, workflow),
        (Claim::BuildConfigDigest, commit),
        (Claim::BuildTrigger, "push"),
        (
            Claim::RunInvocationUri,
            "https://github.com/acme/app/actions/runs/5/attempts/1",
        ),
        (Claim::SourceRepositoryVisibility, "private"),
    ];
    ForgeClaims::new(claims.map(|(claim, value)| (claim, value.to_owned()))).unwrap()
}

/// Digests an artifact.
pub fn sha256(artifact: &[u8]) -> ArtifactDigest {
    digest_of(HashAlgorithm::Sha256, artifact)
}

/// Says something of an artifact.
pub fn statement(artifact: &[u8], predicate_type: &str, predicate: &str) -> Statement {
    let digest: DigestSet = [sha256(artifact)].into_iter().collect();
    let subject = Subject {
        name: "app.tar".to_owned(),
        digest,
    };
    let limits = json::Limits::default();
    Statement::build(vec![subject], predicate_type, predicate.as_bytes(), &limits).unwrap()
}

/// Says how an artifact was built.
pub fn provenance(artifact: &[u8]) -> Statement {
    let predicate = r#"{
        "buildDefinition": {
            "buildType": "https://actions.github.io/buildtypes/workflow/v1",
            "externalParameters": {"workflow": {
                "ref": "refs/heads/main",
                "repository": "https://github.com/acme/app",
                "path": ".github/workflows/release.yml"
            }},
            "resolvedDependencies": []
        },
        "runDetails": {"builder": {"id": "https://github.com/actions/runner/github-hosted"}}
    }"#;
    statement(
        artifact,
        attest::statement::predicate_type::PROVENANCE_V1,
        predicate,
    )
}
