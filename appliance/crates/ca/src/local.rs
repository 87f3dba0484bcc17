//! The CA as its own client: for its TLS certificate and the first identities,
//! by the same road as everyone's.

use std::sync::Arc;

use async_trait::async_trait;
use mesh::wire::{
    CaStatus, CertificateFilter, CertificatePage, CertificateRecord, ImportOutcome, KeyRevocation,
    ProblemDocument, ProfileList, RevocationFilter, RevocationImport, RevocationPage,
    RevocationRecord, RevokeKeyRequest, RevokeRequest,
};
use mesh::{
    CaClient, CaClientError, CrlAnswer, CrlRequest, CrlScope, FetchedCrl, Problem,
    RevocationSource, SignRequest, SignedCertificate,
};
use model::{RequestId, SerialNumber};

use crate::crl::{Crl, CrlKind};
use crate::http;
use crate::issue::{Ca, IssueRequest, Requester};
use crate::refusal::Refusal;
use crate::revoke::{RevokeRefusal, RevokedBy};

/// Asks the CA in its own name, without network and roles.
#[derive(Debug)]
pub(crate) struct LocalClient(pub(crate) Arc<Ca>);

/// The request id of what the CA does by itself.
const REQUEST_ID: &str = "ca-itself";

impl Ca {
    /// Returns the CA as a client that asks in the CA's own name.
    ///
    /// It may grant any identity: for the composition root alone.
    #[must_use]
    pub fn local_client(self: &Arc<Self>) -> Arc<dyn CaClient> {
        Arc::new(LocalClient(Arc::clone(self)))
    }
}

/// Tells a problem as a client of the network would be told it.
fn refused(problem: &Problem, retry_after: Option<std::time::Duration>) -> CaClientError {
    let kind = problem.kind();
    let document = Box::new(ProblemDocument {
        kind: kind.uri(),
        title: kind.title().to_owned(),
        status: kind.status().as_u16(),
        detail: problem.detail().to_owned(),
        request_id: None,
        members: serde_json::Map::new(),
    });
    if retry_after.is_some() {
        CaClientError::Unavailable {
            problem: document,
            retry_after,
        }
    } else {
        CaClientError::Refused { problem: document }
    }
}

/// Tells a refusal as a client of the network would be told it.
fn refusal(refusal: Refusal) -> CaClientError {
    let retry_after = refusal.retry_after();
    refused(&http::problem(refusal), retry_after)
}

impl LocalClient {
    /// Names the CA itself as the one who asks.
    fn by(&self) -> Result<RevokedBy, CaClientError> {
        Ok(RevokedBy {
            requester: Requester::Ca,
            request_id: RequestId::new(REQUEST_ID)
                .map_err(|error| refused(&Problem::internal(error), None))?,
        })
    }
}

#[async_trait]
impl RevocationSource for LocalClient {
    async fn crl(&self, request: CrlRequest) -> Result<CrlAnswer, CaClientError> {
        let kind = match request.scope {
            CrlScope::Full => CrlKind::Whole,
            CrlScope::Delta => CrlKind::Delta,
            CrlScope::Shard(shard) => CrlKind::Shard(shard),
        };
        let board = &self.0.publication.board;
        let mut swaps = board.swaps();
        let find = || board.get(&request.issuer, kind);
        let is_known = |crl: &Crl| request.known.as_deref() == Some(&*crl.etag);
        let mut crl = find();
        if let (Some(wait), true) = (request.wait, crl.as_deref().is_some_and(is_known)) {
            let another = async {
                while swaps.changed().await.is_ok() {
                    if find().is_some_and(|crl| !is_known(&crl)) {
                        return;
                    }
                }
            };
            // Whether in time or not, what is there now is the answer.
            let _ = tokio::time::timeout(wait, another).await;
            crl = find();
        }
        match crl {
            Some(crl) if is_known(&crl) => Ok(CrlAnswer::NotModified),
            Some(crl) => Ok(CrlAnswer::Crl(FetchedCrl {
                der: crl.der.to_vec(),
                etag: Some(crl.etag.to_string()),
            })),
            None => Err(refused(&http::crl_missing(&request.issuer, kind), None)),
        }
    }

    async fn ocsp(&self, request_der: Vec<u8>) -> Result<Vec<u8>, CaClientError> {
        let answer = self.0.publication.responder.query(&request_der).await;
        Ok(answer.der().to_vec())
    }
}

/// Tells a refusal as a client of the network would be told it.
fn not_revoked(refusal: RevokeRefusal) -> CaClientError {
    refused(&http::revoke_problem(&refusal), refusal.retry_after())
}

#[async_trait]
impl CaClient for LocalClient {
    async fn sign(&self, request: SignRequest) -> Result<SignedCertificate, CaClientError> {
        let validity = request
            .validity
            .as_deref()
            .map(str::parse)
            .transpose()
            .map_err(|error| refusal(Refusal::Validity(error)))?;
        let request_id = match request.request_id {
            Some(id) => id,
            None => RequestId::new(REQUEST_ID)
                .map_err(|error| refused(&Problem::internal(error), None))?,
        };
        let issued = Arc::clone(&self.0)
            .issue(IssueRequest {
                csr_der: request.csr_der,
                profile: request.profile,
                validity,
                identity: request.identity,
                forge: request.forge,
                requester: Requester::Ca,
                request_id,
                idempotency: Some(request.idempotency),
            })
            .await
            .map_err(refusal)?;
        Ok(SignedCertificate {
            chain_pem: self.0.chain_pem(&issued.certificate_der),
            serial: issued.serial,
        })
    }

    async fn certificate(&self, serial: &SerialNumber) -> Result<CertificateRecord, CaClientError> {
        self.0
            .certificate(serial)
            .await
            .map_err(|error| refusal(error.into()))?
            .ok_or_else(|| refused(&http::serial_unknown(serial), None))
    }

    async fn certificates(
        &self,
        filter: &CertificateFilter,
    ) -> Result<CertificatePage, CaClientError> {
        self.0
            .certificates(filter)
            .await
            .map_err(|error| refusal(error.into()))
    }

    async fn profiles(&self) -> Result<ProfileList, CaClientError> {
        Ok(self.0.profiles(None))
    }

    async fn status(&self) -> Result<CaStatus, CaClientError> {
        Ok(self.0.status())
    }

    async fn revoke(&self, request: &RevokeRequest) -> Result<RevocationRecord, CaClientError> {
        let outcome = Arc::clone(&self.0).revoke(request.clone(), self.by()?);
        outcome.await.map_err(not_revoked)
    }

    async fn revoke_key(&self, request: &RevokeKeyRequest) -> Result<KeyRevocation, CaClientError> {
        let outcome = Arc::clone(&self.0).revoke_key(request.clone(), self.by()?);
        outcome.await.map_err(not_revoked)
    }

    async fn revocations(
        &self,
        filter: &RevocationFilter,
    ) -> Result<RevocationPage, CaClientError> {
        self.0.list_revocations(filter).await.map_err(not_revoked)
    }

    async fn import_revocations(
        &self,
        import: &RevocationImport,
    ) -> Result<ImportOutcome, CaClientError> {
        let outcome = Arc::clone(&self.0).import_revocations(import.clone(), self.by()?);
        outcome.await.map_err(not_revoked)
    }
}
