//! The OpenSSL command line: a judge that is not ours, and a maker of keys and certificates.

use std::fs;
use std::path::Path;
use std::process::Command;

use hsm_keystore::SignatureScheme;
use zeroize::Zeroizing;

/// Runs `openssl` in a directory; panics with its words when it fails.
fn run(directory: &Path, arguments: &str) {
    let output = Command::new("openssl")
        .args(arguments.split(' '))
        .current_dir(directory)
        .output()
        .expect("openssl is installed (tests/packages)");
    assert!(
        output.status.success(),
        "openssl {arguments}: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Verifies a signature over a message.
pub(crate) fn verify(spki_der: &[u8], scheme: SignatureScheme, message: &[u8], signature: &[u8]) {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    fs::write(at.join("key"), spki_der).unwrap();
    fs::write(at.join("message"), message).unwrap();
    fs::write(at.join("signature"), signature).unwrap();
    let pss = "-sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:digest";
    let dgst = |hash: &str, more: &str| {
        format!("dgst -{hash} -keyform DER -verify key -signature signature {more}message")
    };
    let command = match scheme {
        SignatureScheme::EcdsaP256Sha256 | SignatureScheme::RsaPkcs1Sha256 => dgst("sha256", ""),
        SignatureScheme::EcdsaP384Sha384 | SignatureScheme::RsaPkcs1Sha384 => dgst("sha384", ""),
        SignatureScheme::RsaPkcs1Sha512 => dgst("sha512", ""),
        SignatureScheme::RsaPssSha256 => dgst("sha256", &format!("{pss} ")),
        SignatureScheme::RsaPssSha384 => dgst("sha384", &format!("{pss} ")),
        SignatureScheme::RsaPssSha512 => dgst("sha512", &format!("{pss} ")),
        SignatureScheme::Ed25519 => {
            "pkeyutl -verify -pubin -inkey key -keyform DER -rawin -in message -sigfile signature"
                .to_owned()
        }
    };
    run(at, &command);
}

/// Makes a key with OpenSSL, PKCS#8 in DER.
pub(crate) fn key(options: &str) -> Zeroizing<Vec<u8>> {
    let directory = tempfile::tempdir().unwrap();
    run(
        directory.path(),
        &format!("genpkey {options} -outform DER -out sec1"),
    );
    run(
        directory.path(),
        "pkcs8 -topk8 -nocrypt -inform DER -in sec1 -outform DER -out key",
    );
    Zeroizing::new(fs::read(directory.path().join("key")).unwrap())
}

/// Makes a self-signed certificate with OpenSSL, in DER; days count from now.
pub(crate) fn certificate(pkcs8_der: &[u8], name: &str) -> Vec<u8> {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("key.der"), pkcs8_der).unwrap();
    run(directory.path(), "pkey -inform DER -in key.der -out key");
    run(
        directory.path(),
        &format!(
            "req -x509 -new -key key -subj /CN={name} -days 30 -addext subjectAltName=DNS:{name} -outform DER -out certificate"
        ),
    );
    fs::read(directory.path().join("certificate")).unwrap()
}
