//! The codes a token answers with, by what helps against them.

use cryptoki::context::Function;
use cryptoki::error::{Error as CallError, RvError};

use crate::error::{Error, TokenFailure, Unavailable};

/// What helps against a failed call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Remedy {
    /// Nothing: the request itself is at fault.
    None,
    /// A new session, and the handles found again.
    NewSession,
    /// A new session; if that fails too, the module started again.
    NewSessionFirst,
    /// One login, by one thread.
    Login,
    /// The module finalized and initialized, the token found again.
    Restart,
    /// Fewer sessions, and time.
    Wait,
    /// An operator: the PIN is not offered again.
    Operator,
}

/// A failed call and what helps against it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fault {
    /// What failed.
    pub(crate) failure: TokenFailure,
    /// What helps.
    pub(crate) remedy: Remedy,
}

impl Fault {
    /// Judges a failed call.
    pub(crate) fn of(error: &CallError) -> Self {
        let failure = TokenFailure::of(error);
        Self {
            failure,
            remedy: failure.code().map_or(Remedy::None, remedy),
        }
    }

    /// Says that the module was started again by somebody else: every session
    /// and handle of ours is dead, or worse, another's.
    pub(crate) fn stale() -> Self {
        Self::of(&CallError::Pkcs11(
            RvError::CryptokiNotInitialized,
            Function::GetSessionInfo,
        ))
    }

    /// Says that nobody is logged in.
    pub(crate) fn logged_out() -> Self {
        Self::of(&CallError::Pkcs11(
            RvError::UserNotLoggedIn,
            Function::GetSessionInfo,
        ))
    }

    /// Says that the token is away for this.
    pub(crate) fn away(self) -> Unavailable {
        Unavailable::TokenAway {
            failure: self.failure,
        }
    }
}

/// Chooses the remedy for a code.
fn remedy(code: RvError) -> Remedy {
    match code {
        RvError::SessionHandleInvalid
        | RvError::SessionClosed
        | RvError::OperationActive
        | RvError::OperationNotInitialized
        | RvError::ObjectHandleInvalid
        | RvError::KeyHandleInvalid => Remedy::NewSession,

        RvError::UserNotLoggedIn => Remedy::Login,

        RvError::CryptokiNotInitialized
        | RvError::DeviceError
        | RvError::DeviceRemoved
        | RvError::TokenNotPresent
        | RvError::TokenNotRecognized
        | RvError::SlotIdInvalid => Remedy::Restart,

        // Said by smart cards that were pulled, and by others for no reason told.
        RvError::GeneralError
        | RvError::FunctionFailed
        | RvError::FunctionCanceled
        | RvError::Cancel
        | RvError::VendorDefined(_)
        | RvError::UnknownErrorCode(_) => Remedy::NewSessionFirst,

        RvError::SessionCount | RvError::DeviceMemory | RvError::HostMemory => Remedy::Wait,

        RvError::PinIncorrect
        | RvError::PinInvalid
        | RvError::PinLenRange
        | RvError::PinExpired
        | RvError::PinLocked
        | RvError::UserPinNotInitialized => Remedy::Operator,

        _ => Remedy::None,
    }
}

/// Why a piece of work on the token ended early.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// A call failed; a remedy may help.
    Call(Fault),
    /// The work itself found it cannot be done.
    Refusal(Error),
}

impl From<CallError> for Trouble {
    fn from(error: CallError) -> Self {
        Self::Call(Fault::of(&error))
    }
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Self::Refusal(error)
    }
}

impl Trouble {
    /// Makes an error of it where no remedy is tried.
    pub(crate) fn into_error(self) -> Error {
        match self {
            Self::Refusal(error) => error,
            Self::Call(fault) => match fault.remedy {
                Remedy::None => Error::Refused {
                    failure: fault.failure,
                },
                Remedy::Wait => Unavailable::NoSession {
                    failure: fault.failure,
                }
                .into(),
                Remedy::Operator => Unavailable::PinRefused {
                    failure: fault.failure,
                }
                .into(),
                Remedy::NewSession | Remedy::NewSessionFirst | Remedy::Login | Remedy::Restart => {
                    fault.away().into()
                }
            },
        }
    }
}
