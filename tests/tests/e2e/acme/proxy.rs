//! Behind a proxy, under another URL.

use std::fs;
use std::process::Command;

use chancery_tests::{Curl, Internet, KeyKind, PATIENCE, Port, Profile, Request, Service, until};

use super::lego::Lego;
use super::with_acme;

#[test]
fn clients_come_through_nginx_under_the_external_url() {
    let internet = Internet::start().unwrap();
    let port = Port::reserve().unwrap();
    let external = format!("https://localhost:{}/pki", port.number());
    let ca = with_acme(&internet)
        .acme(&format!(
            "external_url = \"{external}\"\ntrusted_proxies = [\"127.0.0.0/8\"]"
        ))
        .start()
        .unwrap();
    let request = Request::with(KeyKind::P256, "/CN=localhost", &["DNS:localhost"]).unwrap();
    let reply = ca
        .curl()
        .post_pem(&ca.sign_url(Profile::TlsServer), request.pem())
        .unwrap();
    assert_eq!(reply.status, 201, "{reply}");
    let folder = request.folder().display().to_string();
    fs::write(request.folder().join("chain.pem"), &reply.body).unwrap();
    let config = request.folder().join("nginx.conf");
    fs::write(
        &config,
        format!(
            "daemon off; master_process off; pid {folder}/nginx.pid; error_log stderr info;\n\
             events {{}}\n\
             http {{\n  access_log off; client_body_temp_path {folder}/b; proxy_temp_path {folder}/p;\n\
               fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;\n\
               server {{\n    listen {} ssl;\n    ssl_certificate {folder}/chain.pem;\n\
                 ssl_certificate_key {};\n\
                 location /pki/ {{\n      proxy_pass https://{}/;\n\
                   proxy_ssl_verify on; proxy_ssl_name localhost; proxy_ssl_verify_depth 3;\n\
                   proxy_ssl_trusted_certificate {};\n\
                   proxy_set_header X-Forwarded-For $remote_addr;\n    }}\n  }}\n}}\n",
            port.address(),
            request.key().display(),
            ca.acme_address(),
            ca.trust().display()
        ),
    )
    .unwrap();
    let mut command = Command::new("nginx");
    command.arg("-c").arg(&config).args(["-e", "stderr"]);
    let nginx = Service::spawn(command).unwrap();

    let directory = format!("{external}/directory");
    let told = until("nginx answers", PATIENCE, || {
        let reply = Curl::anonymous(&ca.trust())
            .get(&directory)
            .map_err(|error| error.to_string())?;
        if reply.status == 200 {
            Ok(reply.json())
        } else {
            Err(format!("{reply}\n{}", nginx.log().tail()))
        }
    })
    .unwrap();
    for resource in [
        "newNonce",
        "newAccount",
        "newOrder",
        "revokeCert",
        "keyChange",
    ] {
        let url = told[resource].as_str().unwrap();
        assert!(url.starts_with(&external), "{told}");
    }
    let chain = Lego::at(directory, ca.trust()).run_http(&ca, &internet, "www.example.test");
    chain.assert_good(&ca, &["DNS:www.example.test"]);
}
