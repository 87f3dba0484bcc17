//! Which clients still count, by the CRLs that are held.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwapOption;
use jiff::Timestamp;
use model::{Clock, IssuerId};
use pki::certificate::Certificate;
use tracing::{error, info, warn};

use super::config::{NoFreshCrl, RevocationConfig};
use super::held::{CrlRejected, Expectation, Held, Taken, is_ahead, take};
use super::metrics::{CrlLabels, RevocationMetrics};
use crate::ca_client::{CrlScope, FetchedCrl};
use crate::error::{Error, chain};
use crate::health::Health;
use crate::peer::PeerCertificate;
use crate::tls::{AdmitPeer, Refusal};

/// What a [`CrlChecker`] is made of.
#[derive(Debug)]
pub struct CrlCheckerParts {
    /// The service whose clients it checks, for logs and metrics.
    pub service: &'static str,
    /// The authorities whose CRLs it follows.
    pub issuers: Vec<WatchedIssuer>,
    /// How.
    pub config: RevocationConfig,
    /// Where the last good CRLs are kept for the next start: a directory of this
    /// service's own.
    pub directory: PathBuf,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Where it counts.
    pub metrics: RevocationMetrics,
}

/// An authority whose CRL is followed.
#[derive(Debug, Clone)]
pub struct WatchedIssuer {
    /// Its name, as in `/crl/{issuer}`.
    pub id: IssuerId,
    /// Its certificate, trusted already.
    pub certificate_der: Vec<u8>,
    /// Whom it certifies.
    pub role: WatchedRole,
}

/// Whom a watched authority certifies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WatchedRole {
    /// Clients: without a fresh CRL of it, none is admitted, unless configured.
    Clients,
    /// Issuing authorities: one that its CRL names has all its clients refused.
    /// Nothing is refused for want of it, for its key may be away for long.
    Authorities,
}

/// Admits the clients that no CRL names, while the CRLs are fresh.
///
/// [`follow`](Self::follow) keeps them so.
#[derive(Debug)]
pub struct CrlChecker {
    /// The service whose clients it checks.
    pub(super) service: &'static str,
    /// What it holds, each CRL apart.
    pub(super) parts: Vec<Arc<Part>>,
    /// How it follows.
    pub(super) config: RevocationConfig,
    /// Where the last good CRLs are kept.
    directory: PathBuf,
    /// The time.
    clock: Arc<dyn Clock>,
    /// Where it counts.
    pub(super) metrics: RevocationMetrics,
    /// Whether the log was told that no fresh CRL is there.
    told_stale: AtomicBool,
}

/// One CRL: the full one of an authority, or one shard.
#[derive(Debug)]
pub(super) struct Part {
    /// The authority.
    pub(super) issuer: Arc<Issuer>,
    /// Which of its CRLs.
    pub(super) scope: CrlScope,
    /// What is held of it.
    held: ArcSwapOption<Held>,
    /// Entity tags of what came last, to ask for newer ones only.
    tags: Mutex<Tags>,
    /// Its labels in metrics.
    labels: CrlLabels,
}

/// Entity tags as the CA gave them.
#[derive(Debug, Default)]
struct Tags {
    /// Of the complete CRL.
    complete: Option<String>,
    /// Of the delta.
    delta: Option<String>,
}

/// An authority that is watched.
#[derive(Debug)]
pub(super) struct Issuer {
    /// Its name in URLs.
    pub(super) id: IssuerId,
    /// Its certificate.
    certificate: Certificate,
    /// Whom it certifies.
    role: WatchedRole,
    /// Whether the authority above has revoked it.
    revoked: AtomicBool,
}

/// What the CRLs say of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// A CRL names it, or its authority.
    Revoked,
    /// Every CRL that could name it is fresh and does not.
    Good,
    /// None that is fresh tells.
    Unknown,
    /// No authority of ours has issued it.
    Foreign,
}

impl CrlChecker {
    /// Reads the CRLs that were kept; [`follow`](Self::follow) fetches others.
    ///
    /// Reads files: for the start, not for request workers. A kept CRL that
    /// cannot be used is told to the log and left out.
    ///
    /// # Errors
    ///
    /// `RevocationConfig`, `IssuerCertificate`, or `NothingToFollow` without an
    /// authority that certifies clients.
    pub fn open(parts: CrlCheckerParts) -> Result<Arc<Self>, Error> {
        let service = parts.service;
        let invalid = |source| Error::RevocationConfig { service, source };
        parts.config.check().map_err(invalid)?;
        let mut crls = Vec::new();
        for watched in parts.issuers {
            let issuer = Arc::new(Issuer::read(watched)?);
            let shards = match issuer.role {
                WatchedRole::Clients => parts.config.shards,
                WatchedRole::Authorities => 0,
            };
            let scopes: Vec<_> = match shards {
                0 => vec![CrlScope::Full],
                shards => (0..shards).map(CrlScope::Shard).collect(),
            };
            let part = |scope| Arc::new(Part::new(service, Arc::clone(&issuer), scope));
            crls.extend(scopes.into_iter().map(part));
        }
        if !crls.iter().any(|part| part.certifies_clients()) {
            return Err(Error::NothingToFollow { service });
        }
        let checker = Self {
            service,
            parts: crls,
            config: parts.config,
            directory: parts.directory,
            clock: parts.clock,
            metrics: parts.metrics,
            told_stale: AtomicBool::new(false),
        };
        if checker.config.no_fresh_crl == NoFreshCrl::Admit {
            warn!(
                service,
                "{service} admits clients while no fresh CRL is there: no_fresh_crl = \"admit\""
            );
        }
        for part in &checker.parts {
            checker.read_kept(part);
        }
        Ok(Arc::new(checker))
    }

    /// Makes readiness depend on fresh CRLs, where clients are refused without.
    pub fn register_health(self: &Arc<Self>, health: &Health) {
        let checker = Arc::clone(self);
        let name = format!("{}-client-crl", self.service);
        health.register(&name, move || match checker.config.no_fresh_crl {
            NoFreshCrl::Admit => Ok(()),
            NoFreshCrl::Refuse => checker.why_stale().map_or(Ok(()), Err),
        });
    }

    /// Returns when the oldest of the CRLs was issued by which clients are found good;
    /// none where one is missing.
    #[must_use]
    pub fn oldest(&self) -> Option<Timestamp> {
        let issued = |part: &Arc<Part>| {
            let held = part.held.load();
            held.as_deref().map(|held| held.newest().this_update)
        };
        let clients = self.parts.iter().filter(|part| part.certifies_clients());
        let issued: Option<Vec<Timestamp>> = clients.map(issued).collect();
        issued?.into_iter().min()
    }

    /// Reads the complete CRLs that are kept, DER: for those who verify signatures of
    /// others by them. Those that cannot be read are left out.
    ///
    /// Reads files: not for request workers.
    #[must_use]
    pub fn kept(&self) -> Vec<Vec<u8>> {
        let read = |part: &Arc<Part>| {
            let path = self.kept_file(part, part.scope);
            crate::kept::read(&path, MAX_KEPT).ok().flatten()
        };
        self.parts.iter().filter_map(read).collect()
    }

    /// Takes a CRL that was fetched, if it is newer, and keeps it.
    ///
    /// Verifies, sorts and writes: where waiting is allowed.
    pub(super) fn take(
        &self,
        part: &Part,
        scope: CrlScope,
        fetched: &FetchedCrl,
    ) -> Result<bool, CrlRejected> {
        let der = &fetched.der;
        let newer = self.hold(part, scope, der)?;
        part.remember(scope, fetched.etag.clone());
        if newer {
            let path = self.kept_file(part, scope);
            // It counts all the same; only the next start would miss it.
            if let Err(failure) = crate::kept::write(&path, der) {
                warn!(
                    service = self.service,
                    "cannot keep a CRL: {}",
                    chain(&failure)
                );
            }
        }
        if self.told_stale.load(Ordering::Relaxed) {
            self.note_freshness();
        }
        Ok(newer)
    }

    /// Holds a CRL from now on, if it is newer.
    fn hold(&self, part: &Part, scope: CrlScope, der: &[u8]) -> Result<bool, CrlRejected> {
        let wanted = Expectation {
            issuer: &part.issuer.id,
            certificate: &part.issuer.certificate,
            role: part.issuer.role,
            scope,
            now: self.clock.now(),
            max_skew: self.config.max_skew,
        };
        let held = part.held.load_full();
        match take(held.as_deref(), der, &wanted)? {
            Taken::Same => Ok(false),
            Taken::Newer(held) => {
                self.metrics.held(&part.labels, &held);
                let newest = held.newest();
                info!(
                    service = self.service,
                    crl.issuer = %part.issuer.id,
                    crl.number = %newest.number,
                    crl.entries = held.entries(),
                    crl.next_update = %held.fresh_until(),
                    "{} checks its clients by CRL {} of {}",
                    self.service, newest.number, part.issuer.id
                );
                if part.issuer.role == WatchedRole::Authorities {
                    self.judge_authorities(&part.issuer, &held);
                }
                part.held.store(Some(Arc::new(held)));
                Ok(true)
            }
        }
    }

    /// Holds what was kept at an earlier time.
    fn read_kept(&self, part: &Part) {
        let mut scopes = vec![part.scope];
        if self.config.deltas && part.scope == CrlScope::Full {
            scopes.push(CrlScope::Delta);
        }
        for scope in scopes {
            let path = self.kept_file(part, scope);
            let unusable = |failure: &dyn std::error::Error| {
                warn!(
                    service = self.service,
                    path = ?path,
                    "a kept CRL cannot be used: {}", chain(failure)
                );
            };
            match crate::kept::read(&path, MAX_KEPT) {
                Ok(None) => {}
                Ok(Some(der)) => {
                    if let Err(rejected) = self.hold(part, scope, &der) {
                        unusable(&rejected);
                    }
                }
                Err(failure) => unusable(&failure),
            }
        }
    }

    /// Names the file of a CRL that is kept.
    fn kept_file(&self, part: &Part, scope: CrlScope) -> PathBuf {
        let issuer = &part.issuer.id;
        self.directory.join(match scope {
            CrlScope::Full => format!("{issuer}.crl"),
            CrlScope::Delta => format!("{issuer}-delta.crl"),
            CrlScope::Shard(shard) => format!("{issuer}-{shard}.crl"),
        })
    }

    /// Finds out what the CRLs say of a client.
    fn standing(&self, peer: &PeerCertificate) -> Standing {
        let now = self.clock.now();
        let mut standing = Standing::Foreign;
        for part in self.parts.iter().filter(|part| part.may_name(peer)) {
            let held = part.held.load();
            let held = held.as_deref();
            if held.is_some_and(|held| held.names(&peer.serial))
                || part.issuer.revoked.load(Ordering::Relaxed)
            {
                return Standing::Revoked;
            }
            let fresh = held.is_some_and(|held| self.is_fresh(held, now));
            standing = match standing {
                Standing::Unknown => Standing::Unknown,
                _ if fresh => Standing::Good,
                _ => Standing::Unknown,
            };
        }
        standing
    }

    /// Finds out which issuing authorities a CRL of the one above them names.
    fn judge_authorities(&self, above: &Issuer, held: &Held) {
        for part in self.parts.iter().filter(|part| part.certifies_clients()) {
            let issuer = &part.issuer;
            if issuer.certificate.issuer_der() != above.certificate.subject_der() {
                continue;
            }
            let revoked = held.names(issuer.certificate.serial());
            if issuer.revoked.swap(revoked, Ordering::Relaxed) != revoked {
                let (service, id) = (self.service, &issuer.id);
                if revoked {
                    error!(
                        service,
                        "{service} refuses all clients of {id}: {} has revoked it", above.id
                    );
                } else {
                    info!(service, "{id} is not revoked any more");
                }
            }
        }
    }

    /// Tells whether what is held speaks for this moment.
    fn is_fresh(&self, held: &Held, now: Timestamp) -> bool {
        // A clock that was set back makes a CRL one of the future.
        !is_ahead(held.newest().this_update, now, self.config.max_skew) && now <= held.fresh_until()
    }

    /// Says which CRL is not fresh, if one of clients is not.
    fn why_stale(&self) -> Option<String> {
        let now = self.clock.now();
        self.parts
            .iter()
            .filter(|part| part.certifies_clients())
            .find_map(|part| {
                let held = part.held.load();
                let name = part.name();
                match held.as_deref() {
                    None => Some(format!("no CRL of {name} is there yet")),
                    Some(held) if self.is_fresh(held, now) => None,
                    Some(held) => Some(format!(
                        "the CRL of {name} was to be replaced by {}",
                        held.fresh_until()
                    )),
                }
            })
    }

    /// Tells the log when fresh CRLs are gone or back, once each.
    pub(super) fn note_freshness(&self) {
        let why = self.why_stale();
        let stale = why.is_some();
        if self.told_stale.load(Ordering::Relaxed) == stale
            || self.told_stale.swap(stale, Ordering::Relaxed) == stale
        {
            return;
        }
        let service = self.service;
        match (why, self.config.no_fresh_crl) {
            (None, _) => info!(service, "{service} has fresh CRLs again"),
            (Some(why), NoFreshCrl::Refuse) => {
                error!(service, "{service} refuses all clients: {why}");
            }
            (Some(why), NoFreshCrl::Admit) => warn!(
                service,
                "{service} admits clients that may be revoked, as configured: {why}"
            ),
        }
    }
}

/// Most octets of a kept CRL.
const MAX_KEPT: u64 = 256 * 1024 * 1024;

impl AdmitPeer for CrlChecker {
    fn admit(&self, peer: &PeerCertificate) -> Result<(), Refusal> {
        let refusal = match self.standing(peer) {
            Standing::Good => return Ok(()),
            Standing::Revoked => Refusal::Revoked,
            Standing::Foreign => Refusal::Unknown,
            Standing::Unknown => {
                if !self.told_stale.load(Ordering::Relaxed) {
                    self.note_freshness();
                }
                if self.config.no_fresh_crl == NoFreshCrl::Admit {
                    self.metrics.unchecked(self.service);
                    return Ok(());
                }
                Refusal::Unknown
            }
        };
        self.metrics.refused(self.service, refusal);
        Err(refusal)
    }
}

impl Issuer {
    /// Reads an authority's certificate.
    fn read(watched: WatchedIssuer) -> Result<Self, Error> {
        let certificate = Certificate::from_der(&watched.certificate_der);
        Ok(Self {
            certificate: certificate.map_err(|source| Error::IssuerCertificate {
                issuer: watched.id.clone(),
                source,
            })?,
            id: watched.id,
            role: watched.role,
            revoked: AtomicBool::new(false),
        })
    }
}

impl Part {
    /// Holds nothing yet.
    fn new(service: &'static str, issuer: Arc<Issuer>, scope: CrlScope) -> Self {
        let shard = match scope {
            CrlScope::Shard(shard) => shard.to_string(),
            CrlScope::Full | CrlScope::Delta => String::new(),
        };
        Self {
            labels: CrlLabels {
                service,
                issuer: issuer.id.to_string(),
                shard,
            },
            issuer,
            scope,
            held: ArcSwapOption::empty(),
            tags: Mutex::default(),
        }
    }

    /// Returns the entity tag of the CRL that came last.
    pub(super) fn tag(&self, scope: CrlScope) -> Option<String> {
        let tags = self.tags.lock().unwrap_or_else(PoisonError::into_inner);
        match scope {
            CrlScope::Full | CrlScope::Shard(_) => tags.complete.clone(),
            CrlScope::Delta => tags.delta.clone(),
        }
    }

    /// Remembers the entity tag of a CRL that was taken, or was held already.
    fn remember(&self, scope: CrlScope, tag: Option<String>) {
        let mut tags = self.tags.lock().unwrap_or_else(PoisonError::into_inner);
        match scope {
            CrlScope::Full | CrlScope::Shard(_) => tags.complete = tag,
            CrlScope::Delta => tags.delta = tag,
        }
    }

    /// Tells whether a complete CRL is held, which deltas could go with.
    pub(super) fn is_held(&self) -> bool {
        self.held.load().is_some()
    }

    /// Names it for people: `issuing`, `issuing, shard 3`.
    pub(super) fn name(&self) -> String {
        match self.scope {
            CrlScope::Full | CrlScope::Delta => self.issuer.id.to_string(),
            CrlScope::Shard(shard) => format!("{}, shard {shard}", self.issuer.id),
        }
    }

    /// Tells whether clients are refused for want of it.
    fn certifies_clients(&self) -> bool {
        self.issuer.role == WatchedRole::Clients
    }

    /// Tells whether it could name a client: by the client's issuer.
    fn may_name(&self, peer: &PeerCertificate) -> bool {
        self.certifies_clients() && self.issuer.certificate.subject_der() == peer.issuer_der
    }
}
