//! What relying parties are told, and what can be told without a token.
//!
//! A token that is away when the service starts does not keep CRLs and OCSP
//! answers away: the authorities' certificates and the last CRLs are kept as
//! files, and what is revoked is in the store.

use std::path::Path;
use std::sync::Arc;

use hsm_keystore::KeyStore;
use jiff::SignedDuration;
use mesh::CrlScope;
use mesh::wire::{CrlList, CrlSummary, RunwayStatus};
use model::{Clock, IssuerId, Timestamp};
use pki::certificate::Certificate;
use store::RevocationStore;

use crate::authority::kept_certificate;
use crate::ceremony::check_certificate;
use crate::config::CheckedCaConfig;
use crate::crl::{Board, Crl, CrlKind, Directory, History, write_atomically};
use crate::error::Error;
use crate::ocsp::{OcspMetrics, RareAnswers, Responder, ResponderParts};
use crate::revocations::Revocations;

/// The authorities' certificates.
#[derive(Debug, Clone)]
pub struct AuthorityCertificates {
    /// The root's.
    pub(crate) root: Certificate,
    /// The issuing authority's.
    pub(crate) issuing: Certificate,
}

impl AuthorityCertificates {
    /// Reads the certificates from the keystore of the issuing authority.
    ///
    /// Blocks for as long as the token takes.
    ///
    /// # Errors
    ///
    /// `NoCeremony` when there is no authority yet, `AuthorityDiffers` when what
    /// is there is not what is configured, `KeyStore` when the token cannot be
    /// asked.
    pub fn read(config: &CheckedCaConfig, keystore: &dyn KeyStore) -> Result<Self, Error> {
        let plan = &config.ceremony;
        let read = |id, key| kept_certificate(keystore, id, key);
        Self {
            root: read(&plan.root.id, &plan.root.key)?,
            issuing: read(&plan.issuing.id, &plan.issuing.key)?,
        }
        .checked(config)
    }

    /// Reads the certificates as files that [`Self::keep`] kept in the state
    /// directory of what is published; none if they are not all there. Blocks.
    ///
    /// # Errors
    ///
    /// `PublishedState` when they cannot be read, `Certificate` or
    /// `AuthorityDiffers` when they are others.
    pub fn kept(config: &CheckedCaConfig, directory: &Path) -> Result<Option<Self>, Error> {
        let read = |id: &IssuerId| {
            let octets = crate::crl::read(&directory.join(file_name(id)))?;
            let parse = |der: Vec<u8>| {
                Certificate::from_der(&der).map_err(|source| Error::Certificate {
                    authority: id.clone(),
                    source,
                })
            };
            octets.map(parse).transpose()
        };
        let plan = &config.ceremony;
        let (Some(root), Some(issuing)) = (read(&plan.root.id)?, read(&plan.issuing.id)?) else {
            return Ok(None);
        };
        Self { root, issuing }.checked(config).map(Some)
    }

    /// Keeps the certificates as files. Blocks.
    ///
    /// # Errors
    ///
    /// `PublishedState` when they cannot be written.
    pub fn keep(&self, config: &CheckedCaConfig, directory: &Path) -> Result<(), Error> {
        Directory::open(directory.to_owned())?;
        let plan = &config.ceremony;
        for (id, certificate) in [
            (&plan.root.id, &self.root),
            (&plan.issuing.id, &self.issuing),
        ] {
            write_atomically(&directory.join(file_name(id)), certificate.der())?;
        }
        Ok(())
    }

    /// Returns the issuing authority's certificate.
    #[must_use]
    pub fn issuing(&self) -> &Certificate {
        &self.issuing
    }

    /// Returns the root's certificate.
    #[must_use]
    pub fn root(&self) -> &Certificate {
        &self.root
    }

    /// Holds both to the configuration.
    fn checked(self, config: &CheckedCaConfig) -> Result<Self, Error> {
        let plan = &config.ceremony;
        check_certificate(&plan.root, &self.root, self.root.public_key())?;
        check_certificate(&plan.issuing, &self.issuing, self.root.public_key())?;
        Ok(self)
    }
}

/// Returns the name of an authority's certificate file.
fn file_name(id: &IssuerId) -> String {
    format!("{id}.cer")
}

/// What a publication is opened with.
#[derive(Debug)]
pub struct PublicationParts {
    /// The configuration.
    pub config: CheckedCaConfig,
    /// Where revocations and CRLs are recorded.
    pub store: Arc<dyn RevocationStore>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The directory of what was published.
    pub directory: std::path::PathBuf,
    /// The authorities' certificates.
    pub certificates: AuthorityCertificates,
    /// What the OCSP responder counts.
    pub ocsp_metrics: OcspMetrics,
}

/// What is published: revocations, CRLs as last signed, authorities.
#[derive(Debug)]
pub struct Publication {
    /// What no longer counts.
    pub(crate) revocations: Arc<Revocations>,
    /// Answers OCSP.
    pub(crate) responder: Arc<Responder>,
    /// The CRLs as last signed.
    pub(crate) board: Board,
    /// Under which names certificates look for them.
    pub(crate) history: History,
    /// Where they are kept.
    pub(crate) directory: Directory,
    /// The authorities' certificates.
    pub(crate) certificates: AuthorityCertificates,
    /// The root's name.
    pub(crate) root_id: IssuerId,
    /// The issuing authority's name.
    pub(crate) issuing_id: IssuerId,
    /// How often CRLs are issued.
    pub(crate) crl_interval: SignedDuration,
    /// The time.
    pub(crate) clock: Arc<dyn Clock>,
}

impl Publication {
    /// Loads what is revoked and what was published last. Asks no token.
    ///
    /// # Errors
    ///
    /// `Store` when the store cannot be read, `PublishedState` when the directory
    /// cannot be.
    pub async fn open(parts: PublicationParts) -> Result<Arc<Self>, Error> {
        let PublicationParts {
            config,
            store,
            clock,
            directory,
            certificates,
            ocsp_metrics,
        } = parts;
        let (root_id, issuing_id) = (
            config.ceremony.root.id.clone(),
            config.ceremony.issuing.id.clone(),
        );
        let issuers = [issuing_id.clone(), root_id.clone()];
        let shards = config.crl.shards;
        let url = config.distribution_url.clone();
        let (directory, history) = tokio::task::spawn_blocking(move || {
            let directory = Directory::open(directory)?;
            let history = History::open(&directory.file("history"), shards, &url)?;
            Ok::<_, Error>((directory, history))
        })
        .await??;
        let revocations = Revocations::load(store.as_ref(), issuers.clone(), shards.max(1)).await?;
        let board = Board::new(issuers);
        let mut kinds = vec![(&root_id, CrlKind::Whole)];
        kinds.push((&issuing_id, CrlKind::Whole));
        kinds.extend((0..history.largest()).map(|shard| (&issuing_id, CrlKind::Shard(shard))));
        if config.crl.delta_interval.is_some() {
            kinds.push((&issuing_id, CrlKind::Delta));
        }
        for (issuer, kind) in kinds {
            let last = store.last_crls(issuer, kind.scope()).await?;
            let recorded = match kind {
                CrlKind::Whole | CrlKind::Shard(_) => last.complete,
                CrlKind::Delta => last.delta,
            };
            let authority = if *issuer == root_id {
                certificates.root.clone()
            } else {
                certificates.issuing.clone()
            };
            let (directory, id) = (directory.clone(), issuer.clone());
            let load = move || directory.load(&id, kind, &authority, recorded.as_ref());
            if let Some(crl) = tokio::task::spawn_blocking(load).await?? {
                board.put(issuer, kind, crl);
            }
        }
        let rare = {
            let (id, root) = (root_id.clone(), certificates.root.clone());
            let (file, now) = (directory.file("root-ocsp-answers"), clock.now());
            tokio::task::spawn_blocking(move || RareAnswers::open(id, root, file, now)).await??
        };
        let responder = Responder::open(ResponderParts {
            config: config.ocsp.clone(),
            rare: Some(rare),
            issuers: vec![(issuing_id.clone(), certificates.issuing.clone())],
            revocations: Arc::clone(&revocations),
            store,
            clock: Arc::clone(&clock),
            snapshot_file: directory.file("ocsp-answers"),
            metrics: ocsp_metrics,
        })
        .await?;
        Ok(Arc::new(Self {
            responder,
            revocations,
            board,
            history,
            directory,
            certificates,
            root_id,
            issuing_id,
            crl_interval: config.crl.interval,
            clock,
        }))
    }

    /// Returns what no longer counts.
    #[must_use]
    pub fn revocations(&self) -> &Arc<Revocations> {
        &self.revocations
    }

    /// Finds an authority's certificate.
    pub(crate) fn certificate(&self, id: &str) -> Option<&Certificate> {
        if id == self.issuing_id.as_str() {
            Some(&self.certificates.issuing)
        } else {
            (id == self.root_id.as_str()).then_some(&self.certificates.root)
        }
    }

    /// Lists the CRLs as they are published.
    pub(crate) fn crl_list(&self) -> CrlList {
        let summary = |(issuer, kind, crl): (IssuerId, CrlKind, Arc<Crl>)| CrlSummary {
            scope: match kind {
                CrlKind::Whole => CrlScope::Full,
                CrlKind::Shard(shard) => CrlScope::Shard(shard),
                CrlKind::Delta => CrlScope::Delta,
            },
            number: crl.number.to_string(),
            this_update: crl.this_update,
            next_update: crl.next_update,
            entries: crl.entries,
            url: self
                .history
                .urls
                .first()
                .map(|base| kind.url(base, &issuer)),
            issuer,
        };
        CrlList {
            crls: self.board.all().into_iter().map(summary).collect(),
        }
    }

    /// Tells how long what is published counts if nothing can be signed from now on.
    #[must_use]
    pub fn runway(&self) -> Runway {
        let now = self.clock.now();
        let mut runway = Runway::default();
        if self.board.get(&self.issuing_id, CrlKind::Whole).is_none() {
            runway.shorten(now, || "the CRL, which was never issued".to_owned());
        }
        for (issuer, kind, crl) in self.board.all() {
            runway.shorten(crl.next_update, || format!("the {kind} CRL of {issuer}"));
        }
        if let Some(expiry) = self.responder.next_expiry() {
            runway.shorten(expiry, || "an OCSP answer".to_owned());
        }
        runway.left = runway.until.map(|until| {
            std::time::Duration::try_from(until.duration_since(now)).unwrap_or_default()
        });
        runway
    }
}

/// How long everything that is published counts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Runway {
    /// When the first of it expires.
    pub until: Option<Timestamp>,
    /// How long that is from now.
    pub left: Option<std::time::Duration>,
    /// What expires then.
    pub first: String,
}

impl Runway {
    /// Tells it to peers.
    pub(crate) fn to_wire(&self) -> Option<RunwayStatus> {
        Some(RunwayStatus {
            seconds: self.left?.as_secs(),
            until: self.until?,
            first: self.first.clone(),
        })
    }

    /// Takes note of something that counts until a time.
    pub(crate) fn shorten(&mut self, until: Timestamp, what: impl FnOnce() -> String) {
        if self.until.is_none_or(|before| until < before) {
            self.until = Some(until);
            self.first = what();
        }
    }
}
