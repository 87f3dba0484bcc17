//! `GET /v1/signatures` and `GET /v1/artifacts/{digest}`.

use std::str::FromStr;

use actix_web::HttpRequest;
use actix_web::web::{Data, Path};
use jiff::Timestamp;
use mesh::Peer;
use model::signing::{ArtifactDigest, SignatureId, SignerLabel, SigningProfileName};
use serde::{Deserialize, Serialize};
use store::signing::{Listing, SearchFilter, SignatureRecord};

use super::answer::json;
use super::object::SignatureObject;
use super::{Answered, may_read, query};
use crate::problem::SigningProblem;
use crate::service::Signing;

/// What may be asked for.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SearchQuery {
    /// The artifact.
    artifact_hash: Option<String>,
    /// Who asked.
    signer: Option<String>,
    /// Who built.
    builder: Option<String>,
    /// The profile.
    profile: Option<String>,
    /// The earliest time.
    since: Option<String>,
    /// Most signatures.
    limit: Option<String>,
    /// Where the page before ended.
    cursor: Option<String>,
}

/// What it may hold, in words.
const KNOWN: &str = "artifactHash, signer, builder, profile, since, limit and cursor";

/// One page.
#[derive(Debug, Serialize)]
struct Page {
    /// The artifact, where the page is of one.
    #[serde(rename = "artifactHash", skip_serializing_if = "Option::is_none")]
    artifact_hash: Option<String>,
    /// The signatures, the newest first.
    signatures: Vec<SignatureObject>,
    /// Where the next page begins; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// Reads one value of a query.
fn value<T: FromStr>(name: &str, text: Option<&String>) -> Result<Option<T>, SigningProblem>
where
    T::Err: std::fmt::Display,
{
    text.map(|text| {
        text.parse()
            .map_err(|error| SigningProblem::malformed(format!("{name}: {error}")))
    })
    .transpose()
}

impl SearchQuery {
    /// Reads what bounds a page.
    fn page(&self, most: usize) -> Result<(Option<SignatureId>, usize), SigningProblem> {
        let limit = value::<usize>("limit", self.limit.as_ref())?.unwrap_or(most);
        if !(1..=most).contains(&limit) {
            return Err(SigningProblem::malformed(format!(
                "limit: it is between 1 and {most}"
            )));
        }
        Ok((value("cursor", self.cursor.as_ref())?, limit))
    }

    /// Reads what is looked for.
    fn filter(&self) -> Result<SearchFilter, SigningProblem> {
        let named = |name: &str, error: &dyn std::fmt::Display| {
            SigningProblem::malformed(format!("{name}: {error}"))
        };
        let builder = match self.builder.as_deref() {
            Some(text) if text.len() > MAX_BUILDER => {
                return Err(SigningProblem::malformed(format!(
                    "builder: it has at most {MAX_BUILDER} octets"
                )));
            }
            builder => builder.map(Into::into),
        };
        Ok(SearchFilter {
            artifact: self
                .artifact_hash
                .as_deref()
                .map(ArtifactDigest::from_str)
                .transpose()?,
            signer: self
                .signer
                .as_deref()
                .map(|text| SignerLabel::new(text).map_err(|error| named("signer", &error)))
                .transpose()?,
            builder,
            profile: self
                .profile
                .as_deref()
                .map(|text| SigningProfileName::new(text).map_err(|error| named("profile", &error)))
                .transpose()?,
            since: value::<Timestamp>("since", self.since.as_ref())?,
        })
    }
}

/// Longest builder id that is looked for.
const MAX_BUILDER: usize = 4096;

/// `GET /v1/signatures`.
pub(super) async fn search(signing: Data<Signing>, peer: Peer, request: HttpRequest) -> Answered {
    may_read(&peer)?;
    let query: SearchQuery = query(&request, KNOWN)?;
    let (after, limit) = query.page(signing.config.limits.search_page)?;
    let listing = signing
        .store
        .search(query.filter()?, after, limit)
        .await
        .map_err(SigningProblem::from)?;
    let page = page(&signing, &listing, None)?;
    Ok(json(actix_web::HttpResponse::Ok(), &page))
}

/// `GET /v1/artifacts/{digest}`.
pub(super) async fn artifact(
    signing: Data<Signing>,
    peer: Peer,
    request: HttpRequest,
    path: Path<String>,
) -> Answered {
    may_read(&peer)?;
    let digest = ArtifactDigest::from_str(&path).map_err(SigningProblem::from)?;
    let query: PageQuery = query(&request, "limit and cursor")?;
    let query = SearchQuery {
        limit: query.limit,
        cursor: query.cursor,
        ..SearchQuery::default()
    };
    let (after, limit) = query.page(signing.config.limits.search_page)?;
    let listing = signing
        .store
        .by_artifact(&digest, after, limit)
        .await
        .map_err(SigningProblem::from)?;
    if listing.items.is_empty() && after.is_none() {
        return Err(SigningProblem::ArtifactUnknown { digest }.into());
    }
    let page = page(&signing, &listing, Some(digest.to_string()))?;
    Ok(json(actix_web::HttpResponse::Ok(), &page))
}

/// What bounds a page.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PageQuery {
    /// Most signatures.
    limit: Option<String>,
    /// Where the page before ended.
    cursor: Option<String>,
}

/// Shows a page.
fn page(
    signing: &Signing,
    listing: &Listing<std::sync::Arc<SignatureRecord>, SignatureId>,
    artifact_hash: Option<String>,
) -> Result<Page, SigningProblem> {
    let url = signing.url()?;
    Ok(Page {
        artifact_hash,
        signatures: listing
            .items
            .iter()
            .filter_map(|record| SignatureObject::new(record, None, url))
            .collect(),
        next: listing.next.map(|next| next.to_string()),
    })
}
