//! Asking a person for a PIN or a password.

use std::io::{self, IsTerminal};

use hsm_keystore::pkcs11::AskPin;
use secrecy::SecretString;

/// Asks on the terminal, without echo.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terminal;

impl Terminal {
    /// Asks for the password of a file.
    ///
    /// # Errors
    ///
    /// `Unsupported` where there is no terminal to ask on.
    pub(crate) fn ask_password(self, file: &str) -> io::Result<SecretString> {
        ask(&format!("Password of {file}: "))
    }
}

/// Asks on the terminal.
fn ask(question: &str) -> io::Result<SecretString> {
    if !io::stdin().is_terminal() {
        return Err(io::ErrorKind::Unsupported.into());
    }
    rpassword::prompt_password(question).map(SecretString::from)
}

impl AskPin for Terminal {
    fn ask_pin(&self, token: &str) -> io::Result<SecretString> {
        ask(&format!("PIN of {token}: "))
    }
}
