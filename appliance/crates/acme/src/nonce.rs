//! Nonces against replay (RFC 8555, 6.5): single use, expiring, nothing written.
//!
//! A nonce is a counter under a MAC, so that none has to be kept until it comes
//! back; what is kept is one bit for each of the last [`NonceLimits::window`]
//! nonces, whether it was used. Memory is bounded and allocated once.
//!
//! ```text
//! instance (8) ‖ seconds since 1970 (4) ‖ counter (8) ‖ HMAC-SHA-256, cut (16)
//! ```
//!
//! Several nodes: with one secret in their configurations, each takes the nonces
//! of all. A node keeps a window of its own for each instance whose nonces it
//! sees, so a nonce counts at most once *on each node*. The alternative, asking
//! the issuing node, would make every request depend on another machine; what a
//! replay on a second node could do is nothing that the request's signature, URL
//! and the order's state do not allow its signer anyway. Without a secret each
//! process draws its own and takes no others.
//!
//! A restart begins a new instance and refuses the nonces of the one before,
//! whose marks it no longer has: clients repeat with the fresh nonce that comes
//! with `badNonce`.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_lc_rs::{hmac, rand};
use model::Clock;

use crate::jws::base64url;

/// Bounds of nonces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NonceLimits {
    /// How long a nonce counts.
    pub lifetime: Duration,
    /// How many of an instance's newest nonces count; older ones are refused.
    pub window: u32,
    /// How many other instances' nonces count at a time.
    pub other_instances: usize,
}

impl Default for NonceLimits {
    /// An hour, the newest 4,194,304 (half a mebibyte), 16 other instances.
    fn default() -> Self {
        Self {
            lifetime: Duration::from_secs(3600),
            window: 1 << 22,
            other_instances: 16,
        }
    }
}

/// Why a nonce does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NonceRefused {
    /// Not one of ours.
    #[error("the nonce is not one that this server gave")]
    Unknown,
    /// Too old.
    #[error("the nonce is too old")]
    Expired,
    /// Used before.
    #[error("the nonce was used before")]
    Used,
}

/// The system gave no randomness.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the system gave no randomness for nonces")]
pub struct NoRandomness;

/// Octets of an instance's name.
const INSTANCE_LEN: usize = 8;

/// Octets before the MAC.
const BODY_LEN: usize = INSTANCE_LEN + 4 + 8;

/// Octets of the MAC.
const MAC_LEN: usize = 16;

/// Octets of a nonce.
const NONCE_LEN: usize = BODY_LEN + MAC_LEN;

/// How far another node's clock may run ahead, in seconds.
const SKEW: u32 = 300;

/// Names one process among those that share a secret.
type Instance = [u8; INSTANCE_LEN];

/// Gives nonces and takes each once.
pub struct Nonces {
    /// This process.
    instance: Instance,
    /// Authenticates nonces.
    key: hmac::Key,
    /// The bounds.
    limits: NonceLimits,
    /// Tells how old a nonce is.
    clock: Arc<dyn Clock>,
    /// What was used.
    windows: Mutex<Windows>,
}

/// What was used of which instance.
struct Windows {
    /// Of this process.
    own: Window,
    /// Of others.
    others: HashMap<Instance, Foreign>,
}

/// The window of another instance.
struct Foreign {
    /// What was used.
    window: Window,
    /// When its newest nonce was given, in seconds since 1970.
    newest: u32,
}

/// One bit for each of the newest counters.
struct Window {
    /// Whether a counter was used, at its place modulo the size.
    bits: Box<[u64]>,
    /// The first counter past the window.
    end: u64,
}

impl Window {
    /// Makes an empty window.
    fn new(size: u32) -> Self {
        Self {
            bits: vec![0; (size as usize).div_ceil(64).max(1)].into_boxed_slice(),
            end: 0,
        }
    }

    /// Returns how many counters it covers.
    fn size(&self) -> u64 {
        self.bits.len() as u64 * 64
    }

    /// Moves the end, forgetting what leaves the window.
    fn advance(&mut self, end: u64) {
        let size = self.size();
        if end.saturating_sub(self.end) >= size {
            self.bits.fill(0);
        } else {
            for counter in self.end..end {
                let (word, mask) = Self::place(size, counter);
                if let Some(word) = self.bits.get_mut(word) {
                    *word &= !mask;
                }
            }
        }
        self.end = self.end.max(end);
    }

    /// Marks a counter as used.
    fn mark(&mut self, counter: u64) -> Result<(), NonceRefused> {
        let size = self.size();
        if counter >= self.end {
            return Err(NonceRefused::Unknown);
        }
        if self.end - counter > size {
            return Err(NonceRefused::Expired);
        }
        let (word, mask) = Self::place(size, counter);
        match self.bits.get_mut(word) {
            Some(word) if *word & mask == 0 => {
                *word |= mask;
                Ok(())
            }
            Some(_) | None => Err(NonceRefused::Used),
        }
    }

    /// Finds a counter's bit.
    fn place(size: u64, counter: u64) -> (usize, u64) {
        let place = counter % size;
        ((place / 64) as usize, 1 << (place % 64))
    }
}

impl Nonces {
    /// Begins a new instance; nodes that are to take each other's nonces get the
    /// same secret.
    ///
    /// # Errors
    ///
    /// `NoRandomness`.
    pub fn new(
        secret: Option<&[u8; 32]>,
        limits: NonceLimits,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, NoRandomness> {
        let mut instance = [0; INSTANCE_LEN];
        rand::fill(&mut instance).map_err(|_| NoRandomness)?;
        let mut drawn = [0; 32];
        let secret = match secret {
            Some(secret) => secret,
            None => {
                rand::fill(&mut drawn).map_err(|_| NoRandomness)?;
                &drawn
            }
        };
        Ok(Self {
            instance,
            key: hmac::Key::new(hmac::HMAC_SHA256, secret),
            limits,
            clock,
            windows: Mutex::new(Windows {
                own: Window::new(limits.window),
                others: HashMap::new(),
            }),
        })
    }

    /// Gives a nonce.
    #[must_use]
    pub fn issue(&self) -> String {
        let counter = {
            let own = &mut self.lock().own;
            let counter = own.end;
            own.advance(counter + 1);
            counter
        };
        let mut nonce = [0; NONCE_LEN];
        let parts = self
            .instance
            .into_iter()
            .chain(self.now().to_be_bytes())
            .chain(counter.to_be_bytes());
        for (octet, part) in nonce.iter_mut().zip(parts) {
            *octet = part;
        }
        let (body, mac) = nonce.split_at_mut(BODY_LEN);
        mac.copy_from_slice(&self.mac(body));
        base64url::encode(&nonce)
    }

    /// Takes a nonce, once.
    ///
    /// Bytes are hostile: never panics, and remembers nothing of what is not one
    /// of ours.
    ///
    /// # Errors
    ///
    /// `Unknown`, `Expired` or `Used`.
    pub fn redeem(&self, nonce: &str) -> Result<(), NonceRefused> {
        let octets = base64url::decode(nonce.as_bytes()).map_err(|_| NonceRefused::Unknown)?;
        let octets: [u8; NONCE_LEN] = octets.try_into().map_err(|_| NonceRefused::Unknown)?;
        let (body, mac) = octets.split_at(BODY_LEN);
        aws_lc_rs::constant_time::verify_slices_are_equal(&self.mac(body), mac)
            .map_err(|_| NonceRefused::Unknown)?;
        let (instance, rest) = body.split_at(INSTANCE_LEN);
        let (issued, counter) = rest.split_at(4);
        let issued = u32::from_be_bytes(fixed(issued));
        let counter = u64::from_be_bytes(fixed(counter));
        let now = self.now();
        if u64::from(now.saturating_sub(issued)) > self.limits.lifetime.as_secs()
            || issued.saturating_sub(now) > SKEW
        {
            return Err(NonceRefused::Expired);
        }
        let instance: Instance = fixed(instance);
        let windows = &mut *self.lock();
        if instance == self.instance {
            return windows.own.mark(counter);
        }
        let foreign = self.foreign(&mut windows.others, instance, now)?;
        foreign.newest = foreign.newest.max(issued);
        // Its counters are known from its nonces alone.
        foreign.window.advance(counter.saturating_add(1));
        foreign.window.mark(counter)
    }

    /// Finds or begins the window of another instance.
    fn foreign<'w>(
        &self,
        others: &'w mut HashMap<Instance, Foreign>,
        instance: Instance,
        now: u32,
    ) -> Result<&'w mut Foreign, NonceRefused> {
        if !others.contains_key(&instance) {
            // Instances whose every nonce has expired need no window any more.
            let lifetime = self.limits.lifetime.as_secs();
            others.retain(|_, other| u64::from(now.saturating_sub(other.newest)) <= lifetime);
            if others.len() >= self.limits.other_instances {
                return Err(NonceRefused::Unknown);
            }
        }
        Ok(others.entry(instance).or_insert_with(|| Foreign {
            window: Window::new(self.limits.window),
            newest: 0,
        }))
    }

    /// Authenticates a nonce's body.
    fn mac(&self, body: &[u8]) -> [u8; MAC_LEN] {
        let tag = hmac::sign(&self.key, body);
        let mut mac = [0; MAC_LEN];
        for (octet, tagged) in mac.iter_mut().zip(tag.as_ref()) {
            *octet = *tagged;
        }
        mac
    }

    /// Returns the seconds since 1970.
    fn now(&self) -> u32 {
        u32::try_from(self.clock.now().as_second()).unwrap_or(0)
    }

    /// Locks the windows; a thread that panicked left at most a nonce marked.
    fn lock(&self) -> MutexGuard<'_, Windows> {
        self.windows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Copies a slice into an array of its length.
fn fixed<const N: usize>(slice: &[u8]) -> [u8; N] {
    let mut array = [0; N];
    for (octet, given) in array.iter_mut().zip(slice) {
        *octet = *given;
    }
    array
}

impl fmt::Debug for Nonces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Nonces")
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use model::{ManualClock, Timestamp};
    use proptest::prelude::*;

    use super::*;

    /// A secret that nodes share.
    const SECRET: [u8; 32] = [7; 32];

    /// A clock that stands still.
    fn clock() -> Arc<ManualClock> {
        Arc::new(ManualClock::at(
            Timestamp::from_second(1_800_000_000).unwrap(),
        ))
    }

    /// Nonces with a window of 128.
    fn nonces(clock: &Arc<ManualClock>) -> Nonces {
        let limits = NonceLimits {
            window: 128,
            other_instances: 2,
            ..NonceLimits::default()
        };
        Nonces::new(Some(&SECRET), limits, Arc::clone(clock) as _).unwrap()
    }

    #[test]
    fn a_nonce_counts_once_in_any_order() {
        let nonces = nonces(&clock());
        let given: Vec<_> = (0..100).map(|_| nonces.issue()).collect();
        for nonce in given.iter().rev() {
            assert_eq!(nonces.redeem(nonce), Ok(()));
        }
        for nonce in &given {
            assert_eq!(nonces.redeem(nonce), Err(NonceRefused::Used));
        }
    }

    #[test]
    fn a_nonce_expires_by_time_and_by_number() {
        let clock = clock();
        let nonces = nonces(&clock);
        let old = nonces.issue();
        clock.advance(3601);
        assert_eq!(nonces.redeem(&old), Err(NonceRefused::Expired));
        let first = nonces.issue();
        for _ in 0..128 {
            let _ = nonces.issue();
        }
        assert_eq!(nonces.redeem(&first), Err(NonceRefused::Expired));
        assert_eq!(nonces.redeem(&nonces.issue()), Ok(()));
    }

    #[test]
    fn nodes_with_one_secret_take_each_others_nonces_once() {
        let clock = clock();
        let (one, other) = (nonces(&clock), nonces(&clock));
        let (first, second) = (one.issue(), one.issue());
        assert_eq!(other.redeem(&second), Ok(()));
        assert_eq!(other.redeem(&first), Ok(()));
        assert_eq!(other.redeem(&first), Err(NonceRefused::Used));
        let stranger = Nonces::new(None, NonceLimits::default(), clock as _).unwrap();
        assert_eq!(stranger.redeem(&first), Err(NonceRefused::Unknown));
    }

    #[test]
    fn windows_of_other_instances_are_bounded_and_given_up_once_expired() {
        let clock = clock();
        let node = nonces(&clock);
        for _ in 0..2 {
            assert_eq!(node.redeem(&nonces(&clock).issue()), Ok(()));
        }
        assert_eq!(
            node.redeem(&nonces(&clock).issue()),
            Err(NonceRefused::Unknown)
        );
        clock.advance(3601);
        assert_eq!(node.redeem(&nonces(&clock).issue()), Ok(()));
    }

    #[test]
    fn a_changed_nonce_is_unknown() {
        let nonces = nonces(&clock());
        let nonce = base64url::decode(nonces.issue().as_bytes()).unwrap();
        for place in 0..nonce.len() {
            let mut changed = nonce.clone();
            changed[place] ^= 1;
            assert_eq!(
                nonces.redeem(&base64url::encode(&changed)),
                Err(NonceRefused::Unknown)
            );
        }
        assert_eq!(
            nonces.redeem(&base64url::encode(&nonce)),
            Ok(()),
            "none of them spent it"
        );
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC{0,80}") {
            prop_assert_eq!(nonces(&clock()).redeem(&text), Err(NonceRefused::Unknown));
        }
    }
}
