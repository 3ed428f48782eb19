//! The load: wrk, a Debian package.

use tokio::process::Command;

use crate::{Result, process};

/// Seconds of one round.
const SECONDS: u32 = 5;
/// Connections kept open.
const CONNECTIONS: u32 = 32;

/// Whether the load generator is there.
pub(super) fn check() -> Result {
    // It prints its version and ends with 1.
    let found = std::process::Command::new("wrk").arg("--version").output().is_ok();
    if found
        || process::works(std::process::Command::new("apt-get").args(["install", "--yes", "--quiet", "wrk"]))
    {
        return Ok(());
    }
    Err("wrk is not installed; it is a package of Debian and others: apt-get install wrk".into())
}

/// Requests per second that `url` answers with 200.
pub(super) async fn requests_per_second(url: &str) -> Result<f64> {
    let mut wrk = Command::new("wrk");
    wrk.args([
        "--threads=1",
        &format!("--connections={CONNECTIONS}"),
        &format!("--duration={SECONDS}s"),
        url,
    ]);
    let output = wrk.output().await?;
    parse(&String::from_utf8_lossy(&output.stdout))
}

fn parse(report: &str) -> Result<f64> {
    if report.contains("Non-2xx") || report.contains("Socket errors") {
        return Err(format!("requests failed:\n{report}").into());
    }
    let line = report.lines().find_map(|line| line.trim().strip_prefix("Requests/sec:"));
    let value = line.and_then(|value| value.trim().parse().ok());
    value.ok_or_else(|| format!("no rate in the report:\n{report}").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_read_and_failures_are_none() {
        assert_eq!(parse("Running 5s test\nRequests/sec:  12345.60\nTransfer/sec: 1MB").unwrap(), 12345.6);
        assert!(parse("  Non-2xx or 3xx responses: 7\nRequests/sec: 1").is_err());
        assert!(parse("unable to connect").is_err());
    }
}
