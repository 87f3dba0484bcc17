//! Keys and certificates: made, kept, renewed.
