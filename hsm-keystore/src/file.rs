//! Keys in a directory of PEM files, for development and for keys that may be files.
//!
//! `<id>-key.pem` holds PKCS#8 with mode 0600, `<id>-cert.pem` the certificate
//! with mode 0644. A key file that others can read, or that another user owns,
//! is refused. Every write is whole and on disk before it is seen.

mod durable;

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use x509_cert::Certificate;
use x509_cert::der::Encode;
use x509_cert::der::pem::{self, LineEnding};
use zeroize::Zeroizing;

use crate::certificate::CertificateFacts;
use crate::error::{Error, KeyFault, Unavailable};
use crate::pending::PendingSignature;
use crate::queue::Queue;
use crate::sign::SignJob;
use crate::software::SoftwareKey;
use crate::verify::Verifier;
use crate::{Entry, KeyAlgorithm, KeyId, KeyStore, KeyStoreMetrics, PrivateKey, Provenance};

/// Most octets of a file that is read.
const MOST_OCTETS: u64 = 64 * 1024;

/// Signatures of each priority that may wait.
const CAPACITY: usize = 1024;

/// A software signature that takes longer than this is a machine in trouble.
const LIMIT: Duration = Duration::from_secs(30);

/// A directory's keys and certificates.
#[derive(Debug)]
pub struct FileStore {
    /// The directory.
    directory: PathBuf,
    /// The threads that sign.
    lanes: Arc<Lanes>,
}

impl FileStore {
    /// Opens the directory, making it with mode 0700 where it is not there.
    ///
    /// # Errors
    ///
    /// `File` when it cannot be made or read, `Exposed` when others can write
    /// to it, `ForeignOwner` when it is another user's.
    pub fn open(directory: &Path, metrics: KeyStoreMetrics) -> Result<Self, Error> {
        if !directory.exists() {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(directory)
                .map_err(file_error("create", directory))?;
        }
        let about = fs::metadata(directory).map_err(file_error("read", directory))?;
        check_owner(directory, about.uid())?;
        let mode = about.mode() & 0o7777;
        if mode & 0o022 != 0 {
            return Err(Error::Exposed {
                path: directory.to_owned(),
                mode,
                wanted: 0o700,
            });
        }
        durable::clear_leftovers(directory)?;
        Ok(Self {
            directory: directory.to_owned(),
            lanes: Lanes::start(metrics)?,
        })
    }

    /// Returns where a key is kept.
    fn key_path(&self, id: &KeyId) -> PathBuf {
        self.directory.join(format!("{id}-key.pem"))
    }

    /// Returns where a certificate is kept.
    fn certificate_path(&self, id: &KeyId) -> PathBuf {
        self.directory.join(format!("{id}-cert.pem"))
    }

    /// Reads a key's file.
    fn read_key(&self, id: &KeyId) -> Result<SoftwareKey, Error> {
        let path = self.key_path(id);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(Error::NoKey { id: id.clone() });
            }
            Err(error) => return Err(file_error("read", &path)(error)),
        };
        // The open file is asked, not the path: nothing can be put in between.
        let about = file.metadata().map_err(file_error("read", &path))?;
        check_owner(&path, about.uid())?;
        let mode = about.mode() & 0o7777;
        if mode & 0o077 != 0 {
            return Err(Error::Exposed {
                path,
                mode,
                wanted: 0o600,
            });
        }
        let size = usize::try_from(about.len().min(MOST_OCTETS)).unwrap_or_default();
        // Room for all of it at once: a growing buffer would leave copies behind.
        let mut text = Zeroizing::new(Vec::with_capacity(size + 1));
        file.take(MOST_OCTETS)
            .read_to_end(&mut text)
            .map_err(file_error("read", &path))?;
        let not_pem = |_| Error::MalformedKey {
            fault: KeyFault::NotPem,
        };
        let (label, pkcs8_der) = pem::decode_vec(&text).map_err(not_pem)?;
        let pkcs8_der = Zeroizing::new(pkcs8_der);
        if label != "PRIVATE KEY" {
            return Err(Error::MalformedKey {
                fault: KeyFault::NotPem,
            });
        }
        SoftwareKey::from_pkcs8(&pkcs8_der)
    }

    /// Makes a handle of a key in memory.
    fn handle(&self, id: &KeyId, key: SoftwareKey) -> Arc<dyn PrivateKey> {
        let spki_der = key.spki_der().to_vec();
        Arc::new(FileKey {
            verifier: Arc::new(Verifier::new(id.clone(), key.algorithm(), spki_der)),
            key: Arc::new(key),
            lanes: Arc::clone(&self.lanes),
        })
    }
}

impl KeyStore for FileStore {
    fn get_private_key(&self, id: &KeyId) -> Result<Arc<dyn PrivateKey>, Error> {
        Ok(self.handle(id, self.read_key(id)?))
    }

    fn import_private_key(
        &self,
        id: &KeyId,
        pkcs8_der: Zeroizing<Vec<u8>>,
    ) -> Result<Arc<dyn PrivateKey>, Error> {
        let key = SoftwareKey::from_pkcs8(&pkcs8_der)?;
        let text = pem::encode_string("PRIVATE KEY", LineEnding::LF, &pkcs8_der).map_err(|_| {
            Error::MalformedKey {
                fault: KeyFault::NotPem,
            }
        })?;
        let text = Zeroizing::new(text);
        let path = self.key_path(id);
        match durable::create(&path, text.as_bytes(), 0o600) {
            Ok(()) => Ok(self.handle(id, key)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                Err(Error::KeyExists { id: id.clone() })
            }
            Err(error) => Err(file_error("write", &path)(error)),
        }
    }

    fn generate_private_key(
        &self,
        id: &KeyId,
        algorithm: KeyAlgorithm,
    ) -> Result<Arc<dyn PrivateKey>, Error> {
        if self.key_path(id).exists() {
            return Err(Error::KeyExists { id: id.clone() });
        }
        self.import_private_key(id, SoftwareKey::generate(algorithm)?)
    }

    fn get_certificate(&self, id: &KeyId) -> Result<Vec<u8>, Error> {
        let path = self.certificate_path(id);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(Error::NoCertificate { id: id.clone() });
            }
            Err(error) => return Err(file_error("read", &path)(error)),
        };
        let mut text = Vec::new();
        file.take(MOST_OCTETS)
            .read_to_end(&mut text)
            .map_err(file_error("read", &path))?;
        Certificate::load_pem_chain(&text)
            .ok()
            .and_then(|chain| chain.first()?.to_der().ok())
            .ok_or(Error::MalformedCertificate)
    }

    fn import_certificate(&self, id: &KeyId, certificate_der: &[u8]) -> Result<(), Error> {
        let facts = CertificateFacts::read(certificate_der)?;
        match self.read_key(id) {
            Ok(key) if key.spki_der() != facts.spki_der => {
                return Err(Error::KeyMismatch { id: id.clone() });
            }
            Ok(_) | Err(Error::NoKey { .. }) => {}
            Err(error) => return Err(error),
        }
        let text = pem::encode_string("CERTIFICATE", LineEnding::LF, certificate_der)
            .map_err(|_| Error::MalformedCertificate)?;
        let path = self.certificate_path(id);
        durable::replace(&path, text.as_bytes(), 0o644).map_err(file_error("write", &path))
    }

    fn list(&self) -> Result<Vec<Entry>, Error> {
        let failed = file_error("list", &self.directory);
        let mut entries: Vec<Entry> = Vec::new();
        for file in fs::read_dir(&self.directory).map_err(&failed)? {
            let name = file.map_err(&failed)?.file_name();
            let Some(name) = name.to_str() else { continue };
            let Some(stem) = name
                .strip_suffix("-key.pem")
                .or_else(|| name.strip_suffix("-cert.pem"))
            else {
                continue;
            };
            let Ok(id) = KeyId::new(stem) else { continue };
            if entries.iter().any(|entry| entry.id == id) {
                continue;
            }
            entries.push(Entry {
                key: self.read_key(&id).ok().map(|key| key.algorithm()),
                has_certificate: self.certificate_path(&id).exists(),
                id,
            });
        }
        entries.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(entries)
    }

    fn fill_random(&self, bytes: &mut [u8]) -> Result<(), Error> {
        aws_lc_rs::rand::fill(bytes).map_err(|_| {
            Unavailable::ModuleFailed {
                reason: "the operating system gives no random bytes".into(),
            }
            .into()
        })
    }

    fn ready(&self) -> Result<(), Unavailable> {
        self.lanes.queue.ready()
    }

    fn describe(&self) -> String {
        format!("key files in {}", self.directory.display())
    }
}

/// A file's key as a handle.
#[derive(Debug)]
struct FileKey {
    /// The key in memory.
    key: Arc<SoftwareKey>,
    /// Its public half.
    verifier: Arc<Verifier>,
    /// The threads that sign.
    lanes: Arc<Lanes>,
}

impl PrivateKey for FileKey {
    fn id(&self) -> &KeyId {
        self.verifier.id()
    }

    fn algorithm(&self) -> KeyAlgorithm {
        self.verifier.algorithm()
    }

    fn public_key_der(&self) -> &[u8] {
        self.verifier.spki_der()
    }

    fn sign(&self, job: SignJob) -> PendingSignature {
        self.lanes.queue.ask(&self.key, &self.verifier, job)
    }

    fn provenance(&self) -> Provenance {
        Provenance {
            on_token: false,
            generated_locally: false,
            always_sensitive: false,
            never_extractable: false,
        }
    }
}

/// The threads that sign, as long as the store or a handle lives.
#[derive(Debug)]
struct Lanes {
    /// What they take tickets from.
    queue: Arc<Queue<SoftwareKey>>,
    /// The threads.
    threads: Vec<JoinHandle<()>>,
}

impl Lanes {
    /// Starts one for each processor, and the watchdog.
    fn start(metrics: KeyStoreMetrics) -> Result<Arc<Self>, Error> {
        let count = thread::available_parallelism().map_or(1, usize::from);
        let mut lanes = Self {
            queue: Arc::new(Queue::new(CAPACITY, count, metrics)),
            threads: Vec::with_capacity(count + 1),
        };
        let watched = Arc::clone(&lanes.queue);
        lanes.spawn("keys-watch".into(), move || watched.watch())?;
        for lane in 0..count {
            let queue = Arc::clone(&lanes.queue);
            lanes.spawn(format!("keys-{lane}"), move || {
                while let Some(ticket) = queue.next(lane, LIMIT) {
                    let outcome = ticket.key.sign(&ticket.job).ok_or(Error::SchemeMismatch {
                        algorithm: ticket.key.algorithm(),
                        scheme: ticket.job.scheme(),
                    });
                    ticket.settle(outcome);
                }
            })?;
        }
        lanes.queue.admit();
        Ok(Arc::new(lanes))
    }

    /// Starts a thread.
    fn spawn(&mut self, name: String, body: impl FnOnce() + Send + 'static) -> Result<(), Error> {
        let thread = thread::Builder::new().name(name).spawn(body);
        let thread = thread.map_err(|error| Unavailable::ModuleFailed {
            reason: format!("no thread can be started: {error}").into(),
        })?;
        self.threads.push(thread);
        Ok(())
    }
}

impl Drop for Lanes {
    fn drop(&mut self) {
        self.queue.stop();
        for thread in self.threads.drain(..) {
            // A lane that panicked has nothing more to say here.
            let _ = thread.join();
        }
    }
}

/// Makes an error of a failed file operation.
fn file_error<'a>(action: &'static str, path: &'a Path) -> impl Fn(io::Error) -> Error + 'a {
    move |source| Error::File {
        action,
        path: path.to_owned(),
        source: Arc::new(source),
    }
}

/// Checks that a file belongs to the user that this process is.
fn check_owner(path: &Path, owner: u32) -> Result<(), Error> {
    let runs_as = rustix::process::geteuid().as_raw();
    if owner == runs_as {
        return Ok(());
    }
    Err(Error::ForeignOwner {
        path: path.to_owned(),
        owner,
        runs_as,
    })
}

#[cfg(test)]
mod tests;
