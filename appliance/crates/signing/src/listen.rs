//! The service on the network: its two listeners, until they are stopped.

use std::net::SocketAddr;
use std::sync::Arc;

use futures_util::future::try_join_all;
use mesh::{PeerVerifier, Security, Server, ServerHandle, Shared, TlsIdentity};

use crate::config::CheckedListener;
use crate::http::{self, Routes};
use crate::service::Signing;
use crate::status;
use crate::urls::ExternalUrl;

/// The signing service, bound and ready to [run](Self::run).
#[derive(Debug)]
pub struct SigningService {
    /// The listener for clients with certificates.
    mesh: Option<Server>,
    /// The listener without.
    open: Option<Server>,
    /// Where clients see the former.
    url: Option<ExternalUrl>,
}

impl SigningService {
    /// Binds the listeners that the configuration has.
    ///
    /// Handshakes present `identity`; clients of the mesh listener are verified by
    /// `clients`.
    ///
    /// # Errors
    ///
    /// `Bind` when an address cannot be had, or what TLS refuses.
    pub fn bind(
        signing: &Arc<Signing>,
        shared: &Shared,
        identity: &Arc<TlsIdentity>,
        clients: &Arc<PeerVerifier>,
    ) -> Result<Self, mesh::Error> {
        Self::bind_with(signing, shared, identity, clients, |_| {}, |_| {})
    }

    /// Binds the listeners with further routes: those of the mesh listener, and those of
    /// the open one.
    ///
    /// # Errors
    ///
    /// As for [`bind`](Self::bind).
    pub fn bind_with(
        signing: &Arc<Signing>,
        shared: &Shared,
        identity: &Arc<TlsIdentity>,
        clients: &Arc<PeerVerifier>,
        more_mesh: impl Fn(&mut Routes) + Clone + Send + 'static,
        more_open: impl Fn(&mut Routes) + Clone + Send + 'static,
    ) -> Result<Self, mesh::Error> {
        let mutual = Security::Mutual {
            identity: Arc::clone(identity),
            clients: Arc::clone(clients),
        };
        let open = Security::Open {
            identity: Arc::clone(identity),
        };
        status::register_checks(signing, &shared.health);
        let mesh = match &signing.config.mesh {
            Some(config) => {
                let own = http::mesh_routes(Arc::clone(signing));
                let routes = move |config: &mut Routes| {
                    own(config);
                    more_mesh(config);
                };
                let server = Server::bind("signing", &config.listener, &mutual, shared, routes)?;
                Some(server)
            }
            None => None,
        };
        let open = match &signing.config.open {
            Some(config) => {
                let own = http::open_routes(Arc::clone(signing));
                let routes = move |config: &mut Routes| {
                    own(config);
                    more_open(config);
                };
                let server = Server::bind("signing-open", &config.listener, &open, shared, routes)?;
                Some(server)
            }
            None => None,
        };
        // Only now is a port that was left open known.
        let url = external(signing.config.mesh.as_ref(), mesh.as_ref());
        if let Some(url) = &url {
            signing.announce_url(url.clone());
        }
        Ok(Self { mesh, open, url })
    }

    /// Returns where the mesh listener is bound, if it is there.
    #[must_use]
    pub fn mesh_addr(&self) -> Option<SocketAddr> {
        self.mesh.as_ref().map(Server::local_addr)
    }

    /// Returns where the open listener is bound, if it is there.
    #[must_use]
    pub fn open_addr(&self) -> Option<SocketAddr> {
        self.open.as_ref().map(Server::local_addr)
    }

    /// Returns where clients see the service.
    #[must_use]
    pub fn external_url(&self) -> Option<&ExternalUrl> {
        self.url.as_ref()
    }

    /// Returns handles that stop the listeners.
    #[must_use]
    pub fn handles(&self) -> Vec<ServerHandle> {
        self.mesh
            .iter()
            .chain(&self.open)
            .map(Server::handle)
            .collect()
    }

    /// Serves until all listeners are stopped.
    ///
    /// # Errors
    ///
    /// `Serve` when one could not go on.
    pub async fn run(self) -> Result<(), mesh::Error> {
        let servers = self.mesh.into_iter().chain(self.open);
        try_join_all(servers.map(Server::run)).await.map(drop)
    }
}

/// Returns where clients see a listener.
fn external(config: Option<&CheckedListener>, server: Option<&Server>) -> Option<ExternalUrl> {
    let written = config.and_then(|config| config.external_url.clone());
    written.or_else(|| ExternalUrl::of_address(server?.local_addr()))
}
