//! What a process leaves: nothing, however it ends.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::{Result, processes_of};

/// A process that holds a token.
struct Holder {
    /// The process.
    child: Child,
    /// The token's folder.
    folder: PathBuf,
    /// The token's URI.
    uri: String,
}

impl Holder {
    /// Starts the example `token` and reads what it says.
    fn start(arguments: &[&str], temporary: &Path) -> Result<Self> {
        let test = std::env::current_exe()?;
        let profile = test.ancestors().nth(2).ok_or("no profile folder")?;
        let mut child = Command::new(profile.join("examples/token"))
            .args(arguments)
            .env("TMPDIR", temporary)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut lines = BufReader::new(child.stdout.take().ok_or("no output")?).lines();
        let folder = PathBuf::from(lines.next().ok_or("no folder")??);
        let uri = lines.next().ok_or("no URI")??;
        Ok(Self { child, folder, uri })
    }

    /// Lets the process end by itself.
    fn end(mut self) -> Result {
        drop(self.child.stdin.take());
        let status = self.child.wait()?;
        assert!(status.success(), "{status}");
        Ok(())
    }
}

/// Counts the entries of a folder.
fn entries(folder: &Path) -> Result<usize> {
    Ok(std::fs::read_dir(folder)?.count())
}

#[test]
fn a_process_that_drops_nothing_leaves_nothing() -> Result {
    for arguments in [&["softhsm"][..], &["kryoptic"], &["softhsm", "remote"]] {
        let temporary = tempfile::tempdir()?;
        let holder = Holder::start(arguments, temporary.path())?;
        assert!(holder.folder.is_dir());
        assert!(
            holder.uri.starts_with("pkcs11:token=test-"),
            "{}",
            holder.uri
        );
        holder.end()?;
        assert_eq!(entries(temporary.path())?, 0);
    }
    Ok(())
}

#[test]
fn what_a_killed_process_left_the_next_one_sweeps() -> Result {
    let temporary = tempfile::tempdir()?;
    let living = Holder::start(&["softhsm"], temporary.path())?;
    let mut killed = Holder::start(&["softhsm", "remote"], temporary.path())?;
    let folder = killed.folder.parent().ok_or("no folder")?.to_owned();
    assert!(processes_of(&folder)? >= 1);
    killed.child.kill()?;
    killed.child.wait()?;
    let died = Instant::now();
    while processes_of(&folder)? > 0 {
        assert!(
            died.elapsed() < Duration::from_secs(20),
            "the server outlives its token"
        );
        std::thread::yield_now();
    }
    assert!(folder.exists());
    let next = Holder::start(&["softhsm"], temporary.path())?;
    assert!(!folder.exists(), "the dead process's folder is still there");
    assert!(living.folder.exists(), "a living process's folder is gone");
    next.end()?;
    living.end()?;
    assert_eq!(entries(temporary.path())?, 0);
    Ok(())
}
