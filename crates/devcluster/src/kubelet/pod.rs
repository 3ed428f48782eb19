//! A pod as its containers see it.

use std::{
    net::IpAddr,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use serde_json::Value;
use tokio::{
    sync::{Notify, watch},
    time::Instant,
};

use super::{
    container::{Container, Role},
    fields::Fields,
    node::Node,
    spec::{self, PodSpec},
    volumes::{self, Volumes},
};
use crate::{events::Severity, kind::Kind, object};

/// One state of the pod's object, read.
#[derive(Debug)]
pub(super) struct Snapshot {
    pub(super) object: Arc<Value>,
    pub(super) spec: PodSpec,
}

/// A pod that is run here.
pub(super) struct Pod {
    pub(super) node: Arc<Node>,
    pub(super) uid: String,
    pub(super) namespace: String,
    pub(super) name: String,
    /// What the containers' host is called.
    pub(super) hostname: String,
    pub(super) ip: IpAddr,
    pub(super) started: Timestamp,
    /// Everything of the pod on this machine is in here.
    pub(super) dir: PathBuf,
    /// The pod's object as it was last seen.
    pub(super) latest: watch::Sender<Arc<Snapshot>>,
    /// Init containers, then the others, each in the order of the spec.
    pub(super) containers: Vec<Arc<Container>>,
    pub(super) volumes: Mutex<Volumes>,
    /// Something that the pod's status shows has changed.
    pub(super) changed: Notify,
    pub(super) stage: watch::Sender<Stage>,
}

/// How far a pod has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    /// Volumes are being made.
    SettingUp,
    /// Init containers run.
    Initializing,
    /// The main containers run, or have run.
    Running,
    /// Nothing runs any more, and nothing will.
    Over,
}

/// When containers must be gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stop {
    pub(super) deadline: Instant,
    /// There is no grace: hooks are not run, and nothing is asked for.
    pub(super) forced: bool,
}

impl Stop {
    pub(super) fn now() -> Self {
        Self { deadline: Instant::now(), forced: true }
    }

    pub(super) fn within(grace: Duration) -> Self {
        if grace.is_zero() { Self::now() } else { Self { deadline: Instant::now() + grace, forced: false } }
    }

    /// The stricter of two.
    pub(super) fn sooner(self, other: Self) -> Self {
        Self { deadline: self.deadline.min(other.deadline), forced: self.forced || other.forced }
    }
}

impl Snapshot {
    pub(super) fn read(object: Arc<Value>) -> Result<Self, serde_json::Error> {
        let spec = spec::of(&object)?;
        Ok(Self { object, spec })
    }
}

impl Pod {
    pub(super) fn latest(&self) -> Arc<Snapshot> {
        self.latest.borrow().clone()
    }

    pub(super) fn of_role(&self, main: bool) -> impl Iterator<Item = &Arc<Container>> {
        self.containers.iter().filter(move |container| (container.role == Role::Main) == main)
    }

    pub(super) fn container(&self, name: &str) -> Option<&Arc<Container>> {
        self.containers.iter().find(|container| container.name == name)
    }

    /// Looks at the pod through the downward API.
    pub(super) fn fields<'a>(&'a self, snapshot: &'a Snapshot) -> Fields<'a> {
        Fields { pod: &snapshot.object, spec: &snapshot.spec, ip: self.ip, allocatable: &self.node.capacity }
    }

    pub(super) fn stage(&self) -> Stage {
        *self.stage.borrow()
    }

    pub(super) fn enter(&self, stage: Stage) {
        self.stage.send_replace(stage);
        self.changed.notify_one();
    }

    /// Makes the volumes, or brings them up to date.
    pub(super) fn set_up_volumes(&self) -> Result<(), volumes::Failure> {
        let snapshot = self.latest();
        let context = volumes::Context {
            store: &self.node.store,
            fields: self.fields(&snapshot),
            host_paths: &self.node.host_paths,
            claims: &self.node.claims,
            issuer: &self.node.issuer,
        };
        self.volumes.lock().unwrap_or_else(PoisonError::into_inner).set_up(&context)
    }

    /// `name_namespace(uid)`, as back-off messages have it.
    pub(super) fn full_name(&self) -> String {
        format!("{}_{}({})", self.name, self.namespace, self.uid)
    }

    /// Lines for `/etc/hosts`.
    pub(super) fn hosts(&self) -> String {
        use std::fmt::Write;
        let mut lines = format!("# The pod's own lines.\n{}\t{}\n", self.ip, self.hostname);
        for alias in &self.latest().spec.host_aliases {
            // Writing to a string can't fail.
            let _ = writeln!(lines, "{}\t{}", alias.ip, alias.hostnames.join("\t"));
        }
        lines
    }

    /// Writes an event about the pod, or about one of its containers.
    pub(super) fn event(
        &self,
        severity: Severity,
        reason: &str,
        message: &str,
        container: Option<&Container>,
    ) {
        let path =
            container.map(|container| format!("spec.{}{{{}}}", container.role.field(), container.name));
        let object = self.latest().object.clone();
        self.node.recorder.record((Kind::Pod, &object), severity, reason, message, path.as_deref());
    }
}

/// The name a pod gives its host: at most 63 characters.
pub(super) fn hostname(object: &Value, spec: &PodSpec) -> String {
    let name = if spec.hostname.is_empty() { object::name(object) } else { &spec.hostname };
    let name: String = name.chars().take(63).collect();
    name.trim_end_matches(['-', '.']).to_owned()
}
