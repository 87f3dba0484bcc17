//! The service on the network: its two listeners, until they are stopped.

use std::net::SocketAddr;
use std::sync::Arc;

use futures_util::future::try_join_all;
use mesh::{PeerVerifier, Security, Server, ServerHandle, Shared, TlsIdentity};

use crate::config::CheckedListener;
use crate::http::{self, Listener};
use crate::service::Acme;
use crate::urls::ExternalUrl;

/// The ACME service, bound and ready to [run](Self::run).
#[derive(Debug)]
pub struct AcmeService {
    /// The listener without client certificates.
    open: Option<Server>,
    /// The listener with them.
    mesh: Option<Server>,
    /// What clients see of each.
    urls: Vec<ExternalUrl>,
}

impl AcmeService {
    /// Binds the listeners that the configuration has.
    ///
    /// Handshakes present `identity`; clients of the mesh listener are verified
    /// by `clients`.
    ///
    /// # Errors
    ///
    /// `Bind` when an address cannot be had, or what TLS refuses.
    pub fn bind(
        acme: &Arc<Acme>,
        shared: &Shared,
        identity: &Arc<TlsIdentity>,
        clients: &Arc<PeerVerifier>,
    ) -> Result<Self, mesh::Error> {
        let mut urls = Vec::new();
        let open = Security::Open {
            identity: Arc::clone(identity),
        };
        let mutual = Security::Mutual {
            identity: Arc::clone(identity),
            clients: Arc::clone(clients),
        };
        let mut bind =
            |service, config: &Option<CheckedListener>, security: &Security, is_mutual| {
                let Some(config) = config else {
                    return Ok(None);
                };
                let listener = Arc::new(Listener::new(Arc::clone(acme), config.clone(), is_mutual));
                let routes = http::routes(Arc::clone(&listener));
                let server = Server::bind(service, &config.listener, security, shared, routes)?;
                // Only now is a port that was left open known.
                if let Some(url) = ExternalUrl::of_address(server.local_addr()) {
                    urls.push(listener.announce(url).clone());
                }
                Ok::<_, mesh::Error>(Some(server))
            };
        let open = bind("acme-open", &acme.config.open, &open, false)?;
        let mesh = bind("acme", &acme.config.mesh, &mutual, true)?;
        acme.announce(urls.clone());
        Ok(Self { open, mesh, urls })
    }

    /// Returns where the open listener is bound, if it is there.
    #[must_use]
    pub fn open_addr(&self) -> Option<SocketAddr> {
        self.open.as_ref().map(Server::local_addr)
    }

    /// Returns where the mesh listener is bound, if it is there.
    #[must_use]
    pub fn mesh_addr(&self) -> Option<SocketAddr> {
        self.mesh.as_ref().map(Server::local_addr)
    }

    /// Returns where clients see the listeners, the open one first.
    #[must_use]
    pub fn external_urls(&self) -> &[ExternalUrl] {
        &self.urls
    }

    /// Returns handles that stop the listeners.
    #[must_use]
    pub fn handles(&self) -> Vec<ServerHandle> {
        self.servers().map(Server::handle).collect()
    }

    /// Returns the listeners.
    fn servers(&self) -> impl Iterator<Item = &Server> {
        self.open.iter().chain(&self.mesh)
    }

    /// Serves until all listeners are stopped.
    ///
    /// # Errors
    ///
    /// `Serve` when one could not go on.
    pub async fn run(self) -> Result<(), mesh::Error> {
        let servers = self.open.into_iter().chain(self.mesh);
        try_join_all(servers.map(Server::run)).await.map(drop)
    }
}
