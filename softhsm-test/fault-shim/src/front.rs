//! The module's entry points and what stands behind them.

use std::ffi::{CStr, CString, OsStr, c_char, c_int, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use cryptoki_sys::{
    CK_FLAGS, CK_FUNCTION_LIST, CK_INTERFACE, CK_RV, CK_UTF8CHAR, CK_VERSION, CKR_ARGUMENTS_BAD,
    CKR_GENERAL_ERROR, CKR_OK,
};

use crate::control::Control;
use crate::environment::{self, Unhooked};
use crate::sidecar::{InvalidSidecar, Sidecar};
use crate::wrap;

/// The name of the standard's own interface.
const STANDARD: &CStr = c"PKCS 11";

/// The one module behind this copy, loaded at the first call.
static FRONT: OnceLock<Option<Front>> = OnceLock::new();

/// A loaded module and what we do with its calls.
pub(crate) struct Front {
    /// The functions of the module behind.
    pub(crate) real: &'static CK_FUNCTION_LIST,
    /// Faults and counters, where they are wanted.
    pub(crate) control: Option<Control>,
    /// What the caller gets: the real list, or the wrappers.
    list: &'static CK_FUNCTION_LIST,
    /// The list as an interface of PKCS#11 3.0.
    interface: Interface,
    /// The module's own interfaces, where it has them and nothing is wrapped.
    real_interface: Option<GetInterface>,
}

/// An interface that never changes.
struct Interface(CK_INTERFACE);

// SAFETY: what it points to is static and never written.
unsafe impl Send for Interface {}
// SAFETY: what it points to is static and never written.
unsafe impl Sync for Interface {}

/// `C_GetFunctionList`.
type GetFunctionList = unsafe extern "C" fn(*mut *mut CK_FUNCTION_LIST) -> CK_RV;
/// `C_GetInterface`.
type GetInterface = unsafe extern "C" fn(
    *mut CK_UTF8CHAR,
    *mut CK_VERSION,
    *mut *mut CK_INTERFACE,
    CK_FLAGS,
) -> CK_RV;

/// Why the module behind could not be reached.
#[derive(Debug)]
enum Unloaded {
    /// The loader does not say where this copy lies.
    NoPath,
    /// The sidecar cannot be read.
    Unreadable {
        path: PathBuf,
        source: std::io::Error,
    },
    /// The sidecar says nothing useful.
    Sidecar {
        path: PathBuf,
        source: InvalidSidecar,
    },
    /// The control file cannot be mapped.
    Control {
        path: PathBuf,
        source: std::io::Error,
    },
    /// The loader refuses the module.
    Refused { reason: CString },
    /// The module has no function list.
    NoFunctionList { rv: CK_RV },
    /// The module cannot be given its environment.
    Environment(Unhooked),
}

impl std::fmt::Display for Unloaded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoPath => f.write_str("the loader does not say where this module lies"),
            Self::Unreadable { path, source } => write!(f, "{}: {source}", path.display()),
            Self::Sidecar { path, source } => write!(f, "{}: {source}", path.display()),
            Self::Control { path, source } => write!(f, "{}: {source}", path.display()),
            Self::Refused { reason } => f.write_str(&reason.to_string_lossy()),
            Self::NoFunctionList { rv } => {
                write!(f, "the module behind gives no function list, code {rv:#x}")
            }
            Self::Environment(source) => source.fmt(f),
        }
    }
}

/// Returns the module behind; none where it could not be loaded, which was said once.
pub(crate) fn front() -> Option<&'static Front> {
    let front = FRONT.get_or_init(|| match Front::load() {
        Ok(front) => Some(front),
        Err(reason) => {
            eprintln!("fault-shim: {reason}");
            None
        }
    });
    front.as_ref()
}

impl Front {
    /// Loads what the sidecar names.
    fn load() -> Result<Self, Unloaded> {
        let path = Sidecar::path_for(&own_path()?);
        let text = std::fs::read(&path).map_err(|source| Unloaded::Unreadable {
            path: path.clone(),
            source,
        })?;
        let sidecar = Sidecar::parse(&text).map_err(|source| Unloaded::Sidecar { path, source })?;
        let control = match &sidecar.control {
            Some(path) => Some(Control::open(path).map_err(|source| Unloaded::Control {
                path: path.clone(),
                source,
            })?),
            None => None,
        };
        let name =
            CString::new(sidecar.real.as_os_str().as_bytes()).map_err(|_| Unloaded::NoPath)?;
        // SAFETY: loading a module runs its constructors: it is the one the test asked for.
        let handle = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
        if handle.is_null() {
            return Err(Unloaded::Refused {
                reason: loader_error(),
            });
        }
        // SAFETY: the handle is open and never closed, and none of the module's functions
        // was called yet.
        unsafe { environment::set(handle, &sidecar) }.map_err(Unloaded::Environment)?;
        let real = real_list(handle)?;
        let list = if control.is_some() { wrap::LIST } else { real };
        let real_interface = if control.is_some() {
            None
        } else {
            // SAFETY: the standard gives the symbol this type.
            unsafe {
                std::mem::transmute::<*mut c_void, Option<GetInterface>>(symbol(
                    handle,
                    c"C_GetInterface",
                ))
            }
        };
        let interface = Interface(CK_INTERFACE {
            pInterfaceName: STANDARD.as_ptr().cast_mut().cast(),
            pFunctionList: std::ptr::from_ref(list).cast_mut().cast(),
            flags: 0,
        });
        Ok(Self {
            real,
            control,
            list,
            interface,
            real_interface,
        })
    }
}

/// Asks a loaded module for its functions.
fn real_list(handle: *mut c_void) -> Result<&'static CK_FUNCTION_LIST, Unloaded> {
    // SAFETY: the standard gives the symbol this type.
    let get = unsafe {
        std::mem::transmute::<*mut c_void, Option<GetFunctionList>>(symbol(
            handle,
            c"C_GetFunctionList",
        ))
    };
    let get = get.ok_or_else(|| Unloaded::Refused {
        reason: loader_error(),
    })?;
    let mut list = std::ptr::null_mut();
    // SAFETY: the module writes one pointer.
    let rv = unsafe { get(&raw mut list) };
    if rv != CKR_OK || list.is_null() {
        return Err(Unloaded::NoFunctionList { rv });
    }
    // SAFETY: a list of a module that is never unloaded.
    Ok(unsafe { &*list })
}

/// Looks up a module's symbol; null where it has none.
fn symbol(handle: *mut c_void, name: &CStr) -> *mut c_void {
    // SAFETY: the handle is open, the name a C string.
    unsafe { libc::dlsym(handle, name.as_ptr()) }
}

/// Returns the loader's words about its last failure.
fn loader_error() -> CString {
    // SAFETY: returns null or a C string of this thread's, valid until the next call.
    unsafe {
        let text = libc::dlerror();
        if text.is_null() {
            c"the loader gives no reason".to_owned()
        } else {
            CStr::from_ptr(text).to_owned()
        }
    }
}

/// Returns the path by which this copy was loaded.
fn own_path() -> Result<PathBuf, Unloaded> {
    // SAFETY: zero is a valid Dl_info. The address is of something that no other library
    // can stand in for, as libp11-kit does for C_GetFunctionList.
    let info = unsafe {
        let mut info: libc::Dl_info = std::mem::zeroed();
        let found: c_int = libc::dladdr((&raw const FRONT).cast(), &raw mut info);
        if found == 0 || info.dli_fname.is_null() {
            return Err(Unloaded::NoPath);
        }
        info
    };
    // SAFETY: the loader's own copy of the path, which lives as long as the library.
    let path = unsafe { CStr::from_ptr(info.dli_fname.cast::<c_char>()) };
    Ok(Path::new(OsStr::from_bytes(path.to_bytes())).to_owned())
}

/// Returns the functions (PKCS#11 v3.1, 5.4.4).
///
/// # Safety
///
/// `list` is null or points to room for a pointer.
// SAFETY: the name is the standard's, and no other crate here exports it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn C_GetFunctionList(list: *mut *mut CK_FUNCTION_LIST) -> CK_RV {
    if list.is_null() {
        return CKR_ARGUMENTS_BAD;
    }
    let Some(front) = front() else {
        return CKR_GENERAL_ERROR;
    };
    // SAFETY: the caller's promise.
    unsafe { *list = std::ptr::from_ref(front.list).cast_mut() };
    CKR_OK
}

/// Returns an interface (PKCS#11 v3.1, 5.4.6): the module's own where it has them and no
/// fault can be set, else version 2.40.
///
/// # Safety
///
/// `name` and `version` are null or valid, `interface` null or room for a pointer.
// SAFETY: the name is the standard's, and no other crate here exports it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn C_GetInterface(
    name: *mut CK_UTF8CHAR,
    version: *mut CK_VERSION,
    interface: *mut *mut CK_INTERFACE,
    flags: CK_FLAGS,
) -> CK_RV {
    let Some(front) = front() else {
        return CKR_GENERAL_ERROR;
    };
    if let Some(real) = front.real_interface {
        // SAFETY: the caller's promise, passed on.
        return unsafe { real(name, version, interface, flags) };
    }
    // SAFETY: the caller's promise.
    let served = unsafe {
        let named = name.is_null() || CStr::from_ptr(name.cast()) == STANDARD;
        let ours = front.list.version;
        let versioned =
            version.is_null() || ((*version).major, (*version).minor) == (ours.major, ours.minor);
        named && versioned && flags == 0 && !interface.is_null()
    };
    if !served {
        return CKR_ARGUMENTS_BAD;
    }
    // SAFETY: not null, and the caller's promise.
    unsafe { *interface = std::ptr::from_ref(&front.interface.0).cast_mut() };
    CKR_OK
}
