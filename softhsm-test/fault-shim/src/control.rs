//! Faults and counters, in memory that the module and its controller share.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicI64, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use cryptoki_sys::CK_RV;

use crate::function::Function;
use crate::futex;
use crate::pace::Pace;

/// Marks a control file of this layout.
const MAGIC: u64 = 0x6368_616e_0000_0001;

/// The answer is replaced, nothing reaches the token.
const FAIL: u32 = 1;
/// The call is made, then its answer replaced.
const LOSE: u32 = 2;
/// The call waits until released.
const BLOCK: u32 = 4;

/// Fires at every call.
const ALWAYS: u32 = 0;
/// Fires when the countdown reaches its last call.
const NTH: u32 = 1;
/// Fires until the countdown ends.
const NEXT: u32 = 2;
/// Fires by chance.
const CHANCE: u32 = 3;

/// Everything that is shared. All zero but for the magic: nothing is set.
#[repr(C)]
struct Block {
    /// [`MAGIC`].
    magic: AtomicU64,
    /// How fast the token signs.
    pace: Pace,
    /// One cell for each function.
    cells: [Cell; Function::ALL.len()],
}

/// One function's counters and fault, on cache lines of its own.
#[repr(C, align(128))]
struct Cell {
    /// Calls made.
    calls: AtomicU64,
    /// Calls that the fault struck.
    struck: AtomicU64,
    /// Calls left of a countdown.
    remaining: AtomicI64,
    /// Delay of a call, nanoseconds.
    delay_ns: AtomicU64,
    /// The answer in place of the token's.
    answer: AtomicU64,
    /// State of the generator behind [`CHANCE`].
    seed: AtomicU64,
    /// 1 when the fields of the fault hold.
    armed: AtomicU32,
    /// [`FAIL`], [`LOSE`] and [`BLOCK`].
    actions: AtomicU32,
    /// [`ALWAYS`], [`NTH`], [`NEXT`] or [`CHANCE`].
    when: AtomicU32,
    /// Chance of a strike, in 2³² parts.
    chance: AtomicU32,
    /// Changes when blocked calls are to go on.
    gate: AtomicU32,
    /// Calls blocked now.
    blocked: AtomicU32,
}

/// Which calls a fault strikes, counted from when it is armed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum When {
    /// Every call.
    Always,
    /// Only the n-th call, from 1.
    Nth(u32),
    /// The next n calls.
    Next(u32),
    /// Each call with this probability, 0 to 1.
    Chance(f64),
}

/// What happens to the calls of one function.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fault {
    /// Which calls it strikes.
    when: When,
    /// Bits of [`FAIL`], [`LOSE`] and [`BLOCK`].
    actions: u32,
    /// The answer in place of the token's.
    answer: CK_RV,
    /// Time that passes before anything else.
    delay: Duration,
}

impl Fault {
    /// Makes a fault of the parts.
    const fn new(actions: u32, answer: CK_RV, delay: Duration) -> Self {
        Self {
            when: When::Always,
            actions,
            answer,
            delay,
        }
    }

    /// The call does nothing and answers this code.
    ///
    /// `C_Sign` and `C_SignFinal` still end the operation on the token, as the standard
    /// has it after any error (PKCS#11 v3.1, 5.13.2); the signature is thrown away.
    #[must_use]
    pub const fn fail(answer: CK_RV) -> Self {
        Self::new(FAIL, answer, Duration::ZERO)
    }

    /// The token does what it is asked; the caller is told this code.
    #[must_use]
    pub const fn lose_answer(answer: CK_RV) -> Self {
        Self::new(LOSE, answer, Duration::ZERO)
    }

    /// The call takes this much longer.
    #[must_use]
    pub const fn delay(delay: Duration) -> Self {
        Self::new(0, 0, delay)
    }

    /// The call hangs until it is released, then goes on to the token.
    #[must_use]
    pub const fn block() -> Self {
        Self::new(BLOCK, 0, Duration::ZERO)
    }

    /// Lets time pass before the fault.
    #[must_use]
    pub const fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// Strikes only some calls.
    #[must_use]
    pub const fn when(mut self, when: When) -> Self {
        self.when = when;
        self
    }
}

/// What the module does with a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It goes on to the token.
    Proceed,
    /// It is answered here.
    Fail(CK_RV),
    /// It goes on to the token, and is answered here all the same.
    Lose(CK_RV),
}

/// A control file, mapped: the controller's end and the module's.
#[derive(Debug)]
pub struct Control {
    /// The mapping, for as long as this lives.
    block: NonNull<Block>,
}

// SAFETY: the block holds only atomics.
unsafe impl Send for Control {}
// SAFETY: the block holds only atomics.
unsafe impl Sync for Control {}

impl Control {
    /// Makes a control file with nothing set.
    ///
    /// # Errors
    ///
    /// When the file exists or cannot be made or mapped.
    pub fn create(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .open(path)?;
        file.set_len(size_of::<Block>() as u64)?;
        let control = Self::map(&file)?;
        control.block().magic.store(MAGIC, Ordering::Release);
        Ok(control)
    }

    /// Maps a control file that [`Control::create`] made.
    ///
    /// # Errors
    ///
    /// When the file cannot be opened or mapped, or is none of ours.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        if file.metadata()?.len() != size_of::<Block>() as u64 {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let control = Self::map(&file)?;
        if control.block().magic.load(Ordering::Acquire) != MAGIC {
            return Err(io::ErrorKind::InvalidData.into());
        }
        Ok(control)
    }

    /// Maps a file as long as the block.
    fn map(file: &File) -> io::Result<Self> {
        // SAFETY: a new shared mapping of a file that is open; the kernel chooses the place.
        let address = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                size_of::<Block>(),
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                file.as_raw_fd(),
                0,
            )
        };
        if address == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        NonNull::new(address.cast())
            .map(|block| Self { block })
            .ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    /// Borrows the shared memory.
    fn block(&self) -> &Block {
        // SAFETY: the mapping is as long as the block, page-aligned, lives as long as
        // this does, and every bit pattern is a valid block of atomics.
        unsafe { self.block.as_ref() }
    }

    /// Borrows one function's cell.
    fn cell(&self, function: Function) -> &Cell {
        // A `Function` is smaller than the number of cells.
        &self.block().cells[function as usize]
    }

    /// Sets the fault of a function in place of the one before, whose blocked calls go on.
    pub fn arm(&self, function: Function, fault: Fault) {
        self.disarm(function);
        let cell = self.cell(function);
        let (when, remaining, chance) = match fault.when {
            When::Always => (ALWAYS, 0, 0.0),
            When::Nth(n) => (NTH, n, 0.0),
            When::Next(n) => (NEXT, n, 0.0),
            When::Chance(chance) => (CHANCE, 0, chance),
        };
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "clamped to what a u32 holds"
        )]
        let chance = (chance.clamp(0.0, 1.0) * f64::from(u32::MAX)) as u32;
        let delay_ns = u64::try_from(fault.delay.as_nanos()).unwrap_or(u64::MAX);
        cell.when.store(when, Ordering::Relaxed);
        cell.remaining
            .store(i64::from(remaining), Ordering::Relaxed);
        cell.chance.store(chance, Ordering::Relaxed);
        cell.actions.store(fault.actions, Ordering::Relaxed);
        cell.answer.store(fault.answer, Ordering::Relaxed);
        cell.delay_ns.store(delay_ns, Ordering::Relaxed);
        cell.armed.store(1, Ordering::Release);
    }

    /// Takes the fault of a function away; its blocked calls go on.
    pub fn disarm(&self, function: Function) {
        let cell = self.cell(function);
        cell.armed.store(0, Ordering::Release);
        cell.gate.fetch_add(1, Ordering::AcqRel);
        futex::wake_all(&cell.gate);
    }

    /// Returns how often a function was called since the file was made.
    #[must_use]
    pub fn calls(&self, function: Function) -> u64 {
        self.cell(function).calls.load(Ordering::Relaxed)
    }

    /// Returns how many calls of a function a fault has struck.
    #[must_use]
    pub fn struck(&self, function: Function) -> u64 {
        self.cell(function).struck.load(Ordering::Relaxed)
    }

    /// Returns how many calls of a function are blocked now.
    #[must_use]
    pub fn blocked(&self, function: Function) -> u32 {
        self.cell(function).blocked.load(Ordering::Acquire)
    }

    /// Waits until so many calls of a function are blocked; false when time ran out.
    #[must_use]
    pub fn wait_blocked(&self, function: Function, at_least: u32, at_most: Duration) -> bool {
        let until = Instant::now() + at_most;
        loop {
            let blocked = self.blocked(function);
            if blocked >= at_least {
                return true;
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            futex::wait(&self.cell(function).blocked, blocked, Some(left));
        }
    }

    /// Sets the time that a signature takes and the token's lanes; 0 lanes give every
    /// calling thread its own. A time of zero means full speed.
    pub fn set_pace(&self, period: Duration, lanes: usize) {
        let period_ns = u64::try_from(period.as_nanos()).unwrap_or(u64::MAX);
        self.block().pace.set(period_ns, lanes);
    }

    /// Returns the token's clockwork.
    pub(crate) fn pace(&self) -> &Pace {
        &self.block().pace
    }

    /// Counts a call and lets its fault strike: delays, blocks, and says what to do.
    pub(crate) fn enter(&self, function: Function) -> Verdict {
        let cell = self.cell(function);
        cell.calls.fetch_add(1, Ordering::Relaxed);
        if cell.armed.load(Ordering::Relaxed) == 0 {
            return Verdict::Proceed;
        }
        cell.strike()
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        // SAFETY: the mapping was made with this length, and nothing borrows it any more.
        unsafe { libc::munmap(self.block.as_ptr().cast(), size_of::<Block>()) };
    }
}

impl Cell {
    /// Lets the fault strike this call, if it is one of those it is for.
    fn strike(&self) -> Verdict {
        // The gate is read before the fault is found armed: a release after that changes it.
        let gate = self.gate.load(Ordering::Acquire);
        if self.armed.load(Ordering::Acquire) == 0 || !self.is_struck() {
            return Verdict::Proceed;
        }
        self.struck.fetch_add(1, Ordering::Relaxed);
        let actions = self.actions.load(Ordering::Relaxed);
        let answer = self.answer.load(Ordering::Relaxed);
        let delay = Duration::from_nanos(self.delay_ns.load(Ordering::Relaxed));
        if !delay.is_zero() {
            self.pause(gate, Some(delay));
        }
        if actions & BLOCK != 0 {
            self.pause(gate, None);
        }
        if actions & FAIL != 0 {
            Verdict::Fail(answer)
        } else if actions & LOSE != 0 {
            Verdict::Lose(answer)
        } else {
            Verdict::Proceed
        }
    }

    /// Decides whether this call is one that the fault is for.
    fn is_struck(&self) -> bool {
        match self.when.load(Ordering::Relaxed) {
            NTH => self.remaining.fetch_sub(1, Ordering::AcqRel) == 1,
            NEXT => self.remaining.fetch_sub(1, Ordering::AcqRel) >= 1,
            CHANCE => {
                // SplitMix64 over a shared counter: spread well enough, never the same twice.
                let step = 0x9e37_79b9_7f4a_7c15;
                let mut bits = self
                    .seed
                    .fetch_add(step, Ordering::Relaxed)
                    .wrapping_add(step);
                bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
                (bits >> 32) < u64::from(self.chance.load(Ordering::Relaxed))
            }
            _ => true,
        }
    }

    /// Waits until the gate changes, or for the time given.
    fn pause(&self, gate: u32, at_most: Option<Duration>) {
        let until = at_most.map(|time| Instant::now() + time);
        if until.is_none() {
            self.blocked.fetch_add(1, Ordering::AcqRel);
            futex::wake_all(&self.blocked);
        }
        while self.gate.load(Ordering::Acquire) == gate {
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                break;
            }
            futex::wait(&self.gate, gate, left);
        }
        if until.is_none() {
            self.blocked.fetch_sub(1, Ordering::AcqRel);
            futex::wake_all(&self.blocked);
        }
    }
}
