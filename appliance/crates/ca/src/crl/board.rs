//! The CRLs as last signed: what is served, whether a token is there or not.

use std::collections::BTreeMap;

use arc_swap::ArcSwap;
use aws_lc_rs::digest;
use bytes::Bytes;
use model::{IssuerId, Timestamp};
use std::sync::Arc;
use tokio::sync::watch;

use super::CrlKind;

/// A signed CRL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Crl {
    /// Its number.
    pub(crate) number: u64,
    /// The number of the full CRL that it is a delta to.
    pub(crate) base: Option<u64>,
    /// Its thisUpdate.
    pub(crate) this_update: Timestamp,
    /// Its nextUpdate.
    pub(crate) next_update: Timestamp,
    /// How many entries it has.
    pub(crate) entries: u64,
    /// The last act that it reflects; 0 where that is not known.
    pub(crate) through: u64,
    /// Whether it is the last one recorded, as far as that is known.
    pub(crate) is_last: bool,
    /// Which changes it reflects, counted since the start.
    pub(crate) revision: u64,
    /// Its DER.
    pub(crate) der: Bytes,
    /// SHA-256 of its DER, as the entity tag.
    pub(crate) etag: Arc<str>,
}

impl Crl {
    /// Makes the entity tag of a CRL.
    pub(crate) fn etag_of(der: &[u8]) -> Arc<str> {
        let digest = digest::digest(&digest::SHA256, der);
        let short = digest.as_ref().get(..16).unwrap_or_default();
        format!("\"{}\"", hex::encode(short)).into()
    }
}

/// The CRLs of one authority.
type Crls = BTreeMap<CrlKind, Arc<Crl>>;

/// Every CRL that is published.
#[derive(Debug)]
pub(crate) struct Board {
    /// By authority; there are two or three.
    issuers: Vec<(IssuerId, ArcSwap<Crls>)>,
    /// Counts swaps and wakes those who wait for one.
    swaps: watch::Sender<u64>,
}

impl Board {
    /// Begins without CRLs.
    pub(crate) fn new(issuers: impl IntoIterator<Item = IssuerId>) -> Self {
        Self {
            issuers: issuers
                .into_iter()
                .map(|issuer| (issuer, ArcSwap::default()))
                .collect(),
            swaps: watch::Sender::new(0),
        }
    }

    /// Finds a CRL.
    pub(crate) fn get(&self, issuer: &IssuerId, kind: CrlKind) -> Option<Arc<Crl>> {
        self.crls(issuer)?.load().get(&kind).cloned()
    }

    /// Finds a CRL by its name in URLs, without the ending.
    pub(crate) fn find(&self, stem: &str) -> Option<Arc<Crl>> {
        self.issuers.iter().find_map(|(issuer, crls)| {
            let kind = CrlKind::from_stem(stem, issuer)?;
            crls.load().get(&kind).cloned()
        })
    }

    /// Puts a CRL in the place of the one before.
    pub(crate) fn put(&self, issuer: &IssuerId, kind: CrlKind, crl: Arc<Crl>) {
        if let Some(crls) = self.crls(issuer) {
            crls.rcu(|crls| {
                let mut crls = Crls::clone(crls);
                crls.insert(kind, Arc::clone(&crl));
                crls
            });
            self.swaps.send_modify(|count| *count += 1);
        }
    }

    /// Wakes whenever a CRL took the place of another.
    pub(crate) fn swaps(&self) -> watch::Receiver<u64> {
        self.swaps.subscribe()
    }

    /// Lists every CRL with its authority.
    pub(crate) fn all(&self) -> Vec<(IssuerId, CrlKind, Arc<Crl>)> {
        let of_issuer = |(issuer, crls): &(IssuerId, ArcSwap<Crls>)| {
            let crls = crls.load_full();
            crls.iter()
                .map(|(kind, crl)| (issuer.clone(), *kind, Arc::clone(crl)))
                .collect::<Vec<_>>()
        };
        self.issuers.iter().flat_map(of_issuer).collect()
    }

    /// Tells whether there is an authority of the name.
    pub(crate) fn knows(&self, issuer: &IssuerId) -> bool {
        self.crls(issuer).is_some()
    }

    /// Finds an authority's CRLs.
    fn crls(&self, issuer: &IssuerId) -> Option<&ArcSwap<Crls>> {
        self.issuers
            .iter()
            .find_map(|(id, crls)| (id == issuer).then_some(crls))
    }
}
