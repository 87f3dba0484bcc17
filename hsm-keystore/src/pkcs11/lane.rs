//! A lane: a thread that owns one session and signs with it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use cryptoki::object::ObjectHandle;
use cryptoki::session::{Session, UserType};

use super::fault::{Fault, Remedy, Trouble};
use super::link::{Link, Shared};
use super::mechanism::{self, Request};
use super::objects::{self, KeyReference};
use crate::error::{Error, Unavailable};
use crate::queue::Ticket;
use crate::sign::SignJob;

/// How long a lane without a session waits before it asks for one again.
const STARVED: Duration = Duration::from_secs(2);

/// Most times that lanes try one signature.
const MOST_FAILURES: u8 = 2;

/// Serves until it is over.
pub(super) fn run(shared: &Arc<Shared>, lane: usize) {
    while let Some(link) = shared.wait_link() {
        match LaneSession::open(shared, lane, link) {
            Ok(mut session) => {
                shared.session_opened();
                session.serve(shared, lane);
                shared.session_closed();
                shared.module.close(session.session, link.module_generation);
            }
            Err(fault) if fault.remedy == Remedy::Wait => {
                // Another lane may have got one: then this one stays away, and the
                // pool is as small as the token wants it.
                if !shared.has_session() {
                    shared.queue.refuse(&Unavailable::NoSession {
                        failure: fault.failure,
                    });
                }
                shared.wait_change(link.generation, STARVED);
            }
            Err(fault) => {
                shared.report(link.generation, fault);
            }
        }
    }
}

/// A session and the handles found with it.
struct LaneSession {
    /// The session.
    session: Session,
    /// The connection it belongs to.
    link: Link,
    /// Handles by `CKA_ID`; good as long as the session.
    handles: HashMap<Box<[u8]>, ObjectHandle>,
}

impl LaneSession {
    /// Opens a session.
    fn open(shared: &Shared, lane: usize, link: Link) -> Result<Self, Fault> {
        let _call = shared.queue.begin_call(lane, shared.settings.call_timeout);
        let inside = shared.module.enter();
        if inside.generation != link.module_generation {
            return Err(Fault::stale());
        }
        let session = inside
            .context
            .open_ro_session_no_drop(link.slot)
            .map_err(|error| Fault::of(&error))?;
        Ok(Self {
            session,
            link,
            handles: HashMap::new(),
        })
    }

    /// Serves tickets until the session is of no more use, or it is over.
    fn serve(&mut self, shared: &Shared, lane: usize) {
        while let Some(mut ticket) = shared.queue.next(lane, shared.settings.call_timeout) {
            let outcome = {
                let inside = shared.module.enter();
                if inside.generation != self.link.module_generation {
                    shared.report(self.link.generation, Fault::stale());
                }
                if shared.generation() != self.link.generation {
                    drop(inside);
                    shared.queue.give_back(lane, ticket);
                    return;
                }
                self.sign(shared, &ticket.key, &ticket.job)
            };
            let fault = match outcome {
                Ok(signature) => {
                    ticket.settle(Ok(signature));
                    continue;
                }
                Err(Trouble::Refusal(error)) => {
                    ticket.settle(Err(error));
                    continue;
                }
                Err(Trouble::Call(fault)) => fault,
            };
            ticket.failures += 1;
            match fault.remedy {
                Remedy::None | Remedy::Wait | Remedy::Operator => {
                    ticket.settle(Err(Trouble::Call(fault).into_error()));
                    continue;
                }
                Remedy::NewSession => {}
                // The first time a new session is tried; the second time this was one.
                Remedy::NewSessionFirst if ticket.failures < MOST_FAILURES => {}
                Remedy::NewSessionFirst | Remedy::Login | Remedy::Restart => {
                    shared.report(self.link.generation, fault);
                }
            }
            again_or_away(shared, lane, ticket, fault);
            return;
        }
    }

    /// Makes one signature.
    fn sign(
        &mut self,
        shared: &Shared,
        key: &KeyReference,
        job: &SignJob,
    ) -> Result<Vec<u8>, Trouble> {
        let handle = match self.handles.get(&key.cka_id) {
            Some(handle) => *handle,
            None => {
                let handle = objects::find_handle(&self.session, key)?;
                self.handles.insert(key.cka_id.clone(), handle);
                handle
            }
        };
        let request = Request::new(job);
        let raw = if key.always_authenticate {
            // PKCS#11 v3.1, 4.9: the PIN is wanted between C_SignInit and C_Sign.
            self.session.sign_init(&request.mechanism, handle)?;
            shared.login(&self.session, UserType::ContextSpecific)?;
            match shared.module.single_part(&self.session) {
                Some(functions) => functions.sign(&self.session, &request.data)?,
                // Card modules take the same in parts, though the standard does not ask it.
                None => {
                    self.session.sign_update(&request.data)?;
                    self.session.sign_final()?
                }
            }
        } else {
            self.session
                .sign(&request.mechanism, handle, &request.data)?
        };
        mechanism::signature(key.algorithm, raw)
            .ok_or_else(|| Error::BadSignature { id: key.id.clone() }.into())
    }
}

/// Puts a ticket back once, and answers it the second time.
fn again_or_away(shared: &Shared, lane: usize, ticket: Ticket<KeyReference>, fault: Fault) {
    if ticket.failures < MOST_FAILURES {
        shared.queue.give_back(lane, ticket);
    } else {
        ticket.settle(Err(fault.away().into()));
    }
}
