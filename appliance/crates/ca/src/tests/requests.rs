//! Requests that our own builder would never make: OpenSSL makes them.

use std::path::Path;
use std::process::Command;

/// Runs `openssl` and returns what it printed; panics with its words otherwise.
pub(super) fn openssl(directory: &Path, arguments: &[&str]) -> Vec<u8> {
    let output = Command::new("openssl")
        .args(arguments)
        .current_dir(directory)
        .output()
        .expect("openssl must be installed; tests/run installs it");
    assert!(
        output.status.success(),
        "openssl {}: {}",
        arguments.join(" "),
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}

/// Makes a request of a new key, DER.
pub(super) fn request(directory: &Path, key: &[&str], rest: &[&str]) -> Vec<u8> {
    let mut arguments = vec![
        "req",
        "-new",
        "-nodes",
        "-keyout",
        "/dev/null",
        "-outform",
        "DER",
    ];
    arguments.extend(key);
    arguments.extend(rest);
    openssl(directory, &arguments)
}

/// The arguments for a P-256 key.
pub(super) const P256: [&str; 4] = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"];
