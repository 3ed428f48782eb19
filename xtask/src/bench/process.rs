//! A server under measurement: `nocrd-all` as a child process.

use std::{
    fs,
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    time::{sleep, timeout},
};

use crate::{Result, demo::address};

/// How long the server may take for anything.
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) struct Measured {
    child: Child,
    base: String,
    started_in: f64,
}

impl Measured {
    /// Starts the server and times it until `/readyz` answers 200.
    pub(super) async fn start(program: &str, kubeconfig: &Path) -> Result<Self> {
        // Made before the clock starts: it reads the system's certificates.
        let client = reqwest::Client::builder().no_proxy().build()?;
        let start = Instant::now();
        let mut child = Command::new(program)
            .args(["--port=0", "--host=127.0.0.1", "--pod-cidrs=127.0.0.0/8"])
            .env("KUBECONFIG", kubeconfig)
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let stderr = child.stderr.take().ok_or("the server has no standard error")?;
        let mut lines = BufReader::new(stderr).lines();
        let base = loop {
            let line = timeout(PATIENCE, lines.next_line()).await??.ok_or("the server ended")?;
            if let Some(base) = address(&line) {
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
        Ok(Self { child, base, started_in: super::milliseconds(start.elapsed()) })
    }

    pub(super) fn base(&self) -> &str {
        &self.base
    }

    /// Milliseconds from the start of the process to readiness.
    pub(super) fn started_in(&self) -> f64 {
        self.started_in
    }

    /// Resident memory (proc(5), `VmRSS`).
    pub(super) fn resident_mib(&self) -> Result<u64> {
        let pid = self.child.id().ok_or("the server has ended")?;
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
        let kib: u64 = line.split_whitespace().next().unwrap_or_default().parse()?;
        Ok(kib / 1024)
    }

    pub(super) async fn stop(mut self) -> Result {
        let pid = self.child.id().ok_or("the server has ended")?;
        Command::new("sh").args(["-c", "kill -TERM \"$0\"", &pid.to_string()]).status().await?;
        timeout(PATIENCE, self.child.wait()).await??;
        Ok(())
    }
}
