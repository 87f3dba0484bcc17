//! The pace of a slow token: each signature holds a lane for a fixed time.
//!
//! Deadlines are absolute and follow from one another, so that a late wake-up of ours
//! costs the token nothing and the rate is exact. Time that the *caller* lets pass
//! between two signatures is lost, as it is on a real device.

use std::cell::Cell;
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Most lanes a token can be given.
pub(crate) const MOST_LANES: usize = 64;

/// A slow token's clockwork, in shared memory. All zero: full speed.
#[repr(C, align(128))]
pub(crate) struct Pace {
    /// Nanoseconds a signature takes; 0 for full speed.
    period_ns: AtomicU64,
    /// Lanes of the token; 0 gives every calling thread its own.
    lanes: AtomicU32,
    /// When each lane is free again, nanoseconds of the monotonic clock.
    free_at_ns: [AtomicU64; MOST_LANES],
}

thread_local! {
    /// When this thread's own lane is free again.
    static OWN_FREE_AT_NS: Cell<u64> = const { Cell::new(0) };
    /// How late the last sleep of this thread ended.
    static LATE_NS: Cell<u64> = const { Cell::new(0) };
}

impl Pace {
    /// Sets the pace: nanoseconds a signature takes, and lanes (0: one a thread).
    pub(crate) fn set(&self, period_ns: u64, lanes: usize) {
        let lanes = u32::try_from(lanes.min(MOST_LANES)).unwrap_or(0);
        self.lanes.store(lanes, Ordering::Relaxed);
        for lane in &self.free_at_ns {
            lane.store(0, Ordering::Relaxed);
        }
        self.period_ns.store(period_ns, Ordering::Release);
    }

    /// Takes a lane for one signature; answers when it must end, none at full speed.
    pub(crate) fn take_lane(&self) -> Option<u64> {
        let period_ns = self.period_ns.load(Ordering::Acquire);
        if period_ns == 0 {
            return None;
        }
        // The caller could have been here earlier by as much as we woke it too late.
        let arrived_ns = now_ns().saturating_sub(LATE_NS.replace(0));
        let lanes = usize::try_from(self.lanes.load(Ordering::Relaxed)).unwrap_or(0);
        let Some(lanes) = self
            .free_at_ns
            .get(..lanes)
            .filter(|lanes| !lanes.is_empty())
        else {
            let ends_ns = OWN_FREE_AT_NS.get().max(arrived_ns) + period_ns;
            OWN_FREE_AT_NS.set(ends_ns);
            return Some(ends_ns);
        };
        loop {
            let soonest = lanes
                .iter()
                .map(|lane| (lane.load(Ordering::Acquire), lane))
                .min_by_key(|(free_at_ns, _)| *free_at_ns)?;
            let (free_at_ns, lane) = soonest;
            let ends_ns = free_at_ns.max(arrived_ns) + period_ns;
            let taken =
                lane.compare_exchange(free_at_ns, ends_ns, Ordering::AcqRel, Ordering::Relaxed);
            if taken.is_ok() {
                return Some(ends_ns);
            }
        }
    }
}

/// Sleeps until the monotonic clock shows the time, and notes how late it woke.
pub(crate) fn sleep_until(ends_ns: u64) {
    let until = libc::timespec {
        tv_sec: libc::time_t::try_from(ends_ns / 1_000_000_000).unwrap_or(libc::time_t::MAX),
        tv_nsec: libc::c_long::try_from(ends_ns % 1_000_000_000).unwrap_or(0),
    };
    // The kernel may round a sleep up by the thread's slack, 50 µs unless told.
    // SAFETY: prctl reads and sets a number of the calling thread.
    let slack = unsafe { libc::prctl(libc::PR_GET_TIMERSLACK) };
    // SAFETY: as above.
    unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1_u64) };
    // SAFETY: the time is a valid timespec that outlives the call; no remainder is
    // asked for, which an absolute sleep has none of.
    while unsafe {
        libc::clock_nanosleep(
            libc::CLOCK_MONOTONIC,
            libc::TIMER_ABSTIME,
            &raw const until,
            std::ptr::null_mut(),
        )
    } == libc::EINTR
    {}
    // SAFETY: as above.
    unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, i64::from(slack)) };
    LATE_NS.set(now_ns().saturating_sub(ends_ns));
}

/// Reads the monotonic clock.
fn now_ns() -> u64 {
    let mut now = MaybeUninit::<libc::timespec>::zeroed();
    // SAFETY: the argument points to memory for one timespec; zero is a valid one.
    let now = unsafe {
        libc::clock_gettime(libc::CLOCK_MONOTONIC, now.as_mut_ptr());
        now.assume_init()
    };
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    seconds * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap_or(0)
}
