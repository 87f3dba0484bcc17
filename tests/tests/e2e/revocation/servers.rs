//! Servers that prove their own certificates: ours, and nginx by our responder.

use std::fs;
use std::process::{Command, Stdio};

use chancery_tests::{Appliance, PATIENCE, Port, Service, until};

use super::{Issued, said};

/// Has OpenSSL connect and ask for a staple.
fn staple(address: &str, trust: &std::path::Path, version: &str) -> String {
    said(
        Command::new("openssl")
            .args(["s_client", "-connect", address, "-status", version])
            .args(["-servername", "localhost", "-CAfile"])
            .arg(trust)
            .stdin(Stdio::null()),
    )
}

#[test]
fn the_ca_staples_from_its_first_handshake_on() {
    let mut ca = Appliance::start().unwrap();
    for version in ["-tls1_2", "-tls1_3"] {
        let told = staple(&ca.address().to_string(), &ca.trust(), version);
        assert!(told.contains("OCSP Response Status: successful"), "{told}");
        assert!(told.contains("Cert Status: good"), "{version}: {told}");
    }
    ca.restart().unwrap();
    let told = staple(&ca.address().to_string(), &ca.trust(), "-tls1_3");
    assert!(told.contains("Cert Status: good"), "{told}");
}

#[test]
fn nginx_staples_what_our_responder_says() {
    let ca = Appliance::start().unwrap();
    let issued = Issued::by(&ca, "localhost");
    let port = Port::reserve().unwrap();
    let folder = issued.chain.folder().display().to_string();
    let config = issued.file("nginx.conf");
    fs::write(
        &config,
        format!(
            "daemon off; master_process off; pid {folder}/nginx.pid; error_log stderr info;\n\
             events {{}}\n\
             http {{\n  access_log off; client_body_temp_path {folder}/b; proxy_temp_path {folder}/p;\n\
               fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;\n\
               server {{\n    listen {} ssl;\n    ssl_certificate {folder}/chain.pem;\n\
                 ssl_certificate_key {};\n    ssl_stapling on; ssl_stapling_verify on;\n\
                 ssl_trusted_certificate {folder}/authorities.pem;\n    return 200 ok;\n  }}\n}}\n",
            port.address(),
            issued.request.key().display()
        ),
    )
    .unwrap();
    let mut command = Command::new("nginx");
    command.arg("-c").arg(&config).args(["-e", "stderr"]);
    let nginx = Service::spawn(command).unwrap();
    let trust = ca.trust();
    // It fetches with the first handshake and staples from one of the next.
    until("nginx staples", PATIENCE, || {
        let told = staple(&port.address().to_string(), &trust, "-tls1_2");
        if told.contains("Cert Status: good") {
            Ok(())
        } else {
            Err(format!("{told}\n{}", nginx.log().tail()))
        }
    })
    .unwrap();
}
