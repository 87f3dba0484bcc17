//! The CA as its own client: for its TLS certificate and the first identities,
//! by the same road as everyone's.

use std::sync::Arc;

use async_trait::async_trait;
use mesh::wire::{
    CaStatus, CertificateFilter, CertificatePage, CertificateRecord, ProblemDocument, ProfileList,
};
use mesh::{CaClient, CaClientError, Problem, SignRequest, SignedCertificate};
use model::{RequestId, SerialNumber};

use crate::http;
use crate::issue::{Ca, IssueRequest, Requester};
use crate::refusal::Refusal;

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
}
