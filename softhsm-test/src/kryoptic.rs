//! Tokens on kryoptic, built by `softhsm-test/kryoptic/build`.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::bare::BareModule;
use crate::error::Error;
use crate::home::{Home, file_error};
use crate::token::Token;

/// kryoptic: PKCS#11 3.2 with ML-DSA, another reading of the standard than SoftHSM's.
#[derive(Debug)]
pub struct Kryoptic;

impl Kryoptic {
    /// Makes a token with a label of its own.
    ///
    /// # Errors
    ///
    /// When kryoptic is not built, or the temporary folder cannot be written to.
    pub fn token() -> Result<Token, Error> {
        Self::make(None)
    }

    /// Makes a token with this label, of at most 32 octets.
    ///
    /// # Errors
    ///
    /// As for [`Kryoptic::token`], or when the label is too long.
    pub fn labelled(label: &str) -> Result<Token, Error> {
        Self::make(Some(label))
    }

    /// Finds the module.
    ///
    /// # Errors
    ///
    /// When it was not built; the error names the command.
    pub fn module() -> Result<PathBuf, Error> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("kryoptic");
        let module = std::env::var_os("CHANCERY_KRYOPTIC_MODULE").map_or_else(
            || folder.join("target/release/libkryoptic_module.so"),
            PathBuf::from,
        );
        if module.is_file() {
            Ok(module)
        } else {
            Err(Error::NoKryoptic {
                module,
                build: folder.join("build"),
            })
        }
    }

    /// Makes a token.
    fn make(label: Option<&str>) -> Result<Token, Error> {
        let library = Self::module()?;
        let home = Home::new()?;
        let database = home.path().join("kryoptic.sql");
        let configuration = home.path().join("kryoptic.conf");
        let text = format!(
            "[[slots]]\nslot = 1\ndescription = \"test\"\ndbtype = \"sqlite\"\ndbargs = {:?}\n",
            database.display().to_string()
        );
        fs::write(&configuration, text)
            .map_err(|source| file_error("write", &configuration, source))?;
        let environment = vec![("KRYOPTIC_CONF".to_owned(), configuration.into_os_string())];
        let bare = BareModule {
            library,
            environment,
        };
        let module = bare.copy_behind_front(home.path(), None)?;
        Token::initialize(Arc::new(home), bare, module, label)
    }
}
