//! Who staples what, and until when.
