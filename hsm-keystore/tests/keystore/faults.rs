//! What tokens suffer, and what is left of it for who asks for signatures.
