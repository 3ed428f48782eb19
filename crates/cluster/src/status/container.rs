//! What is to be said of one container.

use k8s_openapi::api::core::v1::{
    Container as Spec, ContainerState, ContainerStateTerminated, ContainerStateWaiting, ContainerStatus,
    PodSpec, PodStatus,
};

use super::State;

/// Reasons of a waiting container that stand for a problem.
const PROBLEMS: &[&str] = &[
    "ErrImagePull",
    "ImagePullBackOff",
    "InvalidImageName",
    "ErrImageNeverPull",
    "ImageInspectError",
    "RegistryUnavailable",
    "SignatureValidationFailed",
    "CreateContainerConfigError",
    "CreateContainerError",
    "PreCreateHookError",
    "PreStartHookError",
    "PostStartHookError",
    "RunContainerError",
    "StartError",
    "ContainerCannotRun",
    "CrashLoopBackOff",
    "CreatePodSandboxError",
    "ConfigPodSandboxError",
];

/// How much a finding says about the pod: problems first, then what happens earlier in a pod's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    Broken,
    Creating,
    Initializing,
    Starting,
    /// Waits for its turn: what it waits for says more.
    Queued,
}

impl Rank {
    pub(super) fn state(self) -> State {
        match self {
            Self::Broken => State::Degraded,
            Self::Creating | Self::Queued => State::Pulling,
            Self::Initializing => State::Initializing,
            Self::Starting => State::Starting,
        }
    }
}

/// Something to say of a container that keeps the pod from being Ready.
#[derive(Debug)]
pub(super) struct Finding {
    pub(super) rank: Rank,
    pub(super) reason: String,
    pub(super) message: String,
    pub(super) fatal: bool,
}

/// What a container is to its pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    /// Runs to its end before the next one starts: the `nth` of `of`.
    Init { nth: usize, of: usize },
    /// An init container with `restartPolicy: Always`, or an ordinary container.
    Stays,
}

/// A container: what was asked for, and what became of it.
#[derive(Debug)]
pub(super) struct Container<'a> {
    name: &'a str,
    role: Role,
    /// Whether it is started again when it ends with success, and with failure.
    restarts: (bool, bool),
    readiness_probe: bool,
    startup_probe: bool,
    status: Option<&'a ContainerStatus>,
}

/// All containers of a pod in the order in which they start.
pub(super) fn all<'a>(spec: &'a PodSpec, status: &'a PodStatus) -> impl Iterator<Item = Container<'a>> {
    let policy = spec.restart_policy.as_deref().unwrap_or("Always");
    let init: &[Spec] = spec.init_containers.as_deref().unwrap_or_default();
    let of = init.len();
    let init_statuses = status.init_container_statuses.as_deref().unwrap_or_default();
    let statuses = status.container_statuses.as_deref().unwrap_or_default();
    let find =
        |statuses: &'a [ContainerStatus], name: &str| statuses.iter().find(|status| status.name == name);
    let init = init.iter().enumerate().map(move |(at, spec)| {
        let own = spec.restart_policy.as_deref();
        let role = if own == Some("Always") { Role::Stays } else { Role::Init { nth: at + 1, of } };
        // An init container is tried again after a failure unless the pod says Never.
        let restarts = if role == Role::Stays { (true, true) } else { (false, policy != "Never") };
        Container::new(spec, role, restarts, find(init_statuses, &spec.name))
    });
    let main = spec.containers.iter().map(move |spec| {
        let restarts = match spec.restart_policy.as_deref().unwrap_or(policy) {
            "Never" => (false, false),
            "OnFailure" => (false, true),
            _ => (true, true),
        };
        Container::new(spec, Role::Stays, restarts, find(statuses, &spec.name))
    });
    init.chain(main)
}

impl<'a> Container<'a> {
    fn new(spec: &'a Spec, role: Role, restarts: (bool, bool), status: Option<&'a ContainerStatus>) -> Self {
        Self {
            name: &spec.name,
            role,
            restarts,
            readiness_probe: spec.readiness_probe.is_some(),
            startup_probe: spec.startup_probe.is_some(),
            status,
        }
    }

    /// Whether the kubelet has said anything of it.
    pub(super) fn is_reported(&self) -> bool {
        self.status.is_some()
    }

    /// How it ended, when it ended with failure.
    pub(super) fn failure(&self) -> Option<Finding> {
        let ended = self.status?.state.as_ref()?.terminated.as_ref()?;
        (ended.exit_code != 0).then(|| self.broken(&word(ended), self.ended(ended), true))
    }

    /// What keeps it from doing its part, if anything does.
    pub(super) fn finding(&self) -> Option<Finding> {
        let status = self.status?;
        match status.state.as_ref() {
            Some(ContainerState { waiting: Some(waiting), .. }) => Some(self.waiting(waiting, status)),
            Some(ContainerState { terminated: Some(ended), .. }) => self.terminated(ended),
            Some(ContainerState { running: Some(_), .. }) => self.running(status),
            // The API's default for a state it knows nothing of.
            _ => Some(self.creating("", None)),
        }
    }

    fn waiting(&self, waiting: &ContainerStateWaiting, status: &ContainerStatus) -> Finding {
        let reason = waiting.reason.as_deref().unwrap_or_default();
        if !PROBLEMS.contains(&reason) {
            return self.creating(reason, waiting.message.as_deref());
        }
        let mut message = waiting.message.as_deref().map(|text| self.say(text)).unwrap_or_default();
        let last = status.last_state.as_ref().and_then(|last| last.terminated.as_ref());
        if let Some(last) = last {
            // Why it crashed is more telling than for how long the kubelet backs off.
            message = format!("{}; {} restarts", self.ended(last), status.restart_count);
        }
        if message.is_empty() {
            message = self.say(reason);
        }
        self.broken(reason, message, true)
    }

    /// Waits for its image, its volumes, or the containers before it.
    fn creating(&self, reason: &str, message: Option<&str>) -> Finding {
        let doing = match (message.filter(|text| !text.is_empty()), reason) {
            (Some(text), _) => text,
            (None, "PodInitializing") => "waits for the init containers",
            (None, _) => "is being created: its image is pulled and its volumes are mounted",
        };
        let message = self.say(doing);
        let rank = if reason == "PodInitializing" { Rank::Queued } else { Rank::Creating };
        Finding { rank, reason: reason.to_owned(), message, fatal: false }
    }

    fn terminated(&self, ended: &ContainerStateTerminated) -> Option<Finding> {
        let success = ended.exit_code == 0;
        if success && matches!(self.role, Role::Init { .. }) {
            return None;
        }
        let again = if success { self.restarts.0 } else { self.restarts.1 };
        let next = if again { "it will be started again" } else { "it will not be started again" };
        Some(self.broken(&word(ended), format!("{}; {next}", self.ended(ended)), !again))
    }

    fn running(&self, status: &ContainerStatus) -> Option<Finding> {
        if let Role::Init { nth, of } = self.role {
            let message = format!("init container {} ({nth} of {of}) runs", self.name);
            return Some(Finding { rank: Rank::Initializing, reason: String::new(), message, fatal: false });
        }
        if status.ready {
            return None;
        }
        let doing = if self.startup_probe && status.started == Some(false) {
            "runs; its startup probe has not succeeded yet"
        } else if self.readiness_probe {
            "runs; its readiness probe does not succeed"
        } else {
            "runs, and is not reported ready yet"
        };
        let mut message = self.say(doing);
        let last = status.last_state.as_ref().and_then(|last| last.terminated.as_ref());
        if let Some(last) = last {
            message.push_str(&format!("; before that, {}", self.ended(last)));
        }
        Some(Finding { rank: Rank::Starting, reason: "ContainersNotReady".to_owned(), message, fatal: false })
    }

    fn broken(&self, reason: &str, message: String, fatal: bool) -> Finding {
        Finding { rank: Rank::Broken, reason: reason.to_owned(), message, fatal }
    }

    fn label(&self) -> &'static str {
        if matches!(self.role, Role::Init { .. }) { "init container" } else { "container" }
    }

    /// A sentence that begins with a verb, or the kubelet's own text, about this container.
    fn say(&self, text: &str) -> String {
        let verb = ["waits", "is ", "runs"].iter().any(|verb| text.starts_with(verb));
        let colon = if verb { "" } else { ":" };
        format!("{} {}{colon} {text}", self.label(), self.name)
    }

    /// `container agent exited with code 137 (OOMKilled): last words`
    fn ended(&self, ended: &ContainerStateTerminated) -> String {
        let mut text = format!("{} {}", self.label(), self.name);
        match ended.signal.filter(|signal| *signal != 0) {
            Some(signal) => text.push_str(&format!(" was ended by signal {signal}")),
            None => text.push_str(&format!(" exited with code {}", ended.exit_code)),
        }
        if let Some(reason) =
            ended.reason.as_deref().filter(|reason| !matches!(*reason, "" | "Error" | "Completed"))
        {
            text.push_str(&format!(" ({reason})"));
        }
        if let Some(message) = ended.message.as_deref().map(str::trim).filter(|message| !message.is_empty()) {
            text.push_str(": ");
            text.push_str(tail(message));
        }
        text
    }
}

/// Kubernetes' word for an ending; there always is one for people to search for.
fn word(ended: &ContainerStateTerminated) -> String {
    let otherwise = if ended.exit_code == 0 { "Completed" } else { "Error" };
    ended.reason.as_deref().filter(|reason| !reason.is_empty()).unwrap_or(otherwise).to_owned()
}

/// Most bytes quoted of a container's last words (`terminationMessagePath`), which may be four kilobytes.
const LAST_WORDS: usize = 300;

fn tail(text: &str) -> &str {
    let from = text.len().saturating_sub(LAST_WORDS);
    let from = (from..text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    text.get(from..).unwrap_or(text)
}
