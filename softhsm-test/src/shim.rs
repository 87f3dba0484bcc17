//! A token whose calls a test delays, blocks, fails and counts.

use std::path::{Path, PathBuf};
use std::time::Duration;

use fault_shim::{Control, Fault, Function, When};

use crate::bare::BareModule;
use crate::error::Error;
use crate::home::{Home, file_error};
use crate::rv::ReturnValue;

/// A second module for the same token, with faults. Dropped, its faults end.
///
/// The token's own [`module`](crate::Token::module) is another instance and sees none.
#[derive(Debug)]
pub struct FaultShim {
    /// What this module is, without faults.
    bare: BareModule,
    /// The module with faults.
    module: PathBuf,
    /// The faults.
    control: Control,
    /// The folder of both.
    _home: Home,
}

impl FaultShim {
    /// Puts faults in front of a token or of a remote one, which must outlive it.
    ///
    /// # Errors
    ///
    /// When the temporary folder cannot be written to.
    pub fn over(token: &impl AsRef<BareModule>) -> Result<Self, Error> {
        let bare = token.as_ref().clone();
        let home = Home::new()?;
        let path = home.path().join("control");
        let control = Control::create(&path).map_err(|source| file_error("make", &path, source))?;
        let module = bare.copy_behind_front(home.path(), Some(path))?;
        Ok(Self {
            bare,
            module,
            control,
            _home: home,
        })
    }

    /// Returns the module to load, by any process.
    #[must_use]
    pub fn module(&self) -> &Path {
        &self.module
    }

    /// Sets a fault in place of the function's one before.
    pub fn arm(&self, function: Function, fault: Fault) {
        self.control.arm(function, fault);
    }

    /// Fails every call with this code.
    pub fn fail(&self, function: Function, answer: ReturnValue) {
        self.arm(function, Fault::fail(answer));
    }

    /// Fails only the n-th call from now, from 1.
    pub fn fail_nth(&self, function: Function, nth: u32, answer: ReturnValue) {
        self.arm(function, Fault::fail(answer).when(When::Nth(nth)));
    }

    /// Fails every call of every function but those that start and end the module.
    pub fn fail_all(&self, answer: ReturnValue) {
        for function in Function::ALL {
            if !matches!(function, Function::Initialize | Function::Finalize) {
                self.fail(*function, answer);
            }
        }
    }

    /// Makes every call take this much longer.
    pub fn delay(&self, function: Function, delay: Duration) {
        self.arm(function, Fault::delay(delay));
    }

    /// Lets every call hang until it is released.
    pub fn block(&self, function: Function) {
        self.arm(function, Fault::block());
    }

    /// Takes every fault away and lets blocked calls go on. The pace stays.
    pub fn release(&self) {
        for function in Function::ALL {
            self.release_one(*function);
        }
    }

    /// Takes one function's fault away and lets its blocked calls go on.
    pub fn release_one(&self, function: Function) {
        self.control.disarm(function);
    }

    /// Returns how often a function was called.
    ///
    /// A call of `C_Sign` or `C_SignFinal` that only asks for the signature's length is no
    /// signature: it is passed on uncounted, and no fault strikes it.
    #[must_use]
    pub fn count(&self, function: Function) -> u64 {
        self.control.calls(function)
    }

    /// Returns how many calls of a function a fault has struck.
    #[must_use]
    pub fn struck(&self, function: Function) -> u64 {
        self.control.struck(function)
    }

    /// Returns how many calls of a function hang now.
    #[must_use]
    pub fn blocked(&self, function: Function) -> u32 {
        self.control.blocked(function)
    }

    /// Waits until so many calls of a function hang; false when time ran out.
    #[must_use]
    pub fn wait_blocked(&self, function: Function, at_least: u32, at_most: Duration) -> bool {
        self.control.wait_blocked(function, at_least, at_most)
    }

    /// Makes every thread that signs a lane of so many signatures a second; 0 is full speed.
    pub fn slow_sign(&self, per_second: u32) {
        self.slow_sign_on(0, per_second);
    }

    /// Makes the token a serial device: one signature at a time, so many a second in all.
    pub fn serial_sign(&self, per_second: u32) {
        self.slow_sign_on(1, per_second);
    }

    /// Gives the token so many lanes (at most 64; 0: one a thread), each of so many
    /// signatures a second; 0 a second is full speed.
    pub fn slow_sign_on(&self, lanes: usize, per_second: u32) {
        let period = Duration::from_secs(1)
            .checked_div(per_second)
            .unwrap_or_default();
        self.control.set_pace(period, lanes);
    }
}

impl AsRef<BareModule> for FaultShim {
    fn as_ref(&self) -> &BareModule {
        &self.bare
    }
}

impl Drop for FaultShim {
    fn drop(&mut self) {
        self.release();
        self.slow_sign(0);
    }
}
