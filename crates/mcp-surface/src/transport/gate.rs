//! Limits that hold before a request reaches the protocol: whose session it is, how many sessions and streams there
//! are, of all callers and of each.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use ::http::HeaderMap;
use nocrd_model::{Caller, Subject, caller::Trust};
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;

use super::{http::HttpOptions, refusal::Refusal};

/// The header that names a session.
pub(super) const SESSION_HEADER: &str = "mcp-session-id";

/// Who asks, as far as that is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Who {
    /// `None` is nobody in particular.
    subject: Option<Subject>,
    /// Whether they can be told from others, so that limits for each apply.
    is_one: bool,
}

impl Who {
    pub(super) fn of(caller: Option<&Caller>) -> Self {
        Self {
            subject: caller.map(|caller| caller.subject.clone()),
            is_one: caller.is_some_and(|caller| caller.trust == Trust::Verified),
        }
    }
}

/// Who began which session, and how much there may be of what.
pub(super) struct Gate {
    sessions: Arc<LocalSessionManager>,
    max_sessions: Most,
    max_streams: Most,
    state: Arc<Mutex<State>>,
}

/// How many there may be.
struct Most {
    of_all: usize,
    of_each: usize,
}

#[derive(Default)]
struct State {
    /// Who began each session.
    owners: HashMap<String, Option<Subject>>,
    /// Sessions that are being begun.
    beginning: Tally,
    /// Open streams.
    streams: Tally,
}

impl Gate {
    pub(super) fn new(sessions: Arc<LocalSessionManager>, options: &HttpOptions) -> Self {
        Self {
            sessions,
            max_sessions: Most { of_all: options.max_sessions, of_each: options.max_sessions_per_caller },
            max_streams: Most { of_all: options.max_streams, of_each: options.max_streams_per_caller },
            state: Arc::default(),
        }
    }

    /// How many sessions there are; `None` while that changes.
    pub(super) fn sessions(&self) -> Option<usize> {
        Some(self.sessions.sessions.try_read().ok()?.len())
    }

    /// Refuses a session that somebody else began, just as one that does not exist.
    pub(super) fn check_session(&self, headers: &HeaderMap, who: &Who) -> Result<(), Refusal> {
        let Some(id) = headers.get(SESSION_HEADER) else { return Ok(()) };
        let state = lock(&self.state);
        let known = id.to_str().ok().and_then(|id| state.owners.get(id));
        match known {
            Some(owner) if *owner == who.subject => Ok(()),
            _ => Err(Refusal::no_such_session()),
        }
    }

    /// Room for one more session, taken until it is remembered or the seat is dropped.
    pub(super) async fn begin_session(&self, who: &Who) -> Result<Seat, Refusal> {
        let live = self.sessions.sessions.read().await;
        let mut state = lock(&self.state);
        state.owners.retain(|id, _| live.contains_key(id.as_str()));
        let own = state.owners.values().filter(|owner| **owner == who.subject).count();
        let (all, own) = (state.owners.len() + state.beginning.all(), own + state.beginning.of(&who.subject));
        self.max_sessions.check("sessions", all, own, who)?;
        state.beginning.add(who.subject.clone());
        Ok(self.seat(who, |state| &mut state.beginning))
    }

    /// Remembers who began the session that `headers`, those of an answer, name.
    pub(super) fn remember(&self, headers: &HeaderMap, seat: Seat) {
        if let Some(id) = headers.get(SESSION_HEADER).and_then(|id| id.to_str().ok()) {
            lock(&self.state).owners.insert(id.to_owned(), seat.subject.clone());
        }
    }

    /// Room for one long-lived stream, taken as long as the seat lives.
    pub(super) fn enter_stream(&self, who: &Who) -> Result<Seat, Refusal> {
        let mut state = lock(&self.state);
        self.max_streams.check("open streams", state.streams.all(), state.streams.of(&who.subject), who)?;
        state.streams.add(who.subject.clone());
        Ok(self.seat(who, |state| &mut state.streams))
    }

    fn seat(&self, who: &Who, among: fn(&mut State) -> &mut Tally) -> Seat {
        Seat { subject: who.subject.clone(), state: Arc::clone(&self.state), among }
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Most {
    fn check(&self, what: &str, all: usize, own: usize, who: &Who) -> Result<(), Refusal> {
        if who.is_one && own >= self.of_each {
            return Err(Refusal::too_many(format!("too many {what} of yours: end one")));
        }
        if all >= self.of_all {
            return Err(Refusal::busy(format!("too many {what}: end one, or try again later")));
        }
        Ok(())
    }
}

/// How many each caller has.
#[derive(Default)]
struct Tally(HashMap<Option<Subject>, usize>);

impl Tally {
    fn all(&self) -> usize {
        self.0.values().sum()
    }

    fn of(&self, subject: &Option<Subject>) -> usize {
        self.0.get(subject).copied().unwrap_or(0)
    }

    fn add(&mut self, subject: Option<Subject>) {
        *self.0.entry(subject).or_default() += 1;
    }

    fn remove(&mut self, subject: Option<Subject>) {
        if let Entry::Occupied(mut count) = self.0.entry(subject) {
            if *count.get() > 1 {
                *count.get_mut() -= 1;
            } else {
                count.remove();
            }
        }
    }
}

/// A place among those that are counted, until it is dropped.
pub(super) struct Seat {
    subject: Option<Subject>,
    state: Arc<Mutex<State>>,
    among: fn(&mut State) -> &mut Tally,
}

impl Drop for Seat {
    fn drop(&mut self) {
        (self.among)(&mut lock(&self.state)).remove(self.subject.take());
    }
}

#[cfg(test)]
mod tests {
    use nocrd_model::Role;

    use super::*;

    fn who(name: &str) -> Who {
        Who::of(Some(&Caller::verified(name.into(), Role::User)))
    }

    fn gate() -> Gate {
        let options = HttpOptions {
            max_sessions: 4,
            max_sessions_per_caller: 2,
            max_streams: 4,
            max_streams_per_caller: 2,
            ..HttpOptions::default()
        };
        Gate::new(Arc::default(), &options)
    }

    #[tokio::test]
    async fn t45_room_is_taken_at_once_and_given_back() {
        let gate = gate();
        let mut seats = vec![];
        for name in ["alice", "alice", "bob"] {
            seats.push(gate.begin_session(&who(name)).await.ok().unwrap());
        }
        assert!(gate.begin_session(&who("alice")).await.is_err());
        let nobody = Who::of(None);
        seats.push(gate.begin_session(&nobody).await.ok().unwrap());
        assert!(gate.begin_session(&who("bob")).await.is_err(), "full");
        drop(seats);
        // Who can't be told from others has no limit of their own.
        let mut seats = vec![];
        for _ in 0..4 {
            seats.push(gate.begin_session(&Who::of(Some(&Caller::local()))).await.ok().unwrap());
        }
        drop(seats);
        assert!(lock(&gate.state).beginning.0.is_empty());
    }

    #[test]
    fn t45_one_caller_can_t_take_all_streams() {
        let gate = gate();
        let (first, second) = (gate.enter_stream(&who("alice")).ok(), gate.enter_stream(&who("alice")).ok());
        assert!(first.is_some() && second.is_some());
        assert!(gate.enter_stream(&who("alice")).is_err());
        assert!(gate.enter_stream(&who("bob")).is_ok());
        drop(first);
        assert!(gate.enter_stream(&who("alice")).is_ok());
    }

    #[tokio::test]
    async fn t61_a_session_that_nobody_remembers_is_nobody_s() {
        let gate = gate();
        let mut headers = HeaderMap::new();
        headers.insert(SESSION_HEADER, "s".parse().unwrap());
        assert!(gate.check_session(&headers, &who("alice")).is_err());
        let seat = gate.begin_session(&who("alice")).await.ok().unwrap();
        gate.remember(&headers, seat);
        assert!(gate.check_session(&headers, &who("alice")).is_ok());
        for other in [who("bob"), Who::of(None), Who::of(Some(&Caller::local()))] {
            assert!(gate.check_session(&headers, &other).is_err());
        }
        // It is not live, so that the next one forgets it.
        drop(gate.begin_session(&who("bob")).await);
        assert!(gate.check_session(&headers, &who("alice")).is_err());
    }
}
