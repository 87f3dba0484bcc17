//! A disk that is full under a running CA.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::PathBuf;

use chancery_tests::{Appliance, Builder, Error, PATIENCE, Profile, Request, run};
use softhsm_test::{FaultShim, Function, SoftHsm};

/// Starts a CA whose state is on a small disk of its own: a tmpfs in a mount namespace
/// that ends with the service. Root makes one as it is, others in a user namespace.
fn on_small_disk(builder: Builder) -> Result<Appliance, Error> {
    let mount = "mount -t tmpfs -o size=48m,mode=700 chancery-test state-disk && \
                 cp -a state/. state-disk/ && mount --move state-disk state && exec \"$@\"";
    let root = rustix::process::geteuid().is_root();
    let namespace: &[&str] = if root {
        &["unshare", "--mount", "--propagation", "private"]
    } else {
        &[
            "unshare",
            "--mount",
            "--propagation",
            "private",
            "--user",
            "--map-root-user",
        ]
    };
    let words = namespace.iter().copied().chain(["sh", "-ec", mount, "sh"]);
    let mut ca = builder.wrapped_by(words).prepare()?;
    ca.cli(&["init"])?;
    fs::create_dir(ca.folder().join("state-disk")).unwrap();
    ca.serve()?;
    Ok(ca)
}

/// Returns the small disk as seen from outside the service's namespace.
fn disk_of(ca: &mut Appliance) -> PathBuf {
    let state = ca.state_dir();
    let id = ca.service().unwrap().id();
    PathBuf::from(format!("/proc/{id}/root{}", state.display()))
}

/// Fills a disk to the last octet.
fn fill(path: &PathBuf) {
    let mut file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .unwrap();
    for size in [1 << 20, 4096, 1] {
        let chunk = vec![0; size];
        while file.write_all(&chunk).is_ok() {}
    }
}

#[test]
fn nothing_is_signed_on_a_full_disk_and_service_resumes_with_space() {
    let token = SoftHsm::token().unwrap();
    let shim = FaultShim::over(&token).unwrap();
    let builder = Builder::on_token(&token, shim.module())
        .sections("[store]\nsegment_mib = 1\nmin_free_mib = 1\nindex_cache_mib = 8\n");
    let mut ca = on_small_disk(builder).unwrap();
    assert_eq!(ca.issue("a.example.internal").unwrap().status, 201);
    let before = ca.certificates().unwrap();
    let ballast = disk_of(&mut ca).join("ballast");
    fill(&ballast);
    let request = Request::new("b.example.internal").unwrap();
    let client = ca.client().unwrap();
    let mut connection = client.connect(ca.address()).unwrap();
    let message = chancery_tests::Connection::post(
        "/sign?profile=tls-server",
        "application/x-pem-file",
        "",
        request.pem(),
    );
    // What is preallocated may still be used; then every request is refused.
    let mut issued = 0;
    let refused = loop {
        let signed = shim.count(Function::Sign);
        let answer = connection.exchange(&message).unwrap();
        if answer.status != 201 {
            assert_eq!(shim.count(Function::Sign), signed, "signed on a full disk");
            break answer;
        }
        issued += 1;
        assert!(issued < 20_000, "the disk never filled");
    };
    assert_eq!(refused.status, 503, "{}", refused.head);
    let body = String::from_utf8_lossy(&refused.body).into_owned();
    assert!(body.contains("urn:chancery:problem:disk-full"), "{body}");
    assert!(refused.header("retry-after").is_some(), "{}", refused.head);
    assert_eq!(ca.certificates().unwrap().len(), before.len() + issued);
    fs::remove_file(&ballast).unwrap();
    ca.until("the CA issues again", PATIENCE, |ca| {
        let url = ca.sign_url(Profile::TlsServer);
        let reply = ca.curl().post_pem(&url, request.pem()).unwrap();
        if reply.status == 201 {
            Ok(())
        } else {
            Err(reply.to_string())
        }
    })
    .unwrap();
    run(ca.command().arg("status")).unwrap();
}
