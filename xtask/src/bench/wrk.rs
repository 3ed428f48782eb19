//! The load: wrk, a Debian package, which sends as much as it gets answered.

use std::{ffi::OsString, path::Path};

use tokio::process::Command;

use crate::Result;

/// Connections kept open.
const CONNECTIONS: u32 = 32;

/// Whether the load generator is there.
pub(super) fn check() -> Result {
    super::find("wrk", "wrk", "--version")
}

/// What is sent.
pub(super) struct Load<'a> {
    pub(super) url: &'a str,
    pub(super) seconds: u32,
    pub(super) headers: &'a [(&'a str, &'a str)],
    /// A script that makes the requests, and what it is told.
    pub(super) script: Option<(&'a Path, &'a Path)>,
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Outcome {
    pub(super) requests: u64,
    pub(super) per_second: f64,
}

/// Sends it. All answers must be good ones.
pub(super) async fn send(load: &Load<'_>) -> Result<Outcome> {
    let mut args: Vec<OsString> = vec![
        "--threads=1".into(),
        format!("--connections={CONNECTIONS}").into(),
        format!("--duration={}s", load.seconds).into(),
    ];
    for (name, value) in load.headers {
        args.extend(["--header".into(), format!("{name}: {value}").into()]);
    }
    if let Some((script, _)) = load.script {
        args.extend(["--script".into(), script.into()]);
    }
    args.push(load.url.into());
    if let Some((_, told)) = load.script {
        args.extend(["--".into(), told.into()]);
    }
    let output = Command::new("wrk").args(args).kill_on_drop(true).output().await?;
    let report = String::from_utf8_lossy(&output.stdout);
    parse(&report).map_err(|error| format!("{}: {error}\n{report}", load.url).into())
}

fn parse(report: &str) -> std::result::Result<Outcome, &'static str> {
    if report.contains("Non-2xx") || report.contains("Socket errors") {
        return Err("requests failed");
    }
    let lines = || report.lines().map(str::trim);
    let rate = lines().find_map(|line| line.strip_prefix("Requests/sec:"));
    let per_second = rate.and_then(|rate| rate.trim().parse().ok()).ok_or("no rate in the report")?;
    let requests = lines().find_map(|line| line.split_once(" requests in ")?.0.parse().ok());
    match requests {
        None | Some(0) => Err("no request was answered"),
        Some(requests) => Ok(Outcome { requests, per_second }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_read_and_failures_are_none() {
        let good = "Running 5s test\n  61728 requests in 5.00s, 1MB read\nRequests/sec:  12345.60\nTransfer/sec: 1MB";
        assert_eq!(parse(good), Ok(Outcome { requests: 61_728, per_second: 12_345.6 }));
        let with = |line: &str| parse(&format!("  {line}\n{good}"));
        assert_eq!(with("Non-2xx or 3xx responses: 7"), Err("requests failed"));
        assert_eq!(with("Socket errors: connect 0, read 1, write 0, timeout 0"), Err("requests failed"));
        assert!(parse("unable to connect").is_err());
        assert!(parse("  0 requests in 5.00s, 0B read\nRequests/sec: 0.00").is_err());
    }
}
