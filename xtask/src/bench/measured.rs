//! A server under measurement: `nocrd-all` as a child process.

use std::{
    net::TcpListener,
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    time::{sleep, timeout},
};

use super::{resources, statistics::milliseconds};
use crate::{Result, demo::address};

/// How long the server may take for anything.
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) struct Measured {
    child: Child,
    base: String,
    metrics: String,
    started_in: f64,
}

/// What a server has been counting.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Counts {
    /// Requests to workspaces.
    pub(super) proxied: u64,
    /// Requests to the Kubernetes API.
    pub(super) api_calls: u64,
    /// Workspaces in the index.
    pub(super) workspaces: u64,
}

impl Measured {
    /// Starts the server and times it until `/readyz` answers 200.
    pub(super) async fn start(program: &str, kubeconfig: &Path, settings: &[(&str, &str)]) -> Result<Self> {
        // Made before the clock starts: it reads the system's certificates.
        let client = reqwest::Client::builder().no_proxy().build()?;
        let metrics = free_port()?;
        let start = Instant::now();
        let mut child = Command::new(program)
            .args(["--port=0", "--host=127.0.0.1", "--pod-cidrs=127.0.0.0/8"])
            .arg(format!("--metrics-port={metrics}"))
            .env("KUBECONFIG", kubeconfig)
            .envs(settings.iter().copied())
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let stderr = child.stderr.take().ok_or("the server has no standard error")?;
        let mut lines = BufReader::new(stderr).lines();
        let base = loop {
            let line = timeout(PATIENCE, lines.next_line()).await??.ok_or("the server ended")?;
            if let Some(base) = address(&line).filter(|_| line.contains("listening on")) {
                break base.to_owned();
            }
        };
        // The log goes on and must be read, or the pipe fills up.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        while !client
            .get(format!("{base}/readyz"))
            .send()
            .await
            .is_ok_and(|answer| answer.status().is_success())
        {
            if start.elapsed() > PATIENCE {
                return Err("the server does not become ready".into());
            }
            sleep(Duration::from_millis(1)).await;
        }
        let started_in = milliseconds(start.elapsed());
        Ok(Self { child, base, metrics: format!("http://127.0.0.1:{metrics}/metrics"), started_in })
    }

    pub(super) fn base(&self) -> &str {
        &self.base
    }

    /// Milliseconds from the start of the process to readiness.
    pub(super) fn started_in(&self) -> f64 {
        self.started_in
    }

    pub(super) fn pid(&self) -> Result<u32> {
        Ok(self.child.id().ok_or("the server has ended")?)
    }

    /// Resident memory.
    pub(super) fn resident_mib(&self) -> Result<f64> {
        resources::resident_mib(self.pid()?)
    }

    pub(super) async fn counts(&self) -> Result<Counts> {
        let client = reqwest::Client::builder().no_proxy().build()?;
        let text = client.get(&self.metrics).send().await?.error_for_status()?.text().await?;
        Ok(counts(&text))
    }

    /// Waits until the server knows that many workspaces.
    pub(super) async fn knows(&self, workspaces: u64) -> Result {
        let start = Instant::now();
        while self.counts().await?.workspaces < workspaces {
            if start.elapsed() > PATIENCE {
                return Err(format!("the server does not get to know {workspaces} workspaces").into());
            }
            sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    }

    pub(super) async fn stop(mut self) -> Result {
        let pid = self.pid()?;
        Command::new("sh").args(["-c", "kill -TERM \"$0\"", &pid.to_string()]).status().await?;
        timeout(PATIENCE, self.child.wait()).await??;
        Ok(())
    }
}

/// A TCP port that is free now.
pub(super) fn free_port() -> Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

/// Reads them out of the text that Prometheus reads.
fn counts(metrics: &str) -> Counts {
    let sum = |name: &str, label: &str| {
        let lines = metrics.lines().filter(|line| {
            let rest = line.strip_prefix(name);
            rest.is_some_and(|rest| rest.starts_with([' ', '{'])) && line.contains(label)
        });
        lines.filter_map(|line| line.rsplit_once(' ')?.1.parse::<u64>().ok()).sum()
    };
    Counts {
        proxied: sum("nocrd_http_requests_total", "route=\"workspace\""),
        api_calls: sum("nocrd_kubernetes_requests_total", ""),
        workspaces: sum("nocrd_workspaces", ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_found_among_the_metrics() {
        let text = "# TYPE nocrd_http_requests counter\n\
            nocrd_http_requests_total{route=\"workspace\",method=\"GET\",status=\"200\"} 40\n\
            nocrd_http_requests_total{route=\"workspace\",method=\"GET\",status=\"404\"} 2\n\
            nocrd_http_requests_total{route=\"mcp\",method=\"POST\",status=\"200\"} 7\n\
            nocrd_workspaces 3\nnocrd_workspaces_more 9\nnocrd_kubernetes_requests_total 5\n# EOF\n";
        assert_eq!(counts(text), Counts { proxied: 42, api_calls: 5, workspaces: 3 });
    }
}
