//! The newcomer's one command.

use std::path::Path;
use std::process::Command;

use chancery_tests::{Port, run};

/// Copies what git has to a folder of its own: a clone with the changes of this tree.
fn clone_to(folder: &Path) {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let mut command = Command::new("sh");
    command.current_dir(root).env("FOLDER", folder).args([
        "-ec",
        "git ls-files --cached --others --exclude-standard -z | \
         tar --create --null --ignore-failed-read --files-from=- | \
         tar --extract --directory=\"$FOLDER\"",
    ]);
    run(&mut command).unwrap();
}

#[test]
fn the_tour_succeeds_in_a_fresh_clone_and_again_in_the_same() {
    let folder = tempfile::tempdir().unwrap();
    clone_to(folder.path());
    let [api, telemetry, distribution, open, mesh, proof] =
        [(); 6].map(|()| Port::reserve().unwrap());
    let [signing, signing_open] = [(); 2].map(|()| Port::reserve().unwrap());
    let target = std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| {
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../target")
            .into_os_string()
    });
    for round in ["fresh", "again"] {
        let mut command = Command::new("./quickstart");
        command
            .arg("--once")
            .current_dir(folder.path())
            // What is compiled already need not be compiled again.
            .env("CARGO_TARGET_DIR", &target)
            // Nor what is installed already be installed again.
            .env(
                "CHANCERY_NPM",
                concat!(env!("CARGO_MANIFEST_DIR"), "/../target/npm"),
            )
            .env_remove("CHANCERY_CONFIG")
            .env("CHANCERY__CA__LISTEN", api.address().to_string())
            .env(
                "CHANCERY__CA__DISTRIBUTION__LISTEN",
                distribution.address().to_string(),
            )
            .env(
                "CHANCERY__CA__DISTRIBUTION_URL",
                format!("http://{}", distribution.address()),
            )
            .env(
                "CHANCERY__TELEMETRY__LISTEN",
                telemetry.address().to_string(),
            )
            .env("CHANCERY__ACME__OPEN__LISTEN", open.address().to_string())
            .env("CHANCERY__ACME__MESH__LISTEN", mesh.address().to_string())
            .env(
                "CHANCERY__SIGNING__MESH__LISTEN",
                signing.address().to_string(),
            )
            .env(
                "CHANCERY__SIGNING__OPEN__LISTEN",
                signing_open.address().to_string(),
            )
            .env(
                "CHANCERY__ACME__VALIDATION__HTTP_PORT",
                proof.number().to_string(),
            );
        let told = run(&mut command).unwrap();
        assert!(told.contains("All of it worked"), "{round}: {told}");
    }
}
