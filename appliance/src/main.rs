//! Chancery: the one binary.
fn main() {}
