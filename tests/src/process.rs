//! Programs run to their end, and services that run beside a test.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, OnceLock, mpsc};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, set_parent_process_death_signal};

use crate::deadline::{PATIENCE, until};
use crate::error::Error;
use crate::log::Log;

/// Runs a program to its end and returns what it wrote, however it ended.
///
/// # Errors
///
/// `Program` when it cannot be started.
pub fn output_of(command: &mut Command) -> Result<Output, Error> {
    command
        .stdin(Stdio::null())
        .output()
        .map_err(|source| Error::Program {
            command: words(command),
            source,
        })
}

/// Runs a program that is to succeed and returns what it wrote to its output.
///
/// # Errors
///
/// `Program` when it cannot be started, `Failed` with what it said.
pub fn run(command: &mut Command) -> Result<String, Error> {
    let output = output_of(command)?;
    let written = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(written);
    }
    Err(Error::Failed {
        command: words(command),
        status: output.status,
        said: format!("{written}{}", String::from_utf8_lossy(&output.stderr)),
    })
}

/// Runs a program that answers by its status, 0 for yes and 1 for no, and returns the
/// answer with what it wrote.
///
/// # Errors
///
/// `Program` when it cannot be started, `Failed` with what it said when it ends otherwise.
pub(crate) fn answer_of(command: &mut Command) -> Result<(bool, String), Error> {
    let output = output_of(command)?;
    let words_of = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
    let said = words_of(&output.stdout) + &words_of(&output.stderr);
    match output.status.code() {
        Some(0) => Ok((true, said)),
        Some(1) => Ok((false, said)),
        Some(_) | None => Err(Error::Failed {
            command: words(command),
            status: output.status,
            said,
        }),
    }
}

/// Returns the command line, for messages.
fn words(command: &Command) -> String {
    std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| word.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}

/// A process beside the test. Dropped, it is killed; it never outlives the test's process.
#[derive(Debug)]
pub struct Service {
    /// The process.
    child: Child,
    /// What it wrote.
    log: Arc<Log>,
    /// How it ended, once it has been waited for.
    ended: Option<ExitStatus>,
}

impl Service {
    /// Starts a program and follows what it writes.
    ///
    /// # Errors
    ///
    /// `Program` when it cannot be started.
    pub fn spawn(mut command: Command) -> Result<Self, Error> {
        let line = words(&command);
        let failed = |source| Error::Program {
            command: line.clone(),
            source,
        };
        let (reader, writer) = io::pipe().map_err(failed)?;
        let failed = |source| Error::Program {
            command: line.clone(),
            source,
        };
        command
            .stdin(Stdio::null())
            .stdout(writer.try_clone().map_err(failed)?)
            .stderr(writer);
        let failed = |source| Error::Program {
            command: line.clone(),
            source,
        };
        let child = start(command).map_err(failed)?;
        Ok(Self {
            child,
            log: Log::follow(reader),
            ended: None,
        })
    }

    /// Starts a program that writes to where the command says.
    ///
    /// # Errors
    ///
    /// `Program` when it cannot be started.
    pub fn spawn_unfollowed(command: Command) -> Result<Self, Error> {
        let line = words(&command);
        let child = start(command).map_err(|source| Error::Program {
            command: line,
            source,
        })?;
        Ok(Self {
            child,
            log: Log::follow(io::empty()),
            ended: None,
        })
    }

    /// Returns the process's number.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Returns what it wrote.
    #[must_use]
    pub fn log(&self) -> &Arc<Log> {
        &self.log
    }

    /// Tells how it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait().ok().flatten();
        }
        self.ended
    }

    /// Sends a signal.
    ///
    /// # Errors
    ///
    /// `Connection` when the process is gone.
    pub fn signal(&self, signal: Signal) -> Result<(), Error> {
        i32::try_from(self.child.id())
            .ok()
            .and_then(Pid::from_raw)
            .ok_or_else(|| io::ErrorKind::NotFound.into())
            .and_then(|pid| kill_process(pid, signal).map_err(io::Error::from))
            .map_err(Error::connection("signal the service"))
    }

    /// Kills it as a power cut would, and waits until it is gone.
    pub fn kill9(&mut self) {
        if self.ended().is_none() {
            // It may end by itself in between.
            let _gone = self.child.kill();
            self.ended = self.child.wait().ok();
        }
    }

    /// Asks it to end, and waits until it has.
    ///
    /// # Errors
    ///
    /// `Late` when it does not end.
    pub fn terminate(&mut self) -> Result<ExitStatus, Error> {
        if self.ended().is_none() {
            self.signal(Signal::TERM)?;
        }
        self.wait(PATIENCE)
    }

    /// Waits until it ends by itself.
    ///
    /// # Errors
    ///
    /// `Late` when it does not end.
    pub fn wait(&mut self, at_most: Duration) -> Result<ExitStatus, Error> {
        let log = Arc::clone(&self.log);
        until("the service ends", at_most, || {
            self.ended().ok_or_else(|| log.tail())
        })
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.kill9();
    }
}

/// Starts a process that the kernel kills when the test's process ends.
///
/// The kernel takes the end of the *thread* that started a process for its parent's end,
/// so one thread that never ends starts all of them.
fn start(mut command: Command) -> io::Result<Child> {
    type Order = (Command, mpsc::Sender<io::Result<Child>>);
    /// The thread's inbox.
    static STARTER: OnceLock<mpsc::Sender<Order>> = OnceLock::new();
    let starter = STARTER.get_or_init(|| {
        let (sender, orders) = mpsc::channel::<Order>();
        std::thread::spawn(move || {
            for (mut command, answer) in orders {
                // Nobody waits any more if this fails.
                let _sent = answer.send(command.spawn());
            }
        });
        sender
    });
    // SAFETY: the closure makes one system call, which is async-signal-safe, and touches
    // only the new process.
    unsafe {
        command.pre_exec(|| {
            set_parent_process_death_signal(Some(Signal::KILL)).map_err(io::Error::from)
        });
    }
    let (answer, answers) = mpsc::channel();
    starter.send((command, answer)).map_err(io::Error::other)?;
    answers.recv().map_err(io::Error::other)?
}
