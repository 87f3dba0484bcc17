//! A token made for a test.

use std::fmt;
use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::session::UserType;
use cryptoki::slot::Slot;
use cryptoki::types::AuthPin;

use crate::bare::BareModule;
use crate::error::Error;
use crate::home::{Home, file_error};

/// A fresh token with a user PIN, behind a module of its own. Dropped, it is gone.
#[derive(Clone)]
pub struct Token {
    /// The folder with everything, as long as one token in it lives.
    home: Arc<Home>,
    /// The module as installed, and what it asks the environment for.
    bare: BareModule,
    /// The module to load.
    module: PathBuf,
    /// The token's label.
    label: String,
    /// The token's serial number.
    serial: String,
    /// The security officer's PIN.
    so_pin: String,
    /// The user's PIN.
    user_pin: String,
    /// The file with the user's PIN.
    pin_file: PathBuf,
}

impl Token {
    /// Initializes a token in a free slot of the module.
    pub(crate) fn initialize(
        home: Arc<Home>,
        bare: BareModule,
        module: PathBuf,
        label: Option<&str>,
    ) -> Result<Self, Error> {
        /// Counts tokens, for labels that no other token of this process has.
        static TOKENS: AtomicU32 = AtomicU32::new(0);
        let number = TOKENS.fetch_add(1, Ordering::Relaxed);
        let label = label.map_or_else(
            || format!("test-{}-{number}", std::process::id()),
            str::to_owned,
        );
        let (so_pin, user_pin) = (random_pin()?, random_pin()?);
        let serial = initialize(&module, &label, &so_pin, &user_pin)?;
        let pin_file = home.path().join(format!("pin-{number}"));
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&pin_file)
            .map_err(|source| file_error("make", &pin_file, source))?;
        file.write_all(user_pin.as_bytes())
            .map_err(|source| file_error("write", &pin_file, source))?;
        Ok(Self {
            home,
            bare,
            module,
            label,
            serial,
            so_pin,
            user_pin,
            pin_file,
        })
    }

    /// Makes another token as a further slot of the same module.
    ///
    /// # Errors
    ///
    /// When the module has no free slot (kryoptic has one) or refuses.
    pub fn beside(&self) -> Result<Self, Error> {
        let (home, bare) = (Arc::clone(&self.home), self.bare.clone());
        Self::initialize(home, bare, self.module.clone(), None)
    }

    /// Returns the module to load, by any process: it needs no environment.
    #[must_use]
    pub fn module(&self) -> &Path {
        &self.module
    }

    /// Returns the module as installed, and the variables under which it finds this token.
    #[must_use]
    pub fn bare_module(&self) -> &BareModule {
        &self.bare
    }

    /// Returns the token's label.
    #[must_use]
    pub fn label(&self) -> &str {
        &self.label
    }

    /// Returns the token's serial number.
    #[must_use]
    pub fn serial(&self) -> &str {
        &self.serial
    }

    /// Returns the user's PIN.
    #[must_use]
    pub fn user_pin(&self) -> &str {
        &self.user_pin
    }

    /// Returns the security officer's PIN.
    #[must_use]
    pub fn so_pin(&self) -> &str {
        &self.so_pin
    }

    /// Returns the file with the user's PIN, mode 0600, without a line's end.
    #[must_use]
    pub fn pin_file(&self) -> &Path {
        &self.pin_file
    }

    /// Returns the folder that holds everything of this token's.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.home.path()
    }

    /// Returns the token's URI with its module and the file of its PIN (RFC 7512, 2.3).
    #[must_use]
    pub fn uri(&self) -> String {
        self.uri_through(&self.module)
    }

    /// Returns the URI of this token behind another module: a shim, a remote one.
    #[must_use]
    pub fn uri_through(&self, module: &Path) -> String {
        format!(
            "pkcs11:token={}?module-path={}&pin-source=file:{}",
            escape(&self.label),
            escape(&module.to_string_lossy()),
            escape(&self.pin_file.to_string_lossy())
        )
    }
}

impl AsRef<BareModule> for Token {
    fn as_ref(&self) -> &BareModule {
        &self.bare
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token")
            .field("label", &self.label)
            .field("serial", &self.serial)
            .field("module", &self.module)
            .finish_non_exhaustive()
    }
}

/// Escapes what may not stand in a URI's value (RFC 7512, 2.3).
fn escape(value: &str) -> String {
    let mut escaped = String::with_capacity(value.len());
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/:".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}

/// Makes a PIN of 16 decimal digits that no log contains by chance.
fn random_pin() -> Result<String, Error> {
    let path = Path::new("/dev/urandom");
    let mut octets = [0; 8];
    std::fs::File::open(path)
        .and_then(|mut source| source.read_exact(&mut octets))
        .map_err(|source| file_error("read", path, source))?;
    let number = u64::from_le_bytes(octets) % 10_000_000_000_000_000;
    Ok(format!("{number:016}"))
}

/// Initializes a token and its user PIN; returns its serial number.
fn initialize(module: &Path, label: &str, so_pin: &str, user_pin: &str) -> Result<String, Error> {
    let refused = |act| {
        move |source| Error::Token {
            act,
            module: module.to_owned(),
            source,
        }
    };
    let so_pin = AuthPin::from(so_pin);
    let user_pin = AuthPin::from(user_pin);
    let pkcs11 = Pkcs11::new(module).map_err(refused("be loaded"))?;
    pkcs11
        .initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK))
        .map_err(refused("be initialized"))?;
    let made = (|| {
        let free = free_slot(&pkcs11)
            .map_err(refused("list its slots"))?
            .ok_or_else(|| Error::NoFreeSlot {
                module: module.to_owned(),
            })?;
        pkcs11
            .init_token(free, &so_pin, label)
            .map_err(refused("initialize a token"))?;
        // SoftHSM gives the token a slot of its own number when asked for the list.
        let (slot, serial) = slot_of(&pkcs11, label)
            .map_err(refused("list its slots"))?
            .ok_or_else(|| Error::NoFreeSlot {
                module: module.to_owned(),
            })?;
        let session = pkcs11
            .open_rw_session(slot)
            .map_err(refused("open a session"))?;
        session
            .login(UserType::So, Some(&so_pin))
            .map_err(refused("log its officer in"))?;
        session
            .init_pin(&user_pin)
            .map_err(refused("set the user's PIN"))?;
        session.logout().map_err(refused("log its officer out"))?;
        Ok(serial)
    })();
    // Finalized even when something failed; the first failure is the one to tell.
    let finalized = pkcs11.finalize().map_err(refused("be finalized"));
    made.and_then(|serial| finalized.map(|()| serial))
}

/// Finds a slot whose token is not initialized.
fn free_slot(pkcs11: &Pkcs11) -> Result<Option<Slot>, cryptoki::error::Error> {
    for slot in pkcs11.get_all_slots()? {
        if !pkcs11.get_token_info(slot)?.token_initialized() {
            return Ok(Some(slot));
        }
    }
    Ok(None)
}

/// Finds the slot of a token and its serial number by its label.
pub(crate) fn slot_of(
    pkcs11: &Pkcs11,
    label: &str,
) -> Result<Option<(Slot, String)>, cryptoki::error::Error> {
    for slot in pkcs11.get_all_slots()? {
        let info = pkcs11.get_token_info(slot)?;
        if info.token_initialized() && info.label() == label {
            return Ok(Some((slot, info.serial_number().to_owned())));
        }
    }
    Ok(None)
}
