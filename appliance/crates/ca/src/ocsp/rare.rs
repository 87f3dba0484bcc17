//! Answers of an authority whose key is seldom there: the root's, signed with its
//! CRL, good for as long as that, and kept as a file beside it.
//!
//! There are a few, one for each certificate and hash. They are served while what
//! they say is true: from a revocation on, until the next CRL brings new ones, the
//! answer is tryLater.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use hsm_keystore::{Priority, PrivateKey, SignJob, SignatureScheme};
use model::{IssuerId, SerialNumber, Timestamp};
use pki::certificate::Certificate;
use pki::issuer::IssuerFacts;
use pki::ocsp::{
    self, Answer, CertId, CertIdHash, CertStatus, ErrorStatus, IssuerHashes, OcspLintFindings,
    OcspResponse, ResponsePlan,
};
use store::{IssuedFrom, MAX_BATCH};
use tracing::{info, warn};

use super::answer::said;
use super::signing::NotSigned;
use super::standing::status;
use super::{Keep, OcspAnswer, Responder};
use crate::crl::{read, write_atomically};
use crate::error::Error;

/// By which hashes clients name the authority.
const HASHES: [CertIdHash; 2] = [CertIdHash::Sha1, CertIdHash::Sha256];

/// An authority and its answers.
#[derive(Debug)]
pub(crate) struct RareAnswers {
    /// Its name.
    id: IssuerId,
    /// Its certificate.
    certificate: Certificate,
    /// By what CertIDs name it.
    hashes: IssuerHashes,
    /// Where its answers are kept: each behind its length, four octets, the most
    /// significant first.
    file: PathBuf,
    /// What it said last.
    ready: ArcSwap<Vec<RareAnswer>>,
}

/// One answer.
#[derive(Debug, Clone)]
struct RareAnswer {
    /// About which certificate.
    serial: SerialNumber,
    /// By which hash it names the authority.
    hash: CertIdHash,
    /// What it says.
    status: CertStatus,
    /// Its times.
    keep: Keep,
    /// The OCSPResponse.
    der: Bytes,
}

/// The authority's key, while it is there.
#[derive(Debug)]
pub(crate) struct RareSigner<'a> {
    /// The key.
    pub(crate) key: &'a Arc<dyn PrivateKey>,
    /// How it signs.
    pub(crate) scheme: SignatureScheme,
    /// What signatures depend on.
    pub(crate) facts: &'a IssuerFacts,
    /// Time for the token to sign.
    pub(crate) timeout: Duration,
}

/// Why an authority's answers were not signed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotRenewed {
    /// What was issued could not be listed.
    #[error("the store did not list what {issuer} issued")]
    Store {
        /// The authority.
        issuer: IssuerId,
        /// What the store said.
        source: store::Error,
    },
    /// One was not signed.
    #[error(transparent)]
    NotSigned(#[from] NotSigned),
    /// They could not be kept.
    #[error(transparent)]
    Kept(Box<Error>),
    /// A task that ended by a fault.
    #[error(transparent)]
    Task(#[from] tokio::task::JoinError),
}

impl RareAnswers {
    /// Takes up what was kept. Blocks.
    ///
    /// What is not the authority's is told and left out.
    ///
    /// # Errors
    ///
    /// `PublishedState` when the file is there and cannot be read.
    pub(crate) fn open(
        id: IssuerId,
        certificate: Certificate,
        file: PathBuf,
        now: Timestamp,
    ) -> Result<Self, Error> {
        let answers = Self {
            hashes: IssuerHashes::of(&certificate),
            id,
            certificate,
            file,
            ready: ArcSwap::default(),
        };
        if let Some(octets) = read(&answers.file)? {
            let ready = answers.take_up(&octets, now);
            answers.ready.store(Arc::new(ready));
        }
        Ok(answers)
    }

    /// Reads what was kept.
    fn take_up(&self, mut octets: &[u8], now: Timestamp) -> Vec<RareAnswer> {
        let mut found = Vec::new();
        while let Some((length, rest)) = octets.split_first_chunk::<4>() {
            let length = u32::from_be_bytes(*length) as usize;
            let Some((der, rest)) = rest.split_at_checked(length) else {
                break;
            };
            octets = rest;
            match self.read_answer(der, now) {
                Some(answer) => found.push(answer),
                None => warn!(
                    issuer = %self.id,
                    "left an OCSP answer in {:?} out, which authority {} did not sign; \
                     its next CRL brings another", self.file, self.id
                ),
            }
        }
        found
    }

    /// Reads one answer, if it is the authority's.
    fn read_answer(&self, der: &[u8], now: Timestamp) -> Option<RareAnswer> {
        let OcspResponse::Basic(basic) = OcspResponse::parse(der).ok()? else {
            return None;
        };
        basic.verify(&self.certificate, now).ok()?;
        let answer = basic.answers().next()?;
        if !self.hashes.matches(&answer.cert_id) {
            return None;
        }
        Some(RareAnswer {
            serial: answer.cert_id.serial()?,
            hash: answer.cert_id.hash()?,
            status: answer.status,
            keep: Keep {
                since: answer.this_update,
                until: answer.next_update?,
            },
            der: Bytes::copy_from_slice(der),
        })
    }

    /// Finds what is said of a certificate.
    fn find(&self, id: &CertId<'_>) -> Option<RareAnswer> {
        let (serial, hash) = (id.serial()?, id.hash()?);
        let ready = self.ready.load();
        let found = ready
            .iter()
            .find(|answer| answer.hash == hash && answer.serial == serial);
        found.cloned()
    }
}

impl Responder {
    /// Answers a query about a certificate of the authority whose key is seldom
    /// there; none if it is about another's.
    pub(super) fn rare_answer(&self, id: &CertId<'_>) -> Option<Result<OcspAnswer, ErrorStatus>> {
        let rare = self.rare.as_ref().filter(|rare| rare.hashes.matches(id))?;
        let Some(answer) = rare.find(id) else {
            // RFC 9919, 3.2.3: nothing authoritative can be said.
            return Some(Err(ErrorStatus::Unauthorized));
        };
        let is_true = answer.status == status(self.revocations.lookup(&rare.id, &answer.serial));
        let now = self.now();
        if !is_true || now < answer.keep.since || now > answer.keep.until {
            return Some(Err(ErrorStatus::TryLater));
        }
        Some(Ok(OcspAnswer::ready(
            answer.der,
            said(answer.status),
            answer.keep,
        )))
    }

    /// Tells whether that authority has something to say of every certificate that it
    /// issued: before its first CRL by this version it has not.
    pub(crate) fn has_rare_answers(&self, id: &IssuerId) -> bool {
        self.rare
            .as_ref()
            .filter(|rare| rare.id == *id)
            .is_none_or(|rare| !rare.ready.load().is_empty())
    }

    /// Has new answers signed by the authority whose key is seldom there, with the
    /// times of its CRL, keeps them and serves them; does nothing for others.
    ///
    /// # Errors
    ///
    /// What stopped it; the answers before are served on.
    pub(crate) async fn renew_rare_answers(
        &self,
        id: &IssuerId,
        signer: &RareSigner<'_>,
        keep: Keep,
    ) -> Result<(), NotRenewed> {
        let Some(rare) = self.rare.as_ref().filter(|rare| rare.id == *id) else {
            return Ok(());
        };
        let from = IssuedFrom::expiring(keep.since);
        let issued = self.store.issued(id, from, MAX_BATCH).await;
        let issued = issued.map_err(|source| NotRenewed::Store {
            issuer: id.clone(),
            source,
        })?;
        if issued.len() == MAX_BATCH {
            warn!(issuer = %id, "{id} answers for its first {MAX_BATCH} certificates alone");
        }
        let mut ready = Vec::with_capacity(issued.len() * HASHES.len());
        let own = rare.certificate.serial();
        for certificate in issued.iter().filter(|issued| issued.serial != *own) {
            let status = status(self.revocations.lookup(id, &certificate.serial));
            for hash in HASHES {
                let der = rare.sign(signer, hash, &certificate.serial, status, keep);
                ready.push(RareAnswer {
                    serial: certificate.serial.clone(),
                    hash,
                    status,
                    keep,
                    der: der.await?,
                });
            }
        }
        let (file, octets) = (rare.file.clone(), encode(&ready));
        // Kept before they are served, as the CRL is.
        tokio::task::spawn_blocking(move || write_atomically(&file, &octets))
            .await?
            .map_err(|error| NotRenewed::Kept(Box::new(error)))?;
        info!(
            issuer = %id, answers = ready.len(), next_update = %keep.until,
            "{id} answers OCSP until {}", keep.until
        );
        rare.ready.store(Arc::new(ready));
        Ok(())
    }
}

impl RareAnswers {
    /// Plans, lints, signs and assembles one answer.
    async fn sign(
        &self,
        signer: &RareSigner<'_>,
        hash: CertIdHash,
        serial: &SerialNumber,
        status: CertStatus,
        keep: Keep,
    ) -> Result<Bytes, NotSigned> {
        let responder = ocsp::Responder::issuer(signer.facts);
        let cert_id_der = self.hashes.cert_id_der(hash, serial);
        // Written by us a moment ago.
        let cert_id = CertId::from_der(&cert_id_der).map_err(OcspLintFindings::from)?;
        let plan = ResponsePlan {
            produced_at: keep.since,
            answers: &[Answer {
                cert_id,
                status,
                this_update: keep.since,
                next_update: keep.until,
                archive_cutoff: None,
            }],
            nonce: None,
            extended_revoke: false,
        };
        let linted = ocsp::lint(plan.encode(&responder), &responder, plan.produced_at)?;
        // The keystore verifies what the token returns with the public key.
        let job = SignJob::message(signer.scheme, linted.der())
            .with_priority(Priority::Revocation)
            .with_timeout(signer.timeout);
        let signature = signer.key.sign(job).await?;
        Ok(linted.assemble(&signature)?.to_der(&responder).into())
    }
}

/// Writes answers one after the other.
fn encode(answers: &[RareAnswer]) -> Vec<u8> {
    let mut octets = Vec::new();
    for answer in answers {
        // One certificate's answer has some hundred octets.
        let length = u32::try_from(answer.der.len()).unwrap_or(u32::MAX);
        octets.extend_from_slice(&length.to_be_bytes());
        octets.extend_from_slice(&answer.der);
    }
    octets
}
