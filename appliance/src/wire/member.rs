//! Starting a service that is a member of the mesh: its keys, its certificate from
//! the CA over mutual TLS, which clients count, its staple, and its listeners; kept
//! current until it is stopped.

mod error;
mod join;
mod joined;

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use hsm_keystore::KeyStore;
use mesh::ServerHandle;
use tracing::warn;

pub(super) use self::error::StartError;
pub(super) use self::joined::Joined;
use super::serve::{Process, Running};
use crate::config::{Config, Member};
use crate::failure::{Failure, Trying};

/// How long a start waits before it tries again what may pass by itself.
const RETRY: Duration = Duration::from_secs(2);

/// What is a service's own: its records, its parts and its listeners.
pub(super) trait MeshService: Send + 'static {
    /// Its name with the article, for messages.
    const TITLE: &'static str;

    /// Returns what it is as a member of the mesh.
    fn member(config: &Config) -> Member<'_>;

    /// Takes up what was left unfinished, and binds the listeners.
    fn bind(
        &self,
        process: &Process<'_>,
        joined: &Joined,
    ) -> impl Future<Output = Result<Bound, StartError>>;
}

/// A service whose listeners are bound.
pub(super) struct Bound {
    /// What stops the listeners.
    pub(super) handles: Vec<ServerHandle>,
    /// Serves until they are stopped.
    pub(super) serving: Pin<Box<dyn Future<Output = Result<(), mesh::Error>> + Send>>,
}

/// A service, from before its listeners are there until its records are closed.
pub(super) struct MemberSide<S> {
    /// What is its own.
    service: S,
    /// Its keys, once they are open.
    keystore: Option<Arc<dyn KeyStore>>,
    /// Its listeners, once they are there.
    running: Option<Running>,
}

impl<S: MeshService> MemberSide<S> {
    /// Takes a service whose records are open.
    pub(super) fn new(process: &Process<'_>, service: S) -> Self {
        let member = S::member(process.config);
        let reason = format!("the {} is starting", member.title);
        process
            .shared
            .health
            .register(member.name, move || Err(reason.clone()));
        Self {
            service,
            keystore: None,
            running: None,
        }
    }

    /// Brings the listeners up, however long token and CA are away; then waits for
    /// their end, which nobody asked for. May be dropped at any time.
    pub(super) async fn ended(&mut self, process: &Process<'_>) -> Failure {
        if let Err(failure) = self.start(process).await {
            return failure;
        }
        match &mut self.running {
            Some(running) => running.ended().await,
            None => Failure::new(format!("go on serving {}", S::TITLE)),
        }
    }

    /// Brings the listeners up, unless they are there.
    ///
    /// # Errors
    ///
    /// When something stands in the way that does not pass by itself.
    pub(super) async fn start(&mut self, process: &Process<'_>) -> Result<(), Failure> {
        if self.running.is_some() {
            return Ok(());
        }
        let member = S::member(process.config);
        let health = &process.shared.health;
        let name = member.service.keystore.as_deref();
        let check = format!("{}-keystore", member.name);
        let opened = process.keystores.open(process, name, &check).await?;
        let keystore = self.keystore.insert(opened);
        let mut told = String::new();
        loop {
            match open(process, &member, keystore, &self.service).await {
                Ok(running) => {
                    self.running = Some(running);
                    health.register(member.name, || Ok(()));
                    return Ok(());
                }
                Err(error) if error.is_transient() => {
                    let reason = error.into_failure(&member).sentence();
                    if told != reason {
                        warn!("{reason}; trying again until it works");
                        told.clone_from(&reason);
                    }
                    health.register(member.name, move || Err(reason.clone()));
                    tokio::time::sleep(RETRY).await;
                }
                Err(error) => return Err(error.into_failure(&member)),
            }
        }
    }

    /// Lets requests end, closes the listeners, then the records.
    ///
    /// # Errors
    ///
    /// When the listeners did not end in order.
    pub(super) async fn stop(self) -> Result<(), Failure> {
        let outcome = match self.running {
            Some(mut running) => running.stop().await,
            None => Ok(()),
        };
        let (service, keystore) = (self.service, self.keystore);
        // Each closes with its last handle, and the service's are gone by now.
        let closed = tokio::task::spawn_blocking(move || {
            drop(service);
            drop(keystore);
        });
        outcome.and(
            closed
                .await
                .trying(|| format!("close the records of {} in order", S::TITLE)),
        )
    }
}

/// Joins the mesh, binds, and serves from then on.
async fn open<S: MeshService>(
    process: &Process<'_>,
    member: &Member<'_>,
    keystore: &Arc<dyn KeyStore>,
    service: &S,
) -> Result<Running, StartError> {
    let joined = Joined::join(process, member, keystore).await?;
    let bound = service.bind(process, &joined).await?;
    joined.register_health(&process.shared.health);
    Ok(run(S::TITLE, bound, joined))
}

/// Serves, keeping certificate, staple and CRLs current.
fn run(title: &'static str, bound: Bound, joined: Joined) -> Running {
    let Bound { handles, serving } = bound;
    let stop = move || handles.iter().for_each(ServerHandle::stop);
    Running::spawn(title, stop, async move {
        tokio::select! {
            outcome = serving => outcome,
            () = joined.keep_current() => Ok(()),
        }
    })
}
