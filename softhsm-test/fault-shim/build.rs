//! Marks the module as never unloaded: the module behind it calls back into it.

/// Prints the linker's argument.
fn main() {
    println!("cargo::rustc-cdylib-link-arg=-Wl,-z,nodelete");
    println!("cargo::rerun-if-changed=build.rs");
}
