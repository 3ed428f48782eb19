//! A container as the rest of the kubelet sees it: its state, its logs, and how to run something beside it.

use std::{
    ffi::OsString,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use jiff::Timestamp;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{logs::Log, sandbox::Room};

/// What kind of container it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// Runs to its end before the next one starts.
    Init,
    /// An init container that keeps running.
    Sidecar,
    Main,
}

impl Role {
    /// The field of a pod's spec such containers are in.
    pub(super) fn field(self) -> &'static str {
        match self {
            Self::Init | Self::Sidecar => "initContainers",
            Self::Main => "containers",
        }
    }
}

/// What a container does now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum State {
    Waiting {
        reason: String,
        /// May be empty.
        message: String,
    },
    Running {
        since: Timestamp,
    },
    Terminated(Termination),
}

/// The end of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Termination {
    pub(super) exit_code: i32,
    pub(super) reason: String,
    /// May be empty.
    pub(super) message: String,
    /// `None` if the program was never started.
    pub(super) started: Option<Timestamp>,
    pub(super) finished: Timestamp,
    pub(super) id: String,
}

/// What a container's status is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) state: State,
    /// The run before the current one, or the last one while there is none.
    pub(super) last: Option<Termination>,
    /// Runs begun after the first.
    pub(super) restarts: u32,
    pub(super) ready: bool,
    /// Whether the startup probe, if there is one, has succeeded.
    pub(super) started: bool,
    /// Identity of the current or last run; empty before the first.
    pub(super) id: String,
}

impl Record {
    pub(super) fn waiting(reason: &str) -> Self {
        Self {
            state: State::Waiting { reason: reason.into(), message: String::new() },
            last: None,
            restarts: 0,
            ready: false,
            started: false,
            id: String::new(),
        }
    }

    pub(super) fn is_running(&self) -> bool {
        matches!(self.state, State::Running { .. })
    }

    /// How the current run ended, if it has.
    pub(super) fn termination(&self) -> Option<&Termination> {
        match &self.state {
            State::Terminated(termination) => Some(termination),
            _ => None,
        }
    }
}

/// A container of a pod.
#[derive(Debug)]
pub(super) struct Container {
    pub(super) name: String,
    pub(super) role: Role,
    /// Changes are published here.
    pub(super) record: watch::Sender<Record>,
    runs: Mutex<Runs>,
}

#[derive(Debug, Default)]
struct Runs {
    running: Option<Arc<Running>>,
    log: Option<Arc<Log>>,
    previous_log: Option<Arc<Log>>,
}

/// A run of a container that has not ended.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) room: Room,
    pub(super) env: Vec<(OsString, OsString)>,
    pub(super) cwd: PathBuf,
    /// The first process of its PID namespace.
    pub(super) leader: Option<i32>,
    /// Cancelled when the run has ended.
    pub(super) ended: CancellationToken,
}

impl Container {
    pub(super) fn new(name: &str, role: Role, record: Record) -> Self {
        Self { name: name.into(), role, record: watch::Sender::new(record), runs: Mutex::default() }
    }

    pub(super) fn record(&self) -> Record {
        self.record.borrow().clone()
    }

    fn runs<T>(&self, look: impl FnOnce(&mut Runs) -> T) -> T {
        look(&mut self.runs.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The run to execute commands beside.
    pub(super) fn running(&self) -> Option<Arc<Running>> {
        self.runs(|runs| runs.running.clone())
    }

    pub(super) fn set_running(&self, running: Option<Arc<Running>>) {
        self.runs(|runs| runs.running = running);
    }

    /// The log of the current run, or of the last one while there is none.
    pub(super) fn log(&self) -> Option<Arc<Log>> {
        self.runs(|runs| runs.log.clone())
    }

    /// The log of the run before.
    pub(super) fn previous_log(&self) -> Option<Arc<Log>> {
        self.runs(|runs| runs.previous_log.clone())
    }

    /// A run begins with a log of its own.
    pub(super) fn push_log(&self, log: Arc<Log>) {
        self.runs(|runs| runs.previous_log = runs.log.replace(log));
    }

    /// A new run begins: what is published of the one before becomes the last state.
    pub(super) fn begin_run(&self) -> String {
        let id = format!("nocrd://{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
        self.record.send_modify(|record| {
            if let Some(termination) = record.termination() {
                record.last = Some(termination.clone());
            }
            if !record.id.is_empty() {
                record.restarts += 1;
            }
            record.id.clone_from(&id);
            record.ready = false;
            record.started = false;
        });
        id
    }

    pub(super) fn set_waiting(&self, reason: &str, message: &str) {
        let state = State::Waiting { reason: reason.into(), message: message.into() };
        self.record.send_if_modified(|record| {
            if record.state == state {
                return false;
            }
            if let Some(termination) = record.termination() {
                record.last = Some(termination.clone());
            }
            record.state = state;
            record.ready = false;
            record.started = false;
            true
        });
    }

    /// Readiness changes only while the container runs.
    pub(super) fn set_ready(&self, ready: bool) {
        self.record.send_if_modified(|record| {
            let changed = record.is_running() && record.ready != ready;
            record.ready = if changed { ready } else { record.ready };
            changed
        });
    }
}
