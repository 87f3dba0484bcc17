//! Tokens in another process, which can be killed, stopped and brought back.

use std::fs::{self, File};
use std::io;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError, mpsc};
use std::time::{Duration, Instant};

use crate::bare::{BareModule, first_file};
use crate::error::Error;
use crate::home::{Home, file_error};
use crate::token::Token;

/// How long a server is waited for.
const COMES_UP_WITHIN: Duration = Duration::from_secs(20);

/// A token behind `p11-kit server`. Dropped, the server is gone.
#[derive(Debug)]
pub struct P11Kit {
    /// The token served, which lives as long as its server.
    token: Token,
    /// The client module as installed, with the server's address.
    bare: BareModule,
    /// The client module to load.
    module: PathBuf,
    /// The server; none while it is killed.
    server: Mutex<Option<Child>>,
    /// The folder of the socket and the module.
    home: Home,
}

impl P11Kit {
    /// Serves a token by a process of its own.
    ///
    /// # Errors
    ///
    /// When p11-kit is not installed or its server does not come up.
    pub fn serve(token: &Token) -> Result<Self, Error> {
        let looked_at: Vec<PathBuf> = PLACES.iter().map(PathBuf::from).collect();
        let library = first_file(&looked_at).ok_or(Error::NoP11Kit { looked_at })?;
        let home = Home::new()?;
        let mut address = std::ffi::OsString::from("unix:path=");
        address.push(home.path().join("socket"));
        let bare = BareModule {
            library,
            environment: vec![("P11_KIT_SERVER_ADDRESS".to_owned(), address)],
        };
        let module = bare.copy_behind_front(home.path(), None)?;
        let served = Self {
            token: token.clone(),
            bare,
            module,
            server: Mutex::new(None),
            home,
        };
        served.restart()?;
        Ok(served)
    }

    /// Returns the client module to load, by any process.
    #[must_use]
    pub fn module(&self) -> &Path {
        &self.module
    }

    /// Returns the URI of the token behind this server.
    #[must_use]
    pub fn uri(&self) -> String {
        self.token.uri_through(&self.module)
    }

    /// Kills the server and every connection's process, and waits until they are gone.
    ///
    /// # Errors
    ///
    /// When the server cannot be waited for.
    pub fn kill(&self) -> Result<(), Error> {
        Self::kill_server(&mut self.server())
    }

    /// Stops the server and its connections: calls hang.
    ///
    /// # Errors
    ///
    /// When there is no server to stop.
    pub fn stop(&self) -> Result<(), Error> {
        self.signal(libc::SIGSTOP, "stop")
    }

    /// Lets a stopped server go on.
    ///
    /// # Errors
    ///
    /// When there is no server to go on.
    pub fn resume(&self) -> Result<(), Error> {
        self.signal(libc::SIGCONT, "resume")
    }

    /// Starts the server anew at the same address, killing the one before.
    ///
    /// # Errors
    ///
    /// When the server does not come up.
    pub fn restart(&self) -> Result<(), Error> {
        let mut server = self.server();
        Self::kill_server(&mut server)?;
        let socket = self.home.path().join("socket");
        match fs::remove_file(&socket) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                return Err(file_error("remove", &socket, source));
            }
            _ => {}
        }
        let log_path = self.home.path().join("server.log");
        let log =
            File::create(&log_path).map_err(|source| file_error("make", &log_path, source))?;
        let log_too = log
            .try_clone()
            .map_err(|source| file_error("share", &log_path, source))?;
        let mut command = Command::new("p11-kit");
        command
            .args(["server", "--foreground", "--provider"])
            .arg(self.token.module())
            .arg("--name")
            .arg(&socket)
            .arg(format!("pkcs11:token={}", self.token.label()))
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(log_too)
            .process_group(0);
        let child = spawn(command).map_err(|source| Error::Server {
            act: "start",
            source,
        })?;
        let child = server.insert(child);
        let started = Instant::now();
        while UnixStream::connect(&socket).is_err() {
            let ended = child.try_wait().is_ok_and(|status| status.is_some());
            if ended || started.elapsed() > COMES_UP_WITHIN {
                let said = fs::read_to_string(&log_path).unwrap_or_default();
                return Err(Error::ServerSilent {
                    waited_ms: started.elapsed().as_millis(),
                    said,
                });
            }
            std::thread::yield_now();
        }
        Ok(())
    }

    /// Locks the server.
    fn server(&self) -> MutexGuard<'_, Option<Child>> {
        self.server.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends a signal to the server and its connections.
    fn signal(&self, signal: libc::c_int, act: &'static str) -> Result<(), Error> {
        let server = self.server();
        let failed = |source| Error::Server { act, source };
        let child = server
            .as_ref()
            .ok_or_else(|| failed(io::ErrorKind::NotFound.into()))?;
        signal_group(child, signal).map_err(failed)
    }

    /// Kills a server and waits for its end.
    fn kill_server(server: &mut Option<Child>) -> Result<(), Error> {
        let Some(mut child) = server.take() else {
            return Ok(());
        };
        let failed = |source| Error::Server {
            act: "kill",
            source,
        };
        signal_group(&child, libc::SIGKILL).map_err(failed)?;
        child.wait().map_err(failed)?;
        Ok(())
    }
}

impl AsRef<BareModule> for P11Kit {
    fn as_ref(&self) -> &BareModule {
        &self.bare
    }
}

impl Drop for P11Kit {
    fn drop(&mut self) {
        // A server that cannot be killed is gone already.
        let _gone = self.kill();
    }
}

/// Sends a signal to the process group that a child leads.
fn signal_group(child: &Child, signal: libc::c_int) -> io::Result<()> {
    let group = libc::pid_t::try_from(child.id()).map_err(io::Error::other)?;
    // SAFETY: sends a signal to a group whose leader was not waited for, so that its
    // number is not another's.
    match unsafe { libc::killpg(group, signal) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Starts a process that the kernel kills when this process ends, however it ends.
///
/// The kernel means the *thread* that started it, so that one thread starts all and
/// never ends.
fn spawn(mut command: Command) -> io::Result<Child> {
    type Request = (Command, mpsc::Sender<io::Result<Child>>);
    /// The thread's inbox.
    static STARTER: OnceLock<mpsc::Sender<Request>> = OnceLock::new();
    let starter = STARTER.get_or_init(|| {
        let (sender, requests) = mpsc::channel::<Request>();
        std::thread::spawn(move || {
            for (mut command, answer) in requests {
                // Nobody waits any more if this fails.
                let _sent = answer.send(command.spawn());
            }
        });
        sender
    });
    // SAFETY: prctl is async-signal-safe and touches only the new process.
    unsafe {
        command.pre_exec(
            || match libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) {
                0 => Ok(()),
                _ => Err(io::Error::last_os_error()),
            },
        );
    }
    let (answer, answers) = mpsc::channel();
    starter.send((command, answer)).map_err(io::Error::other)?;
    answers.recv().map_err(io::Error::other)?
}

/// Where distributions put the client module.
const PLACES: [&str; 5] = [
    "/usr/lib/x86_64-linux-gnu/pkcs11/p11-kit-client.so",
    "/usr/lib/aarch64-linux-gnu/pkcs11/p11-kit-client.so",
    "/usr/lib64/pkcs11/p11-kit-client.so",
    "/usr/lib/pkcs11/p11-kit-client.so",
    "/usr/local/lib/pkcs11/p11-kit-client.so",
];
