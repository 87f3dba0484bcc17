//! Waiting for a word of shared memory to change.

use std::sync::atomic::AtomicU32;
use std::time::Duration;

/// Sleeps while the word holds the value seen, for at most the time given.
///
/// May return early; the caller looks again.
pub(crate) fn wait(word: &AtomicU32, seen: u32, at_most: Option<Duration>) {
    let limit = at_most.map(|time| libc::timespec {
        tv_sec: libc::time_t::try_from(time.as_secs()).unwrap_or(libc::time_t::MAX),
        tv_nsec: libc::c_long::from(time.subsec_nanos()),
    });
    let limit = limit.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: the word outlives the call, and so does the time limit. The shared
    // (not process-private) form of the call is used: the waker may be elsewhere.
    unsafe {
        libc::syscall(
            libc::SYS_futex,
            word.as_ptr(),
            libc::FUTEX_WAIT,
            seen,
            limit,
        );
    }
}

/// Wakes everyone who waits for the word to change.
pub(crate) fn wake_all(word: &AtomicU32) {
    // SAFETY: the word outlives the call, which only looks up who waits at its address.
    unsafe {
        libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAKE, i32::MAX);
    }
}
