//! Asking a person for a PIN.

use std::io::{self, IsTerminal};

use hsm_keystore::pkcs11::AskPin;
use secrecy::SecretString;

/// Asks on the terminal, without echo.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terminal;

impl AskPin for Terminal {
    fn ask_pin(&self, token: &str) -> io::Result<SecretString> {
        if !io::stdin().is_terminal() {
            return Err(io::ErrorKind::Unsupported.into());
        }
        rpassword::prompt_password(format!("PIN of {token}: ")).map(SecretString::from)
    }
}
