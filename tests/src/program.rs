//! The program under test.

use std::path::PathBuf;
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use serde_json::Value;

use crate::error::Error;
use crate::process::run;

/// Returns the path of `chancery`, built by cargo in this test's profile if need be.
///
/// `CHANCERY_BINARY` names another, for instance one that is to be judged as delivered.
///
/// # Errors
///
/// When cargo cannot build it.
pub fn chancery() -> Result<PathBuf, Error> {
    /// Found once in a process.
    static FOUND: Mutex<Option<PathBuf>> = Mutex::new(None);
    let mut found = FOUND.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(path) = &*found {
        return Ok(path.clone());
    }
    let path = match std::env::var_os("CHANCERY_BINARY") {
        Some(path) => path.into(),
        None => build()?,
    };
    *found = Some(path.clone());
    Ok(path)
}

/// Has cargo build the program and tell where it is.
fn build() -> Result<PathBuf, Error> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .args(["build", "--locked", "--package", "chancery"])
        .args(["--bin", "chancery", "--message-format", "json"]);
    if !cfg!(debug_assertions) {
        command.arg("--release");
    }
    let messages = run(&mut command)?;
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter_map(|message| message["executable"].as_str().map(PathBuf::from))
        .find(|path| path.file_name().is_some_and(|name| name == "chancery"))
        .ok_or(Error::Malformed {
            what: "what cargo says about the program",
            seen: messages,
        })
}
