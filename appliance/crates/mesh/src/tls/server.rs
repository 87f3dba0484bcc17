//! How a listener is secured.

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::server::NoServerSessionStorage;

use super::{PeerVerifier, TlsIdentity, VERSIONS, alpn, provider};
use crate::error::Error;

/// How a listener is secured.
#[derive(Debug, Clone)]
pub enum Security {
    /// Plain HTTP: telemetry and distribution.
    Plain,
    /// TLS without client certificates: stock ACME clients.
    Open {
        /// Who we are.
        identity: Arc<TlsIdentity>,
    },
    /// TLS with client certificates: everything between services and operators.
    Mutual {
        /// Who we are.
        identity: Arc<TlsIdentity>,
        /// Who may come in.
        clients: Arc<PeerVerifier>,
    },
}

/// Configures rustls for a listener; none for plain HTTP.
pub(crate) fn server_config(security: &Security) -> Result<Option<Arc<ServerConfig>>, Error> {
    let builder = || {
        ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(VERSIONS)
            .map_err(Error::Tls)
    };
    let mut config = match security {
        Security::Plain => return Ok(None),
        Security::Open { identity } => builder()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(identity) as _),
        Security::Mutual { identity, clients } => builder()?
            .with_client_cert_verifier(Arc::clone(clients) as _)
            .with_cert_resolver(Arc::clone(identity) as _),
    };
    config.alpn_protocols = alpn();
    // A resumed session skips the verifier, and so would let a revoked client
    // back in: no session is ever kept, in TLS 1.2 (RFC 5246, F.1.4; RFC 5077)
    // or 1.3 (RFC 8446, 4.6.1). Open listeners spare the memory.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(Some(Arc::new(config)))
}
