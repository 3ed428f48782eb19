//! Probes: whether a container has started, is ready, and is alive.

mod grpc;
mod http;

use std::{convert::Infallible, net::IpAddr, sync::Arc, time::Duration};

use tokio::{
    net::TcpStream,
    time::{Instant, timeout},
};

pub(super) use self::http::HttpProber;
use super::{
    container::{Container as Handle, Running},
    exec,
    pod::Pod,
    spec::{Action, Container, ExecAction, HttpGet, Port, Probe, TcpSocket},
};
use crate::events::Severity;

/// How long after the first probe the second one follows, if the container is not there yet.
const EARLY: Duration = Duration::from_millis(20);

/// Where probes and hooks of a container go.
#[derive(Debug, Clone, Copy)]
pub(super) struct Target<'a> {
    pub(super) container: &'a Container,
    pub(super) pod_ip: IpAddr,
}

impl Target<'_> {
    /// Host, as text, and port.
    fn resolve(&self, host: &str, port: &Port) -> Result<(String, u16), String> {
        let host = if host.is_empty() { self.pod_ip.to_string() } else { host.to_owned() };
        Ok((host, self.container.port(port)?))
    }
}

/// What a probe is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Startup,
    Readiness,
    Liveness,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Startup => "Startup",
            Self::Readiness => "Readiness",
            Self::Liveness => "Liveness",
        }
    }
}

struct Prober<'a> {
    pod: &'a Arc<Pod>,
    handle: &'a Handle,
    running: &'a Arc<Running>,
    container: &'a Container,
}

/// Probes a container as its spec says and publishes what that shows. Returns when the container must be killed, with
/// the grace in seconds if the failed probe names one; without a probe that could say so, never.
pub(super) async fn run(
    pod: &Arc<Pod>,
    handle: &Handle,
    running: &Arc<Running>,
    container: &Container,
) -> Option<u64> {
    let prober = Prober { pod, handle, running, container };
    if let Some(probe) = &container.startup_probe
        && !prober.starts(probe).await
    {
        prober.condemn(Kind::Startup);
        return probe.termination_grace_period_seconds;
    }
    handle.record.send_modify(|record| record.started = true);
    if container.readiness_probe.is_none() {
        handle.set_ready(true);
    }
    pod.changed.notify_one();
    tokio::select! {
        never = prober.readiness() => match never {},
        grace = prober.liveness() => grace,
    }
}

impl Prober<'_> {
    async fn readiness(&self) -> Infallible {
        let Some(probe) = &self.container.readiness_probe else { return std::future::pending().await };
        self.delay(probe).await;
        let mut streak = Streak::default();
        let mut is_ready = false;
        let mut first = self.early(probe).await;
        loop {
            let outcome = match first.take() {
                Some(()) => true,
                None => self.probe(Kind::Readiness, probe).await,
            };
            if let Some(now) = streak.add(outcome, probe)
                && now != is_ready
            {
                is_ready = now;
                self.handle.set_ready(is_ready);
                self.pod.changed.notify_one();
            }
            tokio::time::sleep(period(probe)).await;
        }
    }

    /// Probes until the startup probe has succeeded once or failed often enough; answers which.
    async fn starts(&self, probe: &Probe) -> bool {
        self.delay(probe).await;
        if self.early(probe).await.is_some() {
            return true;
        }
        let mut streak = Streak::default();
        loop {
            let outcome = self.probe(Kind::Startup, probe).await;
            if outcome || streak.add(outcome, probe).is_some() {
                return outcome;
            }
            tokio::time::sleep(period(probe)).await;
        }
    }

    /// Probes in growing intervals for one period, as long as that fails. A real kubelet asks once a period, and has
    /// everybody wait that long for a container that takes some milliseconds. Only success counts.
    async fn early(&self, probe: &Probe) -> Option<()> {
        let until = Instant::now() + period(probe);
        let mut pause = EARLY;
        loop {
            if self.act(&probe.action, limit(probe)).await.is_ok() {
                return Some(());
            }
            if Instant::now() + pause >= until {
                tokio::time::sleep_until(until).await;
                return None;
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
    }

    /// Returns when the container is dead.
    async fn liveness(&self) -> Option<u64> {
        let Some(probe) = &self.container.liveness_probe else { return std::future::pending().await };
        self.delay(probe).await;
        let mut streak = Streak::default();
        while streak.add(self.probe(Kind::Liveness, probe).await, probe) != Some(false) {
            tokio::time::sleep(period(probe)).await;
        }
        self.condemn(Kind::Liveness);
        probe.termination_grace_period_seconds
    }

    async fn delay(&self, probe: &Probe) {
        tokio::time::sleep(Duration::from_secs(probe.initial_delay_seconds)).await;
    }

    fn condemn(&self, kind: Kind) {
        let message = format!(
            "Container {} failed {} probe, will be restarted",
            self.container.name,
            kind.name().to_lowercase()
        );
        self.pod.event(Severity::Normal, "Killing", &message, Some(self.handle));
    }

    /// Probes once. A failure is written as an event.
    async fn probe(&self, kind: Kind, probe: &Probe) -> bool {
        match self.act(&probe.action, limit(probe)).await {
            Ok(()) => true,
            Err(why) => {
                let message = format!("{} probe failed: {why}", kind.name());
                self.pod.event(Severity::Warning, "Unhealthy", &message, Some(self.handle));
                false
            }
        }
    }

    async fn act(&self, action: &Action, limit: Duration) -> Result<(), String> {
        let target = Target { container: self.container, pod_ip: self.pod.ip };
        if let Some(exec) = &action.exec {
            return self.exec(exec, limit).await;
        }
        if let Some(get) = &action.http_get {
            return self.http_get(&target, get, limit).await;
        }
        if let Some(TcpSocket { port, host }) = &action.tcp_socket {
            let (host, port) = target.resolve(host, port)?;
            let connecting = TcpStream::connect((host.as_str(), port));
            return match timeout(limit, connecting).await {
                Ok(Ok(_)) => Ok(()),
                Ok(Err(error)) => Err(format!("dial tcp {host}:{port}: connect: {}", plain(&error))),
                Err(_) => Err(format!("dial tcp {host}:{port}: i/o timeout")),
            };
        }
        if let Some(check) = &action.grpc {
            let (host, port) = target.resolve("", &check.port)?;
            return match timeout(limit, grpc::check(&host, port, &check.service)).await {
                Ok(outcome) => outcome,
                Err(_) => Err(format!("timeout: health rpc did not complete within {}s", limit.as_secs())),
            };
        }
        Err("the probe says nothing to do".into())
    }

    async fn exec(&self, exec: &ExecAction, limit: Duration) -> Result<(), String> {
        let argv = exec.command.iter().map(Into::into).collect();
        match timeout(limit, exec::run_to_end(&self.pod.node.spawner, self.running, argv)).await {
            Ok(Ok(outcome)) if outcome.exit_code == 0 => Ok(()),
            Ok(Ok(outcome)) => Err(outcome.output),
            Ok(Err(why)) => Err(why),
            Err(_) => {
                let command = exec.command.join(" ");
                Err(format!("command timed out: {command:?} timed out after {}s", limit.as_secs()))
            }
        }
    }

    async fn http_get(&self, target: &Target<'_>, get: &HttpGet, limit: Duration) -> Result<(), String> {
        match self.pod.node.prober.get(target, get, Some(limit)).await? {
            200..400 => Ok(()),
            status => Err(format!("HTTP probe failed with statuscode: {status}")),
        }
    }
}

fn period(probe: &Probe) -> Duration {
    Duration::from_secs(probe.period_seconds.unwrap_or(10).max(1))
}

fn limit(probe: &Probe) -> Duration {
    Duration::from_secs(probe.timeout_seconds.unwrap_or(1).max(1))
}

/// An error of the system without its number.
fn plain(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::ConnectionRefused => "connection refused".into(),
        _ => error.to_string(),
    }
}

/// Equal outcomes in a row.
#[derive(Debug, Default)]
struct Streak {
    outcome: bool,
    length: u32,
}

impl Streak {
    /// Adds an outcome. Answers it if there have been enough in a row.
    fn add(&mut self, outcome: bool, probe: &Probe) -> Option<bool> {
        if self.outcome == outcome {
            self.length = self.length.saturating_add(1);
        } else {
            *self = Self { outcome, length: 1 };
        }
        let threshold =
            if outcome { probe.success_threshold.unwrap_or(1) } else { probe.failure_threshold.unwrap_or(3) };
        (self.length >= threshold).then_some(outcome)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_takes_enough_equal_outcomes_in_a_row() {
        let probe = Probe { success_threshold: Some(2), failure_threshold: Some(3), ..Probe::default() };
        let mut streak = Streak::default();
        let mut add = |outcome| streak.add(outcome, &probe);
        assert_eq!([add(false), add(false), add(true)], [None, None, None]);
        assert_eq!([add(false), add(false), add(false)], [None, None, Some(false)]);
        assert_eq!(
            [add(false), add(true), add(true), add(true)],
            [Some(false), None, Some(true), Some(true)]
        );
    }
}
