//! A module as it is installed, and copies of it that need no environment.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use fault_shim::Sidecar;

use crate::error::Error;
use crate::home::file_error;

/// A module as its distribution installs it, with the variables that it asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BareModule {
    /// The library.
    pub library: PathBuf,
    /// The variables under which it finds its token.
    pub environment: Vec<(String, OsString)>,
}

impl BareModule {
    /// Puts a copy of the module into a folder, behind a front that gives it its
    /// environment and, with a control file, faults. Returns the front's path.
    pub(crate) fn copy_behind_front(
        &self,
        folder: &Path,
        control: Option<PathBuf>,
    ) -> Result<PathBuf, Error> {
        /// Counts copies, for a name that says nothing and never repeats.
        static COPIES: AtomicU32 = AtomicU32::new(0);
        let number = COPIES.fetch_add(1, Ordering::Relaxed);
        let module = folder.join(format!("module-{number}.so"));
        let real = folder.join(format!("module-{number}.real.so"));
        copy(&front_library()?, &module)?;
        copy(&self.library, &real)?;
        let sidecar = Sidecar {
            real,
            environment: self.environment.clone(),
            control,
        };
        let path = Sidecar::path_for(&module);
        fs::write(&path, sidecar.to_bytes())
            .map_err(|source| file_error("write", &path, source))?;
        Ok(module)
    }
}

/// Copies a library to a file of its own: the loader knows libraries by their inode.
fn copy(from: &Path, to: &Path) -> Result<(), Error> {
    fs::copy(from, to).map_err(|source| file_error("copy", from, source))?;
    Ok(())
}

/// Returns the first of the paths that is a file.
pub(crate) fn first_file(candidates: &[PathBuf]) -> Option<PathBuf> {
    candidates.iter().find(|path| path.is_file()).cloned()
}

/// Finds the fault shim's library among those that cargo built for this test.
fn front_library() -> Result<PathBuf, Error> {
    const NAME: &str = "libfault_shim.so";
    let mut looked_at = Vec::new();
    if let Some(libraries) = option_env!("SOFTHSM_TEST_LIBRARIES") {
        looked_at.push(Path::new(libraries).join(NAME));
    }
    // Where the build was moved: target/PROFILE/deps/test, target/PROFILE/program.
    if let Ok(program) = std::env::current_exe() {
        for folder in program.ancestors().skip(1).take(2) {
            looked_at.push(folder.join(NAME));
            looked_at.push(folder.join("deps").join(NAME));
        }
    }
    first_file(&looked_at).ok_or(Error::NoFaultShim { looked_at })
}
