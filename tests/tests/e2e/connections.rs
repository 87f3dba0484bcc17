//! TLS as others speak it.

use std::process::Command;

use chancery_tests::{Appliance, output_of};

/// Runs `openssl s_client` as the operator and returns everything it wrote.
fn s_client(ca: &Appliance, arguments: &[&str]) -> String {
    let operator = ca.operator();
    let mut command = Command::new("openssl");
    command
        .args(["s_client", "-connect", &ca.address().to_string(), "-CAfile"])
        .arg(&operator.trust)
        .arg("-cert")
        .arg(&operator.chain)
        .arg("-key")
        .arg(&operator.key)
        .args(arguments);
    let output = output_of(&mut command).unwrap();
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

#[test]
fn no_session_is_ever_resumed() {
    let ca = Appliance::start().unwrap();
    for version in ["-tls1_2", "-tls1_3"] {
        let told = s_client(&ca, &[version, "-reconnect"]);
        assert!(told.contains("New, "), "{told}");
        assert!(!told.contains("Reused, "), "{told}");
        let file = ca.folder().join("session");
        let path = file.display().to_string();
        let first = s_client(&ca, &[version, "-sess_out", &path]);
        assert!(!first.contains("session ticket:"), "{first}");
        if file.exists() {
            let second = s_client(&ca, &[version, "-sess_in", &path]);
            assert!(!second.contains("Reused, "), "{second}");
        }
    }
}

#[test]
fn only_tls_1_2_and_1_3_are_spoken() {
    let ca = Appliance::start().unwrap();
    for (version, spoken) in [
        (&["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"][..], false),
        (&["-tls1_2"], true),
        (&["-tls1_3"], true),
    ] {
        let told = s_client(&ca, version);
        let verified = told.contains("Verify return code: 0 (ok)");
        let agreed = verified && !told.contains("Cipher is (NONE)");
        assert_eq!(agreed, spoken, "{version:?}: {told}");
    }
}

#[test]
fn both_versions_of_http_are_served() {
    let ca = Appliance::start().unwrap();
    for (option, version) in [("--http1.1", "1.1"), ("--http2", "2")] {
        let curl = ca.curl().argument(option);
        let reply = curl.get(&ca.url("/status")).unwrap();
        assert_eq!(reply.status, 200, "HTTP/{version}: {reply}");
    }
}
