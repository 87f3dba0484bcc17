//! What is on a keystore already, held to the configuration.

use hsm_keystore::{KeyStore, PrivateKey};
use pki::certificate::Certificate;
use pki::public_key::PublicKey;

use crate::config::AuthorityPlan;
use crate::error::Error;
use crate::schemes::signature_algorithm;

/// Says what was tried when a keystore failed.
pub(super) fn keystore_error(what: &'static str) -> impl FnOnce(hsm_keystore::Error) -> Error {
    move |source| Error::KeyStore { what, source }
}

/// Reads the public half of an authority's key.
pub(crate) fn public_key(plan: &AuthorityPlan, key: &dyn PrivateKey) -> Result<PublicKey, Error> {
    PublicKey::from_spki_der(key.public_key_der()).map_err(|source| Error::PublicKey {
        key: plan.key.clone(),
        source,
    })
}

/// Reads the certificate kept beside an authority's key, if there is one.
pub(super) fn kept(
    plan: &AuthorityPlan,
    keystore: &dyn KeyStore,
) -> Result<Option<Certificate>, Error> {
    let der = match keystore.get_certificate(&plan.key) {
        Ok(der) => der,
        Err(hsm_keystore::Error::NoCertificate { .. }) => return Ok(None),
        Err(source) => return Err(keystore_error("read an authority's certificate")(source)),
    };
    Certificate::from_der(&der)
        .map(Some)
        .map_err(|source| Error::Certificate {
            authority: plan.id.clone(),
            source,
        })
}

/// Keeps an authority's certificate, unless the same is there.
pub(super) fn keep(plan: &AuthorityPlan, keystore: &dyn KeyStore, der: &[u8]) -> Result<(), Error> {
    if kept(plan, keystore)?.is_some_and(|there| there.der() == der) {
        return Ok(());
    }
    keystore
        .import_certificate(&plan.key, der)
        .map_err(keystore_error("keep an authority's certificate"))
}

/// Holds a certificate that is there to the configuration, and its signature to
/// its signer's key.
pub(crate) fn check_certificate(
    plan: &AuthorityPlan,
    certificate: &Certificate,
    signer: &PublicKey,
) -> Result<(), Error> {
    let differs = |what, wanted: String, found: String| Error::AuthorityDiffers {
        authority: plan.id.clone(),
        what,
        wanted: wanted.into(),
        found: found.into(),
    };
    let wanted = plan.subject.to_string();
    let found = certificate.subject().to_string();
    if certificate.subject_der() != plan.subject.to_der() {
        return Err(differs("subject", wanted, found));
    }
    if !certificate
        .extensions()
        .basic_constraints
        .is_some_and(|constraints| constraints.ca)
    {
        let found = "that of an end entity".to_owned();
        return Err(differs("kind", "a CA's".to_owned(), found));
    }
    let key_type = certificate.public_key().key_type();
    if !certificate
        .public_key()
        .can_sign(signature_algorithm(plan.scheme))
    {
        return Err(differs(
            "key",
            plan.algorithm.to_string(),
            key_type.to_string(),
        ));
    }
    certificate.verify_signed_by(signer).map_err(|_| {
        let found = format!("by {}", certificate.issuer());
        differs("signature", "by the authority above it".to_owned(), found)
    })
}

/// Holds a certificate to the key it is kept beside.
pub(crate) fn check_key(
    plan: &AuthorityPlan,
    certificate: &Certificate,
    key: &PublicKey,
) -> Result<(), Error> {
    if certificate.public_key() == key {
        return Ok(());
    }
    Err(Error::AuthorityDiffers {
        authority: plan.id.clone(),
        what: "public key",
        wanted: hex::encode(key.sha256()).into(),
        found: hex::encode(certificate.public_key().sha256()).into(),
    })
}
