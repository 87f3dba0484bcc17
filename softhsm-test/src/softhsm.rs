//! Tokens on SoftHSM 2.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use crate::bare::{BareModule, first_file};
use crate::error::Error;
use crate::home::{Home, file_error};
use crate::token::Token;

/// SoftHSM 2, found where distributions install it.
#[derive(Debug)]
pub struct SoftHsm;

impl SoftHsm {
    /// Makes a token with a label of its own.
    ///
    /// # Errors
    ///
    /// When SoftHSM is not installed, or the temporary folder cannot be written to.
    pub fn token() -> Result<Token, Error> {
        Self::make(None)
    }

    /// Makes a token with this label, of at most 32 octets.
    ///
    /// # Errors
    ///
    /// As for [`SoftHsm::token`], or when the label is too long.
    pub fn labelled(label: &str) -> Result<Token, Error> {
        Self::make(Some(label))
    }

    /// Finds the module.
    ///
    /// # Errors
    ///
    /// When it is in none of the places where distributions put it.
    pub fn module() -> Result<PathBuf, Error> {
        let looked_at: Vec<PathBuf> = match std::env::var_os("CHANCERY_SOFTHSM_MODULE") {
            Some(path) => vec![path.into()],
            None => PLACES.iter().map(PathBuf::from).collect(),
        };
        first_file(&looked_at).ok_or(Error::NoSoftHsm { looked_at })
    }

    /// Makes a token.
    fn make(label: Option<&str>) -> Result<Token, Error> {
        let library = Self::module()?;
        let home = Home::new()?;
        let tokens = home.path().join("tokens");
        fs::create_dir(&tokens).map_err(|source| file_error("make", &tokens, source))?;
        let configuration = home.path().join("softhsm2.conf");
        let text = format!(
            "directories.tokendir = {}\nobjectstore.backend = file\nlog.level = ERROR\n",
            tokens.display()
        );
        fs::write(&configuration, text)
            .map_err(|source| file_error("write", &configuration, source))?;
        let environment = vec![("SOFTHSM2_CONF".to_owned(), configuration.into_os_string())];
        let bare = BareModule {
            library,
            environment,
        };
        let module = bare.copy_behind_front(home.path(), None)?;
        Token::initialize(Arc::new(home), bare, module, label)
    }
}

/// Where distributions put the module.
const PLACES: [&str; 9] = [
    // Debian and Ubuntu.
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so",
    // Fedora, RHEL and openSUSE.
    "/usr/lib64/pkcs11/libsofthsm2.so",
    "/usr/lib64/softhsm/libsofthsm2.so",
    "/usr/lib64/libsofthsm2.so",
    // Arch and Alpine.
    "/usr/lib/pkcs11/libsofthsm2.so",
    "/usr/lib/libsofthsm2.so",
    // Built by hand.
    "/usr/local/lib/softhsm/libsofthsm2.so",
];
