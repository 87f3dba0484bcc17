//! What a service is as a member of the mesh, as configured.

use std::path::PathBuf;

use mesh::member::CheckedMember;
use mesh::revocation::RevocationConfig;
use mesh::stapling::StaplingConfig;
use model::{Identity, Role};

use super::Config;

/// A service that the CA certifies over mutual TLS.
#[derive(Debug, Clone)]
pub(crate) struct Member<'a> {
    /// Its name in the configuration, in logs, metrics and health, and for `--role`.
    pub(crate) name: &'static str,
    /// Its name for people.
    pub(crate) title: &'static str,
    /// The role of its certificate.
    role: Role,
    /// The role of the identity that asks for the first one.
    enrols_as: Role,
    /// Who it is, where its keys are, and which CA signs for it.
    pub(crate) service: &'a CheckedMember,
    /// How it learns which clients no longer count.
    pub(crate) revocation: &'a RevocationConfig,
    /// How its staple is kept fresh.
    pub(crate) stapling: &'a StaplingConfig,
    /// Where the chain of its own certificate is kept.
    pub(crate) chain_file: PathBuf,
    /// Where it keeps the CRLs that tell which clients count.
    pub(crate) crls: PathBuf,
    /// The CA API's address.
    pub(crate) ca_url: String,
    /// PEM of the authorities that the CA's certificate must lead to.
    pub(crate) trust: PathBuf,
}

impl Member<'_> {
    /// Returns whom its certificate names.
    pub(crate) fn identity(&self) -> Identity {
        Identity {
            role: self.role,
            name: self.service.name.clone(),
        }
    }

    /// Returns the identity that asks for its first certificate.
    pub(crate) fn enrolment_identity(&self) -> Identity {
        Identity {
            role: self.enrols_as,
            name: self.service.name.clone(),
        }
    }
}

impl Config {
    /// Returns every service that the CA certifies over mutual TLS.
    pub(crate) fn members(&self) -> [Member<'_>; 2] {
        [self.acme_member(), self.signing_member()]
    }

    /// Returns the ACME service as a member of the mesh.
    pub(crate) fn acme_member(&self) -> Member<'_> {
        let service = &self.acme.service;
        Member {
            name: "acme",
            title: "ACME service",
            role: Role::ServiceAcme,
            enrols_as: Role::EnrolAcme,
            service,
            revocation: &self.acme.revocation,
            stapling: &self.acme.stapling,
            chain_file: self.state_dir.join("acme-tls-chain.pem"),
            crls: self.state_dir.join("acme-crls"),
            ca_url: self.ca_url_of(service),
            trust: self.trust_of(service),
        }
    }

    /// Returns the signing service as a member of the mesh.
    pub(crate) fn signing_member(&self) -> Member<'_> {
        let service = &self.signing.service;
        Member {
            name: "signing",
            title: "signing service",
            role: Role::ServiceSigning,
            enrols_as: Role::EnrolSigning,
            service,
            revocation: &self.signing.revocation,
            stapling: &self.signing.stapling,
            chain_file: self.state_dir.join("signing-tls-chain.pem"),
            crls: self.state_dir.join("signing-crls"),
            ca_url: self.ca_url_of(service),
            trust: self.trust_of(service),
        }
    }

    /// Returns where a service asks for certificates.
    fn ca_url_of(&self, service: &CheckedMember) -> String {
        service.ca_url.clone().unwrap_or_else(|| self.ca_url())
    }

    /// Returns the PEM file of the authorities that a service trusts.
    fn trust_of(&self, service: &CheckedMember) -> PathBuf {
        service.trust.clone().unwrap_or_else(|| self.trust())
    }
}
