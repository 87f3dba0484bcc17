//! The OCSP responder over real connections, asked by clients that are not ours
//! and by our own, with a clock that moves and a token that fails.

mod clients;
mod faults;
mod hostile;
mod life;
mod ready;
mod several;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use mesh::{Health, HttpMetrics, ListenerConfig, Security, Server, ServerHandle, Shared};
use model::{Clock, RequestId, RevocationReason, SerialNumber, Timestamp};
use pki::certificate::Certificate;
use pki::ocsp::{
    CertIdHash, CertStatus, ErrorStatus, IssuerHashes, OcspRefused, OcspResponse, Question,
    VerifiedAnswer, encode_request, verify_response,
};
use store::{Revocation, RevocationStore};
use tokio::task::JoinHandle;

use super::faulty::FaultyStore;
use super::installation::{Installation, SystemTimeClock, request};
use crate::Ca;
use crate::http::ocsp::routes;
use crate::ocsp::{OcspAnswer, OcspMetrics, Responder, ResponderParts};
use crate::revocations::Revocations;

/// A CA, its responder, and a listener for it.
struct Answering {
    /// Keys, records, clock.
    installation: Installation,
    /// The CA.
    ca: Arc<Ca>,
    /// Its store.
    store: Arc<FaultyStore>,
    /// What is revoked.
    revocations: Arc<Revocations>,
    /// The responder.
    responder: Arc<Responder>,
    /// Where it listens.
    address: SocketAddr,
    /// Stops the listener.
    handle: ServerHandle,
    /// The listener.
    serving: JoinHandle<()>,
    /// The responder's own work.
    working: Option<JoinHandle<()>>,
}

/// `[ca]` under which the clock may move.
const ANY_CLOCK: &str = "[issuance]\nmax_clock_jump = '9000h'\n";

impl Answering {
    /// Starts a new installation; `text` goes into `[ca.ocsp]`.
    ///
    /// Nonces are answered unless it says otherwise: a machine that tests much at
    /// once is a slow token.
    async fn start(text: &str) -> Self {
        let nonce = if text.contains("nonce") {
            ""
        } else {
            "nonce = 'answer'\n"
        };
        let text = format!("{ANY_CLOCK}[ocsp]\n{nonce}{text}");
        let installation = Installation::ready(&text).await;
        Self::over(installation).await.run().signs().await
    }

    /// Opens CA and responder, which asks no token yet, and serves it.
    async fn over(installation: Installation) -> Self {
        let (ca, store) = installation.open().await;
        let issuing = ca.authorities().issuing();
        let issuer = issuing.id().clone();
        let revocations = Revocations::load(store.as_ref(), [issuer.clone()], 1)
            .await
            .unwrap();
        let responder = Responder::open(ResponderParts {
            config: installation.config.check().unwrap().ocsp,
            issuers: vec![(issuer, issuing.certificate().clone())],
            rare: None,
            revocations: Arc::clone(&revocations),
            store: Arc::clone(&store) as _,
            clock: Arc::clone(&installation.clock) as _,
            snapshot_file: installation.directory.path().join("ocsp-answers"),
            metrics: OcspMetrics::default(),
        })
        .await
        .unwrap();
        let shared = Shared {
            metrics: HttpMetrics::default(),
            health: Health::new(),
            domain: installation.config.trust_domain.clone(),
            clock: Arc::new(SystemTimeClock),
        };
        let listener = ListenerConfig {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            limits: mesh::ListenerLimits {
                shutdown_grace: Duration::from_secs(1),
                ..mesh::ListenerLimits::default()
            },
        };
        let served = Arc::clone(&responder);
        let server = Server::bind(
            "distribution",
            &listener,
            &Security::Plain,
            &shared,
            move |config| routes(config, &served),
        )
        .unwrap();
        Self {
            installation,
            ca,
            store,
            revocations,
            responder,
            address: server.local_addr(),
            handle: server.handle(),
            serving: tokio::spawn(async move { server.run().await.unwrap() }),
            working: None,
        }
    }

    /// Lets the responder do its own work.
    fn run(mut self) -> Self {
        let (responder, ca) = (Arc::clone(&self.responder), Arc::clone(&self.ca));
        self.working = Some(tokio::spawn(responder.run(ca)));
        self
    }

    /// Waits until the responder has key and certificate.
    async fn signs(self) -> Self {
        super::installation::eventually("the responder signs", || async {
            self.responder.status().certificate_expires.is_some()
        })
        .await;
        self
    }

    /// Stops the listener; gives back what a next start finds.
    async fn stop(self) -> Installation {
        if let Some(working) = self.working {
            working.abort();
            // It ends by that alone.
            assert!(working.await.unwrap_err().is_cancelled());
        }
        self.handle.stop();
        self.serving.await.unwrap();
        self.installation
    }

    /// Issues a certificate for a DNS name.
    async fn issue(&self, dns: &str) -> Certificate {
        let csr = self.installation.csr(dns).await;
        let issued = Arc::clone(&self.ca).issue(request(csr)).await.unwrap();
        let certificate = Certificate::from_der(&issued.certificate_der).unwrap();
        self.responder.issued(
            self.ca.authorities().issuing().id(),
            certificate.serial(),
            certificate.not_after(),
        );
        certificate
    }

    /// Revokes a certificate, holds it, or releases it.
    async fn revoke(&self, serial: &SerialNumber, reason: RevocationReason) {
        let now = self.installation.clock.now();
        let record = self
            .store
            .revoke(Revocation {
                serial: serial.clone(),
                reason,
                revoked_at: now,
                invalidity_date: None,
                requester: None,
                request_id: RequestId::new("test").unwrap(),
                recorded_at: now,
            })
            .await
            .unwrap();
        let issuer = self.ca.authorities().issuing().id();
        self.revocations.apply(issuer, &[record.current]);
        self.responder
            .revoked(issuer, std::slice::from_ref(serial))
            .await;
    }

    /// Returns the issuing authority's certificate.
    fn issuer(&self) -> &Certificate {
        self.ca.authorities().issuing().certificate()
    }

    /// Forms a request about certificates.
    fn request(
        &self,
        hash: CertIdHash,
        serials: &[&SerialNumber],
        nonce: Option<&[u8]>,
    ) -> Vec<u8> {
        let hashes = IssuerHashes::of(self.issuer());
        let ids: Vec<_> = serials
            .iter()
            .map(|serial| hashes.cert_id_der(hash, serial))
            .collect();
        encode_request(&ids.iter().map(Vec::as_slice).collect::<Vec<_>>(), nonce)
    }

    /// Asks about one certificate, without HTTP.
    async fn ask(&self, hash: CertIdHash, serial: &SerialNumber) -> OcspAnswer {
        self.responder
            .query(&self.request(hash, &[serial], None))
            .await
    }

    /// Verifies an answer about one certificate, at the responder's time.
    fn judge(
        &self,
        answer: &OcspAnswer,
        serial: &SerialNumber,
        nonce: Option<&[u8]>,
    ) -> Result<VerifiedAnswer, OcspRefused> {
        verify_response(
            answer.der(),
            &Question {
                serial,
                issuer: self.issuer(),
                nonce,
                now: self.installation.clock.now(),
                skew: Duration::ZERO,
            },
        )
    }

    /// Asks about one certificate by SHA-1 and returns what is answered of it.
    async fn status(&self, serial: &SerialNumber) -> Result<CertStatus, ErrorStatus> {
        let answer = self.ask(CertIdHash::Sha1, serial).await;
        match self.judge(&answer, serial, None) {
            Ok(verified) => Ok(verified.status),
            Err(OcspRefused::Responder { status }) => Err(status),
            Err(refused) => panic!("{refused}"),
        }
    }

    /// Waits until answers are ready: both of every certificate in memory.
    async fn is_ready(&self) {
        super::installation::eventually("all is ready", || async {
            let status = self.responder.status();
            status.ready == 2 * status.certificates && status.certificates > 0
        })
        .await;
    }

    /// Makes a client of plain HTTP.
    fn client(&self) -> reqwest::Client {
        let root = self.ca.authorities().root().der().to_vec();
        // There is no TLS here, and yet no client without.
        let tls = mesh::ClientTls {
            anchors: vec![root.into()],
            identity: None,
            expected: None,
            staple: mesh::StaplePolicy::default(),
        };
        reqwest::Client::builder()
            .tls_backend_preconfigured(tls.client_config().unwrap())
            .no_proxy()
            .build()
            .unwrap()
    }

    /// Returns the address of a path.
    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Writes the certificates that clients need into a directory.
    fn write_certificates(&self, leaf: &Certificate) -> &Path {
        let path = self.installation.directory.path();
        let root = self.ca.authorities().root().der();
        let issuing = self.issuer().der();
        for (name, chain) in [
            ("leaf.pem", vec![leaf.der()]),
            ("issuing.pem", vec![issuing]),
            ("root.pem", vec![root]),
            ("both.pem", vec![issuing, root]),
        ] {
            std::fs::write(path.join(name), pki::pem::write_chain(chain)).unwrap();
        }
        path
    }
}

/// Returns the time of an answer.
fn produced_at(answer: &OcspAnswer) -> Timestamp {
    match OcspResponse::parse(answer.der()).unwrap() {
        OcspResponse::Basic(response) => response.produced_at(),
        OcspResponse::Refused(status) => panic!("{status:?}"),
    }
}

/// Opens what an installation left, without letting the responder have its token.
async fn without_token(installation: Installation) -> Answering {
    Answering::over(installation).await
}
