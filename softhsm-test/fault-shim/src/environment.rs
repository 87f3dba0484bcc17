//! An environment for one loaded module, by its own table of imported functions.
//!
//! Modules find their configuration by `getenv`. A process has one environment, which
//! cannot be changed safely once it has threads; so the module behind is given another
//! `getenv`: ours, which answers from the sidecar first.

use std::ffi::{CStr, CString, c_char, c_int, c_ulong, c_void};
use std::os::unix::ffi::OsStrExt;
use std::sync::OnceLock;

use crate::sidecar::Sidecar;

/// The variables of the module behind this copy.
static VARIABLES: OnceLock<Vec<(CString, CString)>> = OnceLock::new();

/// Why a module could not be given its environment.
#[derive(Debug)]
pub(crate) enum Unhooked {
    /// A variable with a zero octet.
    ZeroOctet,
    /// The loader knows nothing of the module.
    NoLinkMap,
    /// The module's tables cannot be made writable.
    Protected,
    /// The module never asks for a variable.
    NoImport,
}

impl std::fmt::Display for Unhooked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::ZeroOctet => "a variable holds a zero octet",
            Self::NoLinkMap => "the loader does not show the module's tables",
            Self::Protected => "the module's tables cannot be written to",
            Self::NoImport => "the module imports neither getenv nor secure_getenv",
        })
    }
}

/// The head of glibc's and musl's `struct link_map`.
#[repr(C)]
struct LinkMap {
    /// Difference between the addresses in the file and in memory.
    base: usize,
    /// Path of the file.
    name: *const c_char,
    /// Its dynamic section.
    dynamic: *const Dynamic,
}

/// `Elf64_Dyn`.
#[repr(C)]
struct Dynamic {
    /// What the entry holds.
    tag: i64,
    /// A number or an address.
    value: usize,
}

/// `Elf64_Rela`.
#[repr(C)]
struct Relocation {
    /// Where to write, relative to the base.
    offset: usize,
    /// Symbol's index above, kind below.
    info: u64,
    /// What to add.
    addend: i64,
}

/// `Elf64_Sym`.
#[repr(C)]
struct Symbol {
    /// Offset of the name among the strings.
    name: u32,
    /// Binding and type.
    info: u8,
    /// Visibility.
    other: u8,
    /// Section.
    section: u16,
    /// Address.
    value: u64,
    /// Octets.
    size: u64,
}

/// End of the dynamic section.
const DT_NULL: i64 = 0;
/// Octets of relocations for functions.
const DT_PLTRELSZ: i64 = 2;
/// Names of symbols.
const DT_STRTAB: i64 = 5;
/// Symbols.
const DT_SYMTAB: i64 = 6;
/// Relocations.
const DT_RELA: i64 = 7;
/// Octets of relocations.
const DT_RELASZ: i64 = 8;
/// Relocations for functions.
const DT_JMPREL: i64 = 23;

/// Gives a loaded module the sidecar's variables.
///
/// # Errors
///
/// When a variable cannot be one, or the module's tables are not as expected.
///
/// # Safety
///
/// `handle` is an open handle of `dlopen`, whose module runs no code of another thread yet.
pub(crate) unsafe fn set(handle: *mut c_void, sidecar: &Sidecar) -> Result<(), Unhooked> {
    if sidecar.environment.is_empty() {
        return Ok(());
    }
    let mut variables = Vec::with_capacity(sidecar.environment.len());
    for (name, value) in &sidecar.environment {
        let name = CString::new(name.as_bytes()).map_err(|_| Unhooked::ZeroOctet)?;
        let value = CString::new(value.as_bytes()).map_err(|_| Unhooked::ZeroOctet)?;
        variables.push((name, value));
    }
    VARIABLES.get_or_init(|| variables);
    let mut map: *const LinkMap = std::ptr::null();
    // SAFETY: the handle is open, and the request writes one pointer.
    let found: c_int =
        unsafe { libc::dlinfo(handle, libc::RTLD_DI_LINKMAP, (&raw mut map).cast()) };
    if found != 0 || map.is_null() {
        return Err(Unhooked::NoLinkMap);
    }
    // SAFETY: the loader's own description of a module that stays loaded.
    let replaced = unsafe { replace_imports(&*map) }?;
    if replaced == 0 {
        return Err(Unhooked::NoImport);
    }
    Ok(())
}

/// Points a module's imports of `getenv` to ours; returns how many there were.
///
/// # Safety
///
/// The map describes a loaded ELF module.
unsafe fn replace_imports(map: &LinkMap) -> Result<usize, Unhooked> {
    let (mut strings, mut symbols) = (0, 0);
    let mut tables = [(0, 0), (0, 0)];
    let mut entry = map.dynamic;
    // SAFETY: the dynamic section ends with DT_NULL; what it points to is mapped.
    unsafe {
        while (*entry).tag != DT_NULL {
            let value = (*entry).value;
            // glibc has added the base to addresses, musl has not.
            let address = if value < map.base {
                value + map.base
            } else {
                value
            };
            match (*entry).tag {
                DT_STRTAB => strings = address,
                DT_SYMTAB => symbols = address,
                DT_JMPREL => tables[0].0 = address,
                DT_PLTRELSZ => tables[0].1 = value,
                DT_RELA => tables[1].0 = address,
                DT_RELASZ => tables[1].1 = value,
                _ => {}
            }
            entry = entry.add(1);
        }
    }
    let mut replaced = 0;
    for (address, octets) in tables {
        for index in 0..octets / size_of::<Relocation>() {
            // SAFETY: within the table by its own size; symbol and name indices are
            // those the loader used.
            unsafe {
                let relocation = &*(address as *const Relocation).add(index);
                let symbol_index = (relocation.info >> 32) as usize;
                if symbol_index == 0 {
                    continue;
                }
                let symbol = &*(symbols as *const Symbol).add(symbol_index);
                let name = CStr::from_ptr((strings as *const c_char).add(symbol.name as usize));
                if matches!(
                    name.to_bytes(),
                    b"getenv" | b"secure_getenv" | b"__secure_getenv"
                ) {
                    write_pointer(
                        map.base + relocation.offset,
                        getenv_of_module as *const () as usize,
                    )?;
                    replaced += 1;
                }
            }
        }
    }
    Ok(replaced)
}

/// Writes a pointer into a page that may be read-only by now.
///
/// # Safety
///
/// `at` is an aligned pointer-sized place of a table of imports.
unsafe fn write_pointer(at: usize, value: usize) -> Result<(), Unhooked> {
    // SAFETY: asks for a number.
    let page = usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) })
        .map_err(|_| Unhooked::Protected)?;
    let start = at & !(page - 1);
    // SAFETY: the page belongs to the module's data; a place that is aligned lies in one page.
    let done = unsafe {
        libc::mprotect(
            start as *mut c_void,
            page,
            libc::PROT_READ | libc::PROT_WRITE,
        )
    };
    if done != 0 {
        return Err(Unhooked::Protected);
    }
    // SAFETY: writable now, aligned, and read by no one yet.
    unsafe { *(at as *mut usize) = value };
    Ok(())
}

/// `getenv` as the module behind sees it.
///
/// # Safety
///
/// `name` is a C string.
unsafe extern "C" fn getenv_of_module(name: *const c_char) -> *mut c_char {
    // SAFETY: the caller's promise.
    let asked = unsafe { CStr::from_ptr(name) };
    let own = VARIABLES
        .get()
        .into_iter()
        .flatten()
        .find(|(name, _)| name.as_c_str() == asked);
    match own {
        Some((_, value)) => value.as_ptr().cast_mut(),
        // SAFETY: the caller's promise.
        None => unsafe { libc::getenv(name) },
    }
}

/// The bytes of a relocation's `info` are as on 64-bit machines only.
const _: () = assert!(size_of::<c_ulong>() == 8, "64-bit ELF only");
