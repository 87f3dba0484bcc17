//! Which services a process runs, and the order of their start and end.

use mesh::Health;
use sd_notify::NotifyState;
use tracing::info;

use super::acme::{self, AcmeSide};
use super::ca::CaSide;
use super::member::{MemberSide, MeshService};
use super::serve::{Process, Running};
use super::signing::{self, SigningSide};
use super::supervisor::tell;
use crate::failure::Failure;

/// Which services a process runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Services {
    /// The CA.
    pub(crate) ca: bool,
    /// The ACME service.
    pub(crate) acme: bool,
    /// The signing service.
    pub(crate) signing: bool,
}

/// The readiness check of the start and the end.
const SERVICES: &str = "services";

/// Says on `/readyz` that the services start, or stop.
pub(super) fn say_unready(health: &Health, reason: &'static str) {
    health.register(SERVICES, move || Err(reason.to_owned()));
}

/// The services of a process.
#[derive(Default)]
pub(super) struct Parts {
    /// The CA.
    ca: Option<CaSide>,
    /// The ACME service.
    acme: Option<AcmeSide>,
    /// The signing service.
    signing: Option<SigningSide>,
}

impl Parts {
    /// Starts the services in order and waits until one cannot go on. May be
    /// dropped at any time.
    pub(super) async fn serve(
        &mut self,
        process: &Process<'_>,
        services: Services,
        telemetry: &mut Running,
    ) -> Failure {
        if let Err(failure) = self.start(process, services).await {
            return failure;
        }
        process.shared.health.register(SERVICES, || Ok(()));
        tell(&[NotifyState::Ready]);
        info!(
            version = env!("CARGO_PKG_VERSION"),
            "chancery {} serves",
            env!("CARGO_PKG_VERSION")
        );
        let Self { ca, acme, signing } = self;
        tokio::select! {
            Some(failure) = ended(ca.as_mut().map(CaSide::ended)) => failure,
            Some(failure) = ended(acme.as_mut().map(|acme| acme.ended(process))) => failure,
            Some(failure) = ended(signing.as_mut().map(|signing| signing.ended(process))) => failure,
            failure = telemetry.ended() => failure,
            else => Failure::new("serve: nothing runs"),
        }
    }

    /// Starts the services.
    ///
    /// Beside their CA the others are not waited for, so that the CA counts as
    /// started even while nobody has enrolled them.
    async fn start(&mut self, process: &Process<'_>, services: Services) -> Result<(), Failure> {
        if services.ca {
            let ca = self.ca.insert(CaSide::open(process).await?);
            ca.start(process).await?;
        }
        if services.acme {
            self.acme = Some(acme::open(process).await?);
        }
        if services.signing {
            self.signing = Some(signing::open(process).await?);
        }
        if !services.ca {
            // Neither waits for the other: each may be enrolled alone.
            tokio::try_join!(
                started(self.acme.as_mut(), process),
                started(self.signing.as_mut(), process),
            )?;
        }
        Ok(())
    }

    /// Stops them in the reverse order: the others finish with the CA there.
    pub(super) async fn stop(self) -> Result<(), Failure> {
        let signing = match self.signing {
            Some(signing) => signing.stop().await,
            None => Ok(()),
        };
        let acme = match self.acme {
            Some(acme) => acme.stop().await,
            None => Ok(()),
        };
        let ca = match self.ca {
            Some(ca) => ca.stop().await,
            None => Ok(()),
        };
        signing.and(acme).and(ca)
    }
}

/// Brings a service's listeners up, if the process has that service.
async fn started<S: MeshService>(
    service: Option<&mut MemberSide<S>>,
    process: &Process<'_>,
) -> Result<(), Failure> {
    match service {
        Some(service) => service.start(process).await,
        None => Ok(()),
    }
}

/// Waits for a service's end; at once for one that is not there.
async fn ended(service: Option<impl Future<Output = Failure>>) -> Option<Failure> {
    match service {
        Some(ended) => Some(ended.await),
        None => None,
    }
}
