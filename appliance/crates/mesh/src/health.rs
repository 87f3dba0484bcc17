//! Named checks behind `/healthz` and `/readyz`.
//!
//! A part registers a check once; each request asks all of them anew, so a
//! check must answer at once from what the part already knows.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use serde::Serialize;

/// Answers whether a part serves, and if not, why not.
type Check = Box<dyn Fn() -> Result<(), String> + Send + Sync>;

/// The checks of one process, shared by all its listeners.
#[derive(Clone, Default)]
pub struct Health {
    /// By name, in the order of registration.
    checks: Arc<RwLock<Vec<(String, Check)>>>,
}

/// What `/readyz` answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Readiness {
    /// Whether every check passed.
    pub ready: bool,
    /// Each check, in the order of registration.
    pub checks: Vec<CheckResult>,
}

/// One check and its answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CheckResult {
    /// The part's name.
    pub name: String,
    /// Whether it serves.
    pub ready: bool,
    /// Why it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl Health {
    /// Begins without checks: ready.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a check; one of the same name is replaced.
    ///
    /// The reason it gives is shown to anyone who can reach `/readyz`: it names
    /// what is wrong and no secret.
    pub fn register(
        &self,
        name: &str,
        check: impl Fn() -> Result<(), String> + Send + Sync + 'static,
    ) {
        // A check that panicked elsewhere leaves the list itself whole.
        let mut checks = self.checks.write().unwrap_or_else(PoisonError::into_inner);
        checks.retain(|(existing, _)| existing != name);
        checks.push((name.to_owned(), Box::new(check)));
    }

    /// Asks every check.
    #[must_use]
    pub fn readiness(&self) -> Readiness {
        let checks = self.checks.read().unwrap_or_else(PoisonError::into_inner);
        let checks: Vec<_> = checks
            .iter()
            .map(|(name, check)| {
                let reason = check().err();
                CheckResult {
                    name: name.clone(),
                    ready: reason.is_none(),
                    reason,
                }
            })
            .collect();
        Readiness {
            ready: checks.iter().all(|check| check.ready),
            checks,
        }
    }
}

impl fmt::Debug for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Health").field(&self.readiness()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[test]
    fn one_failing_check_makes_all_unready_until_it_recovers() {
        let health = Health::new();
        let away = Arc::new(AtomicBool::new(true));
        health.register("store", || Ok(()));
        let token = Arc::clone(&away);
        health.register("token", move || {
            if token.load(Ordering::Relaxed) {
                Err("the token is away".to_owned())
            } else {
                Ok(())
            }
        });
        let readiness = health.readiness();
        assert!(!readiness.ready);
        assert_eq!(
            readiness.checks[1].reason.as_deref(),
            Some("the token is away")
        );
        away.store(false, Ordering::Relaxed);
        assert!(health.readiness().ready);
    }

    #[test]
    fn a_check_registered_again_takes_the_place_of_the_first() {
        let health = Health::new();
        health.register("token", || Err("old".to_owned()));
        health.register("token", || Ok(()));
        assert_eq!(health.readiness().checks.len(), 1);
        assert!(health.readiness().ready);
    }
}
