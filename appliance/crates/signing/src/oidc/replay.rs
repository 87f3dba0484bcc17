//! Tokens that were used, remembered until they end.
//!
//! A token is good for one request: the same again, from a client that missed the
//! answer, is the same request; another one is refused. The CA remembers as much under
//! the idempotency key that is made of the token, over restarts of this service too.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use model::Timestamp;

/// What names a token: see [`super::token::Token::id`].
pub(crate) type TokenId = [u8; 32];

/// Most tokens remembered at a time.
const MAX_TOKENS: usize = 65_536;

/// Tokens that were used.
#[derive(Debug, Default)]
pub(crate) struct UsedTokens(Mutex<HashMap<TokenId, Used>>);

/// How a token was used.
#[derive(Debug, Clone, Copy)]
struct Used {
    /// SHA-256 of the certificate request it came with.
    request_sha256: [u8; 32],
    /// When the token has ended for good.
    until: Timestamp,
}

/// Why a token is not used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotUsed {
    /// It was, with another request.
    Before,
    /// As many are remembered as may be.
    Full,
}

impl UsedTokens {
    /// Uses a token that ends at `until` with a request; again with the same changes
    /// nothing.
    ///
    /// # Errors
    ///
    /// `Before` after another request, `Full` when no more are remembered.
    pub(crate) fn take(
        &self,
        token: TokenId,
        request_sha256: [u8; 32],
        until: Timestamp,
        now: Timestamp,
    ) -> Result<(), NotUsed> {
        let mut used = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(before) = used.get(&token) {
            return if before.request_sha256 == request_sha256 {
                Ok(())
            } else {
                Err(NotUsed::Before)
            };
        }
        if used.len() >= MAX_TOKENS {
            used.retain(|_, used| used.until >= now);
            if used.len() >= MAX_TOKENS {
                return Err(NotUsed::Full);
            }
        }
        used.insert(
            token,
            Used {
                request_sha256,
                until,
            },
        );
        Ok(())
    }

    /// Forgets a token that was not used after all.
    pub(crate) fn forget(&self, token: &TokenId) {
        let mut used = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        used.remove(token);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names a token by a number.
    fn token(number: usize) -> TokenId {
        let mut id = [0; 32];
        id[..8].copy_from_slice(&number.to_be_bytes());
        id
    }

    /// Returns a second.
    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_token_is_good_for_one_request_however_often_that_comes() {
        let used = UsedTokens::default();
        assert_eq!(used.take(token(1), [1; 32], at(10), at(0)), Ok(()));
        assert_eq!(used.take(token(1), [1; 32], at(10), at(1)), Ok(()));
        assert_eq!(
            used.take(token(1), [2; 32], at(10), at(1)),
            Err(NotUsed::Before)
        );
        assert_eq!(used.take(token(2), [2; 32], at(10), at(1)), Ok(()));
    }

    #[test]
    fn only_tokens_that_ended_are_forgotten() {
        let used = UsedTokens::default();
        for number in 0..MAX_TOKENS {
            let until = if number == 0 { at(5) } else { at(10) };
            assert_eq!(used.take(token(number), [1; 32], until, at(0)), Ok(()));
        }
        let one_more = token(MAX_TOKENS);
        assert_eq!(
            used.take(one_more, [1; 32], at(10), at(5)),
            Err(NotUsed::Full)
        );
        // The first ended; the others are remembered still.
        assert_eq!(used.take(one_more, [1; 32], at(10), at(6)), Ok(()));
        assert_eq!(
            used.take(token(1), [2; 32], at(10), at(6)),
            Err(NotUsed::Before)
        );
    }
}
