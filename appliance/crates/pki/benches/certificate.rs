//! What one certificate costs before the token signs it.
fn main() {}
