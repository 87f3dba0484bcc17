//! The dependency rules and fences of docs/architecture.md, held.
//!
//! Dependencies come from `cargo metadata`, imports from the sources; a room that is new
//! must be added here, with what it may import.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// What a test answers.
type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Which rooms each room may import, outside its tests.
///
/// Services (`ca`, `acme`, `signing`) never import each other: they meet in `mesh`'s wire
/// types. `acme` reaches the keystore only through `mesh`.
const ROOMS: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("hsm-keystore", &[]),
    ("fault-shim", &[]),
    ("softhsm-test", &["fault-shim"]),
    ("pki", &["model"]),
    ("attest", &["model", "pki"]),
    ("store", &["model"]),
    ("mesh", &["model", "pki", "hsm-keystore"]),
    ("audit", &["model", "hsm-keystore"]),
    (
        "ca",
        &["model", "hsm-keystore", "pki", "store", "audit", "mesh"],
    ),
    ("acme", &["model", "pki", "store", "audit", "mesh"]),
    (
        "signing",
        &[
            "model",
            "hsm-keystore",
            "pki",
            "attest",
            "store",
            "audit",
            "mesh",
        ],
    ),
    (
        "chancery",
        &[
            "model",
            "attest",
            "hsm-keystore",
            "pki",
            "store",
            "audit",
            "mesh",
            "ca",
            "acme",
            "signing",
        ],
    ),
    (
        "chancery-tests",
        &[
            "model",
            "pki",
            "store",
            "mesh",
            "hsm-keystore",
            "softhsm-test",
        ],
    ),
];

/// Which rooms may name a crate among their dependencies.
const FENCES: &[(&str, &[&str])] = &[
    ("cryptoki", &["hsm-keystore", "softhsm-test"]),
    (
        "cryptoki-sys",
        &["hsm-keystore", "softhsm-test", "fault-shim"],
    ),
    ("sled", &["store"]),
    ("rustls-pemfile", &["pki"]),
    ("yasna", &["pki", "hsm-keystore"]),
    ("actix-web", &["mesh", "ca", "acme", "signing", "chancery"]),
    ("anyhow", &["chancery"]),
];

/// Rooms without I/O, clock and runtime.
const PURE_ROOMS: &[&str] = &["model", "pki", "attest"];

/// Crates that do I/O, or run something that does.
const IMPURE_CRATES: &[&str] = &[
    "tokio",
    "mio",
    "actix-web",
    "actix-rt",
    "reqwest",
    "hyper",
    "socket2",
    "sled",
    "cryptoki",
];

/// What source without I/O and clock does not say.
const IMPURE_WORDS: &[&str] = &[
    "std::fs",
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "ToSocketAddrs",
    "std::process",
    "std::env",
    "std::thread",
    "SystemTime",
    "Instant::now",
    "Timestamp::now",
    "Zoned::now",
    "tokio",
];

/// Lines from which on a file must be split.
const MOST_LINES: usize = 800;

/// A room: a package of the workspace.
struct Room {
    /// The package's name.
    name: String,
    /// Its folder.
    folder: PathBuf,
    /// Its dependencies outside tests, build scripts included.
    dependencies: BTreeSet<String>,
}

/// The packages of the workspace.
struct Workspace {
    /// The repository's folder.
    root: PathBuf,
    /// Every package of ours.
    rooms: Vec<Room>,
}

impl Workspace {
    /// Asks cargo.
    fn read() -> Result<Self> {
        let metadata: Value =
            serde_json::from_slice(&cargo(&["metadata", "--format-version=1", "--no-deps"])?)?;
        let root = PathBuf::from(text(&metadata["workspace_root"])?);
        let members: BTreeSet<&str> = array(&metadata["workspace_members"])?
            .iter()
            .filter_map(Value::as_str)
            .collect();
        let mut rooms = Vec::new();
        for package in array(&metadata["packages"])? {
            let (id, name) = (text(&package["id"])?, text(&package["name"])?);
            if !members.contains(id) {
                continue;
            }
            let manifest = Path::new(text(&package["manifest_path"])?);
            rooms.push(Room {
                name: name.to_owned(),
                folder: manifest
                    .parent()
                    .ok_or("a manifest without a folder")?
                    .to_owned(),
                dependencies: array(&package["dependencies"])?
                    .iter()
                    .filter(|dependency| dependency["kind"] != "dev")
                    .filter_map(|dependency| dependency["name"].as_str())
                    .map(str::to_owned)
                    .collect(),
            });
        }
        Ok(Self { root, rooms })
    }

    /// Returns the sources of every room outside its tests, by path from the root.
    fn sources(&self) -> Result<Vec<(String, String)>> {
        let mut sources = Vec::new();
        for room in &self.rooms {
            for path in rust_files(&room.folder.join("src"))? {
                let relative = path.strip_prefix(&self.root)?.display().to_string();
                sources.push((relative, std::fs::read_to_string(&path)?));
            }
        }
        Ok(sources)
    }
}

/// Reads a JSON string.
fn text(value: &Value) -> Result<&str> {
    value
        .as_str()
        .ok_or_else(|| "cargo metadata lacks a text".into())
}

/// Reads a JSON array.
fn array(value: &Value) -> Result<&Vec<Value>> {
    value
        .as_array()
        .ok_or_else(|| "cargo metadata lacks a list".into())
}

/// Returns the crates that a package is built with outside tests.
///
/// By `cargo tree`: the resolution in `cargo metadata` also shows what no feature turns on.
fn crates_of(package: &str) -> Result<BTreeSet<String>> {
    let tree = cargo(&[
        "tree",
        "--edges=normal",
        "--prefix=none",
        "--format={p}",
        "--target=x86_64-unknown-linux-gnu",
        "--package",
        package,
    ])?;
    let lines = String::from_utf8(tree)?;
    Ok(lines
        .lines()
        .filter_map(|line| line.split(' ').next())
        .map(str::to_owned)
        .collect())
}

/// Asks cargo about this workspace.
fn cargo(arguments: &[&str]) -> Result<Vec<u8>> {
    let output = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()?;
    if output.status.success() {
        Ok(output.stdout)
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into())
    }
}

/// Finds the Rust files below a folder.
fn rust_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(rust_files(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Returns the code of a file outside comments and its tests.
fn code(path: &str, source: &str) -> String {
    if path.ends_with("/tests.rs") || path.contains("/tests/") {
        return String::new();
    }
    let before_tests = source
        .split("#[cfg(test)]\nmod tests {")
        .next()
        .unwrap_or_default();
    before_tests
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect::<Vec<_>>()
        .join("\n")
}

/// Returns what a rule is broken by: files whose code names a crate and that may not.
fn breaches<'a>(
    sources: &'a [(String, String)],
    word: &str,
    may: impl Fn(&str) -> bool,
) -> Vec<&'a str> {
    sources
        .iter()
        .filter(|(path, source)| !may(path) && code(path, source).contains(word))
        .map(|(path, _)| path.as_str())
        .collect()
}

#[test]
fn rooms_import_only_what_lies_below_them() -> Result {
    let workspace = Workspace::read()?;
    let ours: BTreeSet<&str> = workspace
        .rooms
        .iter()
        .map(|room| room.name.as_str())
        .collect();
    for room in &workspace.rooms {
        let (_, may) = ROOMS
            .iter()
            .find(|(name, _)| *name == room.name)
            .ok_or_else(|| format!("{} is a new room: say here what it may import", room.name))?;
        for dependency in room
            .dependencies
            .iter()
            .filter(|name| ours.contains(name.as_str()))
        {
            assert!(
                may.contains(&dependency.as_str()),
                "{} imports {dependency}",
                room.name
            );
        }
    }
    Ok(())
}

#[test]
fn fenced_crates_stay_in_their_rooms() -> Result {
    let workspace = Workspace::read()?;
    for room in &workspace.rooms {
        for (fenced, may) in FENCES {
            assert!(
                !room.dependencies.contains(*fenced) || may.contains(&room.name.as_str()),
                "{} depends on {fenced}",
                room.name
            );
        }
    }
    Ok(())
}

#[test]
fn fenced_crates_stay_in_their_modules() -> Result {
    let sources = Workspace::read()?.sources()?;
    let pem = |path: &str| path == "appliance/crates/pki/src/pem.rs";
    assert_eq!(breaches(&sources, "rustls_pemfile", pem), [""; 0]);
    let http = |path: &str| {
        path.ends_with("/http.rs")
            || path.contains("/http/")
            || path.starts_with("appliance/crates/mesh/")
            || path.starts_with("appliance/src/console")
    };
    assert_eq!(breaches(&sources, "actix_web", http), [""; 0]);
    let named = breaches(&sources, "yasna", |_| false);
    for room in ["appliance/crates/pki/src/", "hsm-keystore/src/"] {
        // A module is one file, or a folder below the file of the same name.
        let modules: BTreeSet<&str> = named
            .iter()
            .filter_map(|path| path.strip_prefix(room))
            .map(|path| path.trim_end_matches(".rs"))
            .collect();
        let first = modules.first().copied().unwrap_or_default();
        let spread: Vec<_> = modules
            .iter()
            .filter(|module| **module != first && !module.starts_with(&format!("{first}/")))
            .collect();
        assert!(
            spread.is_empty(),
            "yasna is in {room}{first} and in {spread:?}"
        );
    }
    Ok(())
}

#[test]
fn the_pure_rooms_know_no_io_no_clock_and_no_runtime() -> Result {
    let sources = Workspace::read()?.sources()?;
    for room in PURE_ROOMS {
        let closure = crates_of(room)?;
        for impure in IMPURE_CRATES {
            assert!(!closure.contains(*impure), "{room} is built with {impure}");
        }
        let elsewhere = |path: &str| !path.starts_with(&format!("appliance/crates/{room}/src/"));
        for word in IMPURE_WORDS {
            assert_eq!(breaches(&sources, word, elsewhere), [""; 0], "{word}");
        }
    }
    Ok(())
}

#[test]
fn the_product_has_one_provider_of_cryptography() -> Result {
    let product = crates_of("chancery")?;
    assert!(product.contains("aws-lc-rs"));
    for other in [
        "ring",
        "openssl",
        "openssl-sys",
        "native-tls",
        "rustls-rustcrypto",
    ] {
        assert!(
            !product.contains(other),
            "the product is built with {other}"
        );
    }
    Ok(())
}

#[test]
fn files_are_short_enough_to_be_read() -> Result {
    let workspace = Workspace::read()?;
    for room in &workspace.rooms {
        for folder in ["src", "tests", "benches", "examples"].map(|name| room.folder.join(name)) {
            if !folder.is_dir() {
                continue;
            }
            for path in rust_files(&folder)? {
                let lines = std::fs::read_to_string(&path)?.lines().count();
                assert!(
                    lines <= MOST_LINES,
                    "{} has {lines} lines: split it",
                    path.display()
                );
            }
        }
    }
    Ok(())
}

#[test]
fn a_breach_is_noticed() {
    let sources = vec![
        (
            "a/src/pem.rs".to_owned(),
            "use rustls_pemfile::Item;\n".to_owned(),
        ),
        (
            "a/src/csr.rs".to_owned(),
            "// rustls_pemfile reads\nfn parse() {}\n".to_owned(),
        ),
        (
            "a/src/key.rs".to_owned(),
            "fn f() { rustls_pemfile::certs(); }\n".to_owned(),
        ),
        (
            "a/src/key/tests.rs".to_owned(),
            "use rustls_pemfile::Item;\n".to_owned(),
        ),
    ];
    let may = |path: &str| path == "a/src/pem.rs";
    assert_eq!(breaches(&sources, "rustls_pemfile", may), ["a/src/key.rs"]);
}
