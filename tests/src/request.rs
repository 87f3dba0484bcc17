//! Certificate requests, made by OpenSSL as users make them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::error::Error;
use crate::process::run;

/// The kind of a subject's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyKind {
    /// ECDSA on P-256.
    P256,
    /// ECDSA on P-384.
    P384,
    /// RSA with 1024 bits: too short for anybody.
    Rsa1024,
    /// RSA with 2048 bits.
    Rsa2048,
    /// RSA with 3072 bits.
    Rsa3072,
    /// RSA with 4096 bits.
    Rsa4096,
    /// Ed25519.
    Ed25519,
}

impl KeyKind {
    /// The kinds that certificates are issued for.
    pub const GOOD: [Self; 6] = [
        Self::P256,
        Self::P384,
        Self::Rsa2048,
        Self::Rsa3072,
        Self::Rsa4096,
        Self::Ed25519,
    ];

    /// Returns the arguments by which OpenSSL makes such a key.
    const fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::P256 => &["ec", "-pkeyopt", "ec_paramgen_curve:P-256"],
            Self::P384 => &["ec", "-pkeyopt", "ec_paramgen_curve:P-384"],
            Self::Rsa1024 => &["rsa:1024"],
            Self::Rsa2048 => &["rsa:2048"],
            Self::Rsa3072 => &["rsa:3072"],
            Self::Rsa4096 => &["rsa:4096"],
            Self::Ed25519 => &["ed25519"],
        }
    }
}

/// A request and its key, in a folder that goes with it.
#[derive(Debug)]
pub struct Request {
    /// The folder.
    folder: TempDir,
    /// The request in PEM.
    pem: Vec<u8>,
}

impl Request {
    /// Makes a P-256 request for a DNS name, which is its common name too.
    ///
    /// # Errors
    ///
    /// When OpenSSL cannot make it.
    pub fn new(name: &str) -> Result<Self, Error> {
        Self::with(
            KeyKind::P256,
            &format!("/CN={name}"),
            &[&format!("DNS:{name}")],
        )
    }

    /// Makes a request with this kind of key, subject and alternative names, the last two
    /// in OpenSSL's spelling (`/CN=a`, `DNS:a`).
    ///
    /// # Errors
    ///
    /// When OpenSSL cannot make it.
    pub fn with(kind: KeyKind, subject: &str, names: &[&str]) -> Result<Self, Error> {
        let mut extensions = Vec::new();
        if !names.is_empty() {
            extensions.push(format!("subjectAltName={}", names.join(",")));
        }
        Self::with_extensions(kind, subject, &extensions)
    }

    /// Makes a request that asks for these extensions, in OpenSSL's spelling.
    ///
    /// # Errors
    ///
    /// When OpenSSL cannot make it.
    pub fn with_extensions(
        kind: KeyKind,
        subject: &str,
        extensions: &[String],
    ) -> Result<Self, Error> {
        let folder =
            tempfile::tempdir().map_err(Error::file("make a folder in", &std::env::temp_dir()))?;
        let mut command = Command::new("openssl");
        command
            .current_dir(folder.path())
            .args(["req", "-new", "-utf8", "-noenc", "-keyout", "key.pem"])
            .args(["-out", "request.pem", "-subj", subject, "-newkey"])
            .args(kind.arguments());
        for extension in extensions {
            command.args(["-addext", extension]);
        }
        run(&mut command)?;
        let path = folder.path().join("request.pem");
        let pem = fs::read(&path).map_err(Error::file("read", &path))?;
        Ok(Self { folder, pem })
    }

    /// Returns the request in PEM.
    #[must_use]
    pub fn pem(&self) -> &[u8] {
        &self.pem
    }

    /// Returns the request in DER.
    ///
    /// # Errors
    ///
    /// When OpenSSL cannot convert it.
    pub fn der(&self) -> Result<Vec<u8>, Error> {
        let path = self.folder.path().join("request.der");
        run(Command::new("openssl")
            .current_dir(self.folder.path())
            .args(["req", "-in", "request.pem", "-outform", "DER"])
            .args(["-out", "request.der"]))?;
        fs::read(&path).map_err(Error::file("read", &path))
    }

    /// Returns the file with the request in PEM.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.folder.path().join("request.pem")
    }

    /// Returns the file with the key.
    #[must_use]
    pub fn key(&self) -> PathBuf {
        self.folder.path().join("key.pem")
    }

    /// Returns the folder, in which tests may keep what belongs to the request.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}
