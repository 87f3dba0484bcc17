//! The CA as commands see it: over mutual TLS, as the configured identity.

use std::process;
use std::time::Duration;

use mesh::tls::{self, ExpectedServer};
use mesh::wire::{
    CaStatus, CertificateFilter, CertificatePage, CertificateRecord, CrlList, ImportOutcome,
    KeyRevocation, RevocationFilter, RevocationImport, RevocationPage, RevocationRecord,
    RevokeKeyRequest, RevokeRequest,
};
use mesh::{
    CaClient, CaClientError, ClientTls, CrlAnswer, CrlRequest, CrlScope, HttpCaClient, Persistence,
    RevocationSource, SignRequest, SignedCertificate, TlsIdentity,
};
use model::{Clock, IdempotencyKey, Identity, IssuerId, ProfileName, Role, SerialNumber};
use tokio::runtime::{self, Runtime};

use crate::cli::files;
use crate::config::Config;
use crate::failure::{Advise, Failure, Trying};
use crate::telemetry::SystemClock;

/// How long a command goes on asking a CA that answers "not now".
const PATIENCE: Duration = Duration::from_secs(30);

/// What a command has signed.
#[derive(Debug)]
pub(super) struct Order {
    /// The certificate request, DER.
    pub(super) csr_der: Vec<u8>,
    /// The profile; the CA's default where absent.
    pub(super) profile: Option<ProfileName>,
    /// How long; the profile's default where absent.
    pub(super) validity: Option<String>,
    /// The identity to certify.
    pub(super) identity: Option<Identity>,
}

/// A connection to the CA as the configured identity.
#[derive(Debug)]
pub(super) struct Operator {
    /// Runs the client's futures.
    runtime: Runtime,
    /// Asks once: a person waits.
    client: HttpCaClient,
    /// Asks again when the CA is there and busy.
    patient: HttpCaClient,
    /// The CA's address, for messages.
    url: String,
}

impl Operator {
    /// Reads the identity and prepares the client; connects with the first call.
    ///
    /// # Errors
    ///
    /// When the identity, or what it trusts, is not there or cannot be used.
    pub(super) fn connect(config: &Config) -> Result<Self, Failure> {
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .trying(|| "start a runtime".to_owned())?;
        let url = config.ca_url();
        let tls = client_tls(config, Role::ServiceCa)?;
        let client = |total| {
            let persistence = Persistence {
                total,
                ..Persistence::default()
            };
            HttpCaClient::new(&url, &tls, persistence)
                .trying(|| format!("prepare a connection to the CA at {url}"))
        };
        Ok(Self {
            client: client(Duration::ZERO)?,
            patient: client(PATIENCE)?,
            runtime,
            url,
        })
    }

    /// Has a certificate signed; waits for a CA that is busy.
    ///
    /// # Errors
    ///
    /// When the CA cannot be reached, refuses, or stays busy.
    pub(super) fn sign(&self, order: Order) -> Result<SignedCertificate, Failure> {
        let key = format!(
            "cli-{}-{}",
            SystemClock.now().as_nanosecond(),
            process::id()
        );
        let request = SignRequest {
            forge: None,
            csr_der: order.csr_der,
            profile: order.profile,
            validity: order.validity,
            identity: order.identity,
            idempotency: IdempotencyKey::new(&key).trying(|| "name the request".to_owned())?,
            request_id: None,
        };
        let outcome = self.runtime.block_on(async {
            match self.client.sign(request.clone()).await {
                Err(CaClientError::Unavailable { .. }) => self.patient.sign(request).await,
                outcome => outcome,
            }
        });
        outcome.map_err(|error| self.failure("have the certificate signed", error))
    }

    /// Tells what the CA knows of a certificate.
    ///
    /// # Errors
    ///
    /// When the CA cannot be reached or knows no such serial number.
    pub(super) fn certificate(&self, serial: &SerialNumber) -> Result<CertificateRecord, Failure> {
        self.runtime
            .block_on(self.client.certificate(serial))
            .map_err(|error| self.failure(&format!("look up certificate {serial}"), error))
    }

    /// Lists one page of certificates.
    ///
    /// # Errors
    ///
    /// When the CA cannot be reached or refuses.
    pub(super) fn certificates(
        &self,
        filter: &CertificateFilter,
    ) -> Result<CertificatePage, Failure> {
        self.runtime
            .block_on(self.client.certificates(filter))
            .map_err(|error| self.failure("list certificates", error))
    }

    /// Tells how the CA is.
    ///
    /// # Errors
    ///
    /// When the CA cannot be reached or refuses.
    pub(super) fn status(&self) -> Result<CaStatus, Failure> {
        self.runtime
            .block_on(self.client.status())
            .map_err(|error| self.failure("ask the CA how it is", error))
    }

    /// Revokes a certificate, or releases it from hold.
    ///
    /// # Errors
    ///
    /// When the CA cannot be reached or refuses; a certificate that was revoked
    /// before is told with its first record.
    pub(super) fn revoke(&self, request: &RevokeRequest) -> Result<RevocationRecord, Failure> {
        self.runtime
            .block_on(self.client.revoke(request))
            .map_err(|error| {
                let tried = "revoke the certificate";
                match error.first_revocation() {
                    Some(first) => Failure::because(tried, error).next(format!(
                        "nothing has to be done: it was revoked at {:.0}, {}",
                        first.revoked_at, first.reason
                    )),
                    None => self.failure(tried, error),
                }
            })
    }

    /// Revokes every certificate of a key and blocks the key.
    ///
    /// # Errors
    ///
    /// When the CA cannot be reached or refuses.
    pub(super) fn revoke_key(&self, request: &RevokeKeyRequest) -> Result<KeyRevocation, Failure> {
        self.runtime
            .block_on(self.client.revoke_key(request))
            .map_err(|error| self.failure("revoke the key's certificates", error))
    }

    /// Lists one page of revocations.
    ///
    /// # Errors
    ///
    /// When the CA cannot be reached or refuses.
    pub(super) fn revocations(&self, filter: &RevocationFilter) -> Result<RevocationPage, Failure> {
        self.runtime
            .block_on(self.client.revocations(filter))
            .map_err(|error| self.failure("list revocations", error))
    }

    /// Has revocations from elsewhere recorded.
    ///
    /// # Errors
    ///
    /// When the CA cannot be reached or refuses.
    pub(super) fn import_revocations(
        &self,
        import: &RevocationImport,
    ) -> Result<ImportOutcome, Failure> {
        self.runtime
            .block_on(self.client.import_revocations(import))
            .map_err(|error| self.failure("import revocations", error))
    }

    /// Fetches a CRL, DER; nothing about it is verified.
    ///
    /// # Errors
    ///
    /// When the CA cannot be reached or has no such CRL.
    pub(super) fn crl(&self, issuer: &IssuerId, scope: CrlScope) -> Result<Vec<u8>, Failure> {
        let request = CrlRequest {
            issuer: issuer.clone(),
            scope,
            known: None,
            wait: None,
        };
        let tried = || format!("fetch the CRL of {issuer}");
        match self.runtime.block_on(self.client.crl(request)) {
            Ok(CrlAnswer::Crl(fetched)) => Ok(fetched.der),
            Ok(CrlAnswer::NotModified) => {
                Err(Failure::new(format!("{}: the CA sent none", tried())))
            }
            Err(error) => Err(self.failure(&tried(), error)),
        }
    }

    /// Has every CRL issued anew; waits for a CA that is busy.
    ///
    /// # Errors
    ///
    /// When the CA cannot be reached, refuses, or cannot sign.
    pub(super) fn issue_crls(&self) -> Result<CrlList, Failure> {
        self.runtime
            .block_on(self.client.issue_crls())
            .map_err(|error| self.failure("have the CRLs issued", error))
    }

    /// Fetches an authority's certificate, DER.
    ///
    /// # Errors
    ///
    /// When the CA cannot be reached or has no such authority.
    pub(super) fn issuer_certificate(&self, issuer: &IssuerId) -> Result<Vec<u8>, Failure> {
        self.runtime
            .block_on(self.client.issuer_certificate(issuer))
            .map_err(|error| self.failure(&format!("fetch the certificate of {issuer}"), error))
    }

    /// Says what to do about an answer that is not the one wanted.
    fn failure(&self, tried: &str, error: CaClientError) -> Failure {
        let advice = match &error {
            CaClientError::Unreachable { .. } if error.is_transient() => format!(
                "start it with `chancery serve`, or name where it runs in [client] url; {} was tried",
                self.url
            ),
            CaClientError::Unreachable { .. } => {
                "check that [client] trust holds the root of this CA, and that the identity is \
                 not expired: openssl x509 -noout -enddate -in FILE"
                    .to_owned()
            }
            CaClientError::Unavailable { .. } => {
                "try again shortly; chancery status tells what is wrong".to_owned()
            }
            CaClientError::Refused { problem } => match &problem.request_id {
                Some(id) => {
                    format!("correct the request; the CA's log has more under request_id {id}")
                }
                None => "correct the request".to_owned(),
            },
            CaClientError::Protocol { .. } => {
                format!("check that {} is the CA API of this version", self.url)
            }
        };
        Failure::because(tried, error).next(advice)
    }
}

/// Reads the identity and the trust anchors of `[client]`; `server` is the role
/// that whoever answers must hold.
///
/// # Errors
///
/// When the identity, or what it trusts, is not there or cannot be used.
pub(super) fn client_tls(config: &Config, server: Role) -> Result<ClientTls, Failure> {
    let directory = config.identities();
    let id = config.identity();
    let chain = files::chain_path(&directory, id);
    let key = files::key_path(&directory, id);
    let advice = || {
        format!(
            "chancery init leaves the operator's identity in {}; another is named by [client] \
             identities and identity",
            directory.display()
        )
    };
    let identity = TlsIdentity::from_pem_files(&chain, &key)
        .trying(|| format!("log in as {id}"))
        .advise(advice)?;
    let anchors = tls::certificates_from_pem_file(&config.trust())
        .trying(|| "read the authorities to trust".to_owned())
        .advise(advice)?;
    Ok(ClientTls {
        anchors,
        identity: Some(identity),
        expected: Some(ExpectedServer {
            domain: config.trust_domain().clone(),
            role: server,
        }),
        staple: mesh::StaplePolicy::IfPresent,
    })
}
