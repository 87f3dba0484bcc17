//! Where the service is, and who asks: PEM, PKCS#12, or a key on a token.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use hsm_keystore::pkcs11::TokenUri;
use hsm_keystore::{KeyId, KeyStore, KeyStoreMetrics, Modules, Pkcs11Config, Pkcs11Store};
use mesh::tls::{self, ExpectedServer};
use mesh::{ClientTls, PeerCertificate, StaplePolicy, TlsIdentity};
use model::{Clock, Role, TrustDomain};
use p12_keystore::{KeyStore as Pkcs12, Pkcs12ImportPolicy};
use pki::certificate::Certificate;
use pki::names::AlternativeName;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use super::client::SigningClient;
use crate::cli::prompt::Terminal;
use crate::cli::{ConfigFile, files};
use crate::config::Config;
use crate::failure::{Advise, Failure, Trying};
use crate::telemetry::SystemClock;

/// Environment variable with the password of a PKCS#12 file.
const PASSWORD_VARIABLE: &str = "CHANCERY_IDENTITY_PASSWORD";

/// Options that say where the service is and who asks; what is not given is taken
/// from the configuration's `[client]`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Connecting {
    /// The signing service: https://HOST:PORT.
    #[arg(long, env = "CHANCERY_SIGNING_URL", value_name = "URL")]
    server: Option<String>,

    /// Who asks: a PEM file with key and chain, a PKCS#12 file, or a token as pkcs11:….
    #[arg(long, env = "CHANCERY_IDENTITY", value_name = "FILE|URI")]
    identity: Option<String>,

    /// The identity's certificates, PEM, where they are not beside the key.
    #[arg(long, value_name = "FILE", requires = "identity")]
    identity_chain: Option<PathBuf>,

    /// The name of the identity's key on a token.
    #[arg(long, value_name = "ID", requires = "identity")]
    identity_key: Option<String>,

    /// The file with the password of a PKCS#12 file; or $CHANCERY_IDENTITY_PASSWORD.
    #[arg(long, value_name = "FILE", requires = "identity")]
    identity_password: Option<PathBuf>,

    /// The authorities that the service's certificate must lead to, PEM.
    #[arg(long, env = "CHANCERY_TRUST", value_name = "FILE")]
    trust: Option<PathBuf>,
}

/// A key and its chain, in TLS's hands, and what its leaf says.
struct Held {
    /// What TLS presents.
    identity: Arc<TlsIdentity>,
    /// The leaf, DER.
    leaf_der: Vec<u8>,
}

impl Connecting {
    /// Prepares the client; connects with the first call.
    ///
    /// # Errors
    ///
    /// When the identity, or what it trusts, is not there or cannot be used.
    pub(super) fn connect(&self, file: &ConfigFile) -> Result<SigningClient, Failure> {
        let is_complete = self.server.is_some() && self.identity.is_some() && self.trust.is_some();
        let config = match (is_complete, file.path().exists()) {
            (true, _) => None,
            (false, true) => Some(file.load()?),
            (false, false) => {
                return Err(Failure::new(format!(
                    "find the signing service: there is no configuration {}",
                    file.path().display()
                ))
                .next(
                    "name everything, --server URL --identity FILE --trust FILE, or a \
                     configuration with --config FILE",
                ));
            }
        };
        let held = match &self.identity {
            Some(given) => self.given(given)?,
            None => configured(config.as_ref())?,
        };
        let domain = domain_of(&held.leaf_der)?;
        let trust = match (&self.trust, &config) {
            (Some(path), _) => path.clone(),
            (None, Some(config)) => config.trust(),
            // Complete only with a file to trust.
            (None, None) => PathBuf::new(),
        };
        let anchors = tls::certificates_from_pem_file(&trust)
            .trying(|| "read the authorities to trust".to_owned())
            .advise(|| "name the CA's root certificate: --trust FILE".to_owned())?;
        let server = match (&self.server, &config) {
            (Some(url), _) => Some(url.clone()),
            (None, Some(config)) => config.signing_url(),
            (None, None) => None,
        }
        .ok_or_else(|| {
            Failure::new("find the signing service")
                .next("name it: --server https://HOST:8446, or [client] signing_url")
        })?;
        let tls = ClientTls {
            anchors,
            identity: Some(held.identity),
            expected: Some(ExpectedServer {
                domain,
                role: Role::ServiceSigning,
            }),
            staple: StaplePolicy::IfPresent,
        };
        let tls = tls
            .client_config()
            .trying(|| format!("prepare a connection to the signing service at {server}"))?;
        SigningClient::new(&server, tls)
    }

    /// Takes the identity that was named.
    fn given(&self, given: &str) -> Result<Held, Failure> {
        if given.starts_with("pkcs11:") {
            return self.on_token(given);
        }
        let path = Path::new(given);
        let tried = || format!("log in with {given}");
        let octets = Zeroizing::new(std::fs::read(path).trying(tried)?);
        if pki::pem::is_pem(&octets) {
            let chain = self.identity_chain.as_deref().unwrap_or(path);
            let identity = TlsIdentity::from_pem_files(chain, path)
                .trying(tried)
                .advise(|| {
                    "the file holds the key and then its certificates, or --identity-chain names \
                     them"
                        .to_owned()
                })?;
            let leaf_der = first(files::read_certificates(chain)?, given)?;
            return held(identity, leaf_der, given);
        }
        self.in_pkcs12(given, &octets)
    }

    /// Takes the identity in a PKCS#12 file (RFC 7292).
    fn in_pkcs12(&self, given: &str, octets: &[u8]) -> Result<Held, Failure> {
        let tried = || format!("log in with {given}");
        let password = self.password(given)?;
        let store = Pkcs12::from_pkcs12(
            octets,
            password.expose_secret(),
            Pkcs12ImportPolicy::Relaxed,
        )
        .trying(tried)
        .advise(|| {
            "it is neither PEM nor a PKCS#12 file that this password opens: --identity-password \
             FILE"
                .to_owned()
        })?;
        let (_, chain) = store.private_key_chain().ok_or_else(|| {
            Failure::new(format!("{}: it holds no private key", tried()))
                .next("export key and certificate together: openssl pkcs12 -export")
        })?;
        let key_der = Zeroizing::new(chain.key().as_der().to_vec());
        let certificates: Vec<_> = match &self.identity_chain {
            Some(path) => files::read_certificates(path)?,
            None => chain
                .certs()
                .iter()
                .map(|certificate| certificate.as_der().to_vec())
                .collect(),
        };
        let key = rustls::crypto::aws_lc_rs::sign::any_supported_type(&PrivateKeyDer::Pkcs8(
            PrivatePkcs8KeyDer::from(key_der.as_slice()),
        ))
        .trying(tried)?;
        let leaf_der = first(certificates.clone(), given)?;
        let certificates = certificates.into_iter().map(CertificateDer::from).collect();
        let identity = TlsIdentity::from_signing_key(certificates, key).trying(tried)?;
        held(identity, leaf_der, given)
    }

    /// Finds the password of a PKCS#12 file.
    fn password(&self, given: &str) -> Result<SecretString, Failure> {
        if let Some(path) = &self.identity_password {
            let tried = || format!("read the password in {}", path.display());
            let text = Zeroizing::new(std::fs::read_to_string(path).trying(tried)?);
            let line = text.lines().next().unwrap_or_default();
            return Ok(SecretString::from(line.to_owned()));
        }
        if let Ok(password) = std::env::var(PASSWORD_VARIABLE) {
            return Ok(SecretString::from(password));
        }
        Terminal
            .ask_password(given)
            .trying(|| format!("ask for the password of {given}"))
            .advise(|| {
                format!("put it in a file, --identity-password FILE, or in ${PASSWORD_VARIABLE}")
            })
    }

    /// Takes the identity whose key is on a token.
    fn on_token(&self, given: &str) -> Result<Held, Failure> {
        let tried = || format!("log in with a key on {given}");
        let uri: TokenUri = given.parse().trying(tried)?;
        let id = self.identity_key.as_deref().ok_or_else(|| {
            Failure::new(tried()).next("name the key on the token: --identity-key ID")
        })?;
        let id = KeyId::new(id).trying(tried)?;
        let config = Pkcs11Config {
            uri: Some(uri),
            sessions: Some(1),
            ..Pkcs11Config::default()
        };
        config.check().trying(tried)?;
        let store = Pkcs11Store::open(
            &config,
            &Modules::default(),
            &Terminal,
            KeyStoreMetrics::default(),
        )
        .trying(tried)?;
        let key = store.get_private_key(&id).trying(tried)?;
        let certificates =
            match &self.identity_chain {
                Some(path) => files::read_certificates(path)?,
                None => vec![store.get_certificate(&id).trying(tried).advise(|| {
                    "name the identity's certificates: --identity-chain FILE".to_owned()
                })?],
            };
        let leaf_der = first(certificates.clone(), given)?;
        let certificates = certificates.into_iter().map(CertificateDer::from).collect();
        let identity = TlsIdentity::from_private_key(certificates, key).trying(tried)?;
        held(identity, leaf_der, given)
    }
}

/// Takes the identity of `[client]`.
fn configured(config: Option<&Config>) -> Result<Held, Failure> {
    let Some(config) = config else {
        return Err(Failure::new("log in").next("name an identity: --identity FILE"));
    };
    let (directory, id) = (config.identities(), config.identity());
    let chain = files::chain_path(&directory, id);
    let identity = TlsIdentity::from_pem_files(&chain, &files::key_path(&directory, id))
        .trying(|| format!("log in as {id}"))
        .advise(|| {
            format!(
                "an operator leaves identities in {} with `chancery identity issue --role signer \
                 NAME`; another is named by --identity, or by [client] identities and identity",
                directory.display()
            )
        })?;
    let leaf_der = first(files::read_certificates(&chain)?, id.as_str())?;
    held(identity, leaf_der, id.as_str())
}

/// Takes the leaf of a chain.
fn first(chain: Vec<Vec<u8>>, given: &str) -> Result<Vec<u8>, Failure> {
    chain
        .into_iter()
        .next()
        .ok_or_else(|| Failure::new(format!("log in with {given}: it holds no certificate")))
}

/// Takes an identity whose certificate counts now.
fn held(identity: Arc<TlsIdentity>, leaf_der: Vec<u8>, given: &str) -> Result<Held, Failure> {
    let tried = || format!("log in with {given}");
    let certificate = PeerCertificate::parse(&leaf_der).trying(tried)?;
    let now = SystemClock.now();
    if now > certificate.not_after {
        return Err(Failure::new(format!(
            "{}: its certificate expired at {:.0}",
            tried(),
            certificate.not_after
        ))
        .next("have an operator issue another: chancery identity issue --role signer NAME"));
    }
    if now < certificate.not_before {
        return Err(Failure::new(format!(
            "{}: its certificate counts from {:.0} on, and it is {now:.0} here",
            tried(),
            certificate.not_before
        ))
        .next("set this machine's clock"));
    }
    Ok(Held { identity, leaf_der })
}

/// Reads the trust domain out of an identity: the service must be of the same.
fn domain_of(leaf_der: &[u8]) -> Result<TrustDomain, Failure> {
    let tried = || "read the identity's SPIFFE ID".to_owned();
    let leaf = Certificate::from_der(leaf_der).trying(tried)?;
    let domain = leaf.extensions().names.iter().find_map(|name| match name {
        AlternativeName::Uri(uri) => {
            let rest = uri.as_str().strip_prefix("spiffe://")?;
            TrustDomain::new(rest.split('/').next()?).ok()
        }
        _ => None,
    });
    domain.ok_or_else(|| {
        Failure::new(format!("{}: it carries none", tried()))
            .next("take an identity of this CA: chancery identity issue --role signer NAME")
    })
}
