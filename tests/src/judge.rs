//! Judges of certificates that are not ours.

use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::Error;
use crate::process::output_of;

/// A tool that judges certificates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Judge;

/// What a judge said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    /// Whether it found nothing to say against the certificate.
    pub accepted: bool,
    /// Its words.
    pub said: String,
}

impl Judge {
    /// Has OpenSSL verify a chain strictly, for a purpose of its `-purpose` where given.
    ///
    /// # Errors
    ///
    /// When OpenSSL cannot be run.
    pub fn openssl(trust: &Path, chain: &Path, purpose: Option<&str>) -> Result<Judgement, Error> {
        let mut command = Command::new("openssl");
        command.args(["verify", "-x509_strict"]);
        if let Some(purpose) = purpose {
            command.args(["-purpose", purpose]);
        }
        command.arg("-CAfile").arg(trust);
        command.arg("-untrusted").arg(chain).arg(chain);
        judge(&mut command)
    }

    /// Has GnuTLS verify a chain, leaf first.
    ///
    /// # Errors
    ///
    /// When certtool cannot be run.
    pub fn gnutls(trust: &Path, chain: &Path) -> Result<Judgement, Error> {
        let mut command = Command::new("certtool");
        command
            .arg("--verify")
            .arg("--load-ca-certificate")
            .arg(trust);
        command.arg("--infile").arg(chain);
        judge(&mut command)
    }

    /// Has pkilint look for anything from a warning on; the file holds one certificate.
    ///
    /// # Errors
    ///
    /// When pkilint cannot be run.
    pub fn pkilint(certificate: &Path) -> Result<Judgement, Error> {
        let mut command = Command::new(pkilint_program("lint_pkix_cert"));
        command.args(["lint", "-s", "WARNING"]).arg(certificate);
        judge(&mut command)
    }

    /// Has pkilint look at a certificate beside its signer's.
    ///
    /// # Errors
    ///
    /// When pkilint cannot be run.
    pub fn pkilint_pair(signer: &Path, certificate: &Path) -> Result<Judgement, Error> {
        let program = pkilint_program("lint_pkix_signer_signee_cert_chain");
        let mut command = Command::new(program);
        command
            .args(["lint", "-s", "WARNING"])
            .arg(signer)
            .arg(certificate);
        judge(&mut command)
    }

    /// Has pkilint look for anything from a warning on in a CRL, DER.
    ///
    /// # Errors
    ///
    /// When pkilint cannot be run.
    pub fn pkilint_crl(crl: &Path) -> Result<Judgement, Error> {
        let mut command = Command::new(pkilint_program("lint_crl"));
        command
            .args(["lint", "-t", "CRL", "-p", "PKIX", "-s", "WARNING"])
            .arg(crl);
        judge(&mut command)
    }

    /// Has pkilint look for anything from a warning on in an OCSP response, DER.
    ///
    /// # Errors
    ///
    /// When pkilint cannot be run.
    pub fn pkilint_ocsp(response: &Path) -> Result<Judgement, Error> {
        let mut command = Command::new(pkilint_program("lint_ocsp_response"));
        command.args(["lint", "-s", "WARNING"]).arg(response);
        judge(&mut command)
    }

    /// Has Prometheus' own tool read metrics.
    ///
    /// # Errors
    ///
    /// When promtool cannot be run.
    pub fn promtool(metrics: &Path) -> Result<Judgement, Error> {
        let mut command = Command::new("sh");
        command
            .args(["-c", "exec promtool check metrics <\"$0\""])
            .arg(metrics);
        judge(&mut command)
    }
}

/// Runs a judge.
fn judge(command: &mut Command) -> Result<Judgement, Error> {
    let output = output_of(command)?;
    Ok(Judgement {
        accepted: output.status.success(),
        said: format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        ),
    })
}

/// Finds a program of pkilint: in the environment that tests/run makes, or on the path.
fn pkilint_program(name: &str) -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../target"),
        PathBuf::from,
    );
    let path = target.join("venv/bin").join(name);
    if path.is_file() {
        path
    } else {
        OsStr::new(name).into()
    }
}

impl fmt::Display for Judgement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = if self.accepted { "accepted" } else { "refused" };
        write!(f, "{verdict}:\n{}", self.said)
    }
}
