//! The signing service: artifacts are signed on the token, with what is attested of
//! them, and anyone can verify the result offline.
