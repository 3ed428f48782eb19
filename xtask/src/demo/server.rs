//! The server under demonstration: `nocrd-all dev` as a child process, with everything it writes in one temporary
//! directory.

use std::{
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader},
    process::{Child, Command},
    sync::oneshot,
    time::{Instant, sleep, timeout},
};

use super::{PATIENCE, processes};
use crate::{Result, root};

/// A running server.
pub(crate) struct Server {
    child: Child,
    base: String,
    directory: TempDir,
    /// The processes seen below it so far.
    family: Vec<processes::Process>,
}

impl Server {
    /// Starts the server and waits until it is ready.
    pub(crate) async fn start(program: &str) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let mut child = Command::new(program)
            .args(["dev", "--port=0", "--api-port=0", "--kubeconfig"])
            .arg(kubeconfig(&directory))
            .arg("--data-dir")
            .arg(directory.path().join("data"))
            .current_dir(root())
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            // Ctrl-C reaches this task alone, which then stops the server in good order.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| format!("can't start {program}: {error}"))?;
        let stderr = child.stderr.take().ok_or("the server has no standard error")?;
        let (found, address) = oneshot::channel();
        tokio::spawn(relay(stderr, found));
        let base = match timeout(PATIENCE, address).await {
            Ok(Ok(base)) => base,
            Ok(Err(_)) => return Err(format!("the server did not start: {}", child.wait().await?).into()),
            Err(_) => return Err("the server logged no address".into()),
        };
        let server = Self { child, base, directory, family: Vec::new() };
        server.wait_until_ready().await?;
        Ok(server)
    }

    async fn wait_until_ready(&self) -> Result {
        let client = reqwest::Client::builder().no_proxy().build()?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let answer = client.get(format!("{}/readyz", self.base)).send().await;
            if answer.as_ref().is_ok_and(|response| response.status().is_success()) {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(format!("the server does not become ready: {answer:?}").into());
            }
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// URL of the server, without a slash at the end.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    /// Where the embedded cluster's kubeconfig is.
    pub(crate) fn kubeconfig(&self) -> PathBuf {
        kubeconfig(&self.directory)
    }

    /// Resolves when the server ends by itself.
    pub(crate) async fn died(&mut self) -> String {
        self.child.wait().await.map_or_else(|error| error.to_string(), |status| status.to_string())
    }

    /// Notes the processes that run below the server now: none of them may outlive it.
    pub(crate) fn note_processes(&mut self) -> Result {
        let Some(pid) = self.child.id() else { return Err("the server has ended".into()) };
        self.family.extend(processes::descendants(pid)?);
        Ok(())
    }

    /// Stops the server as an init system would and checks that it leaves no process behind.
    pub(crate) async fn stop(mut self) -> Result {
        self.note_processes()?;
        let Some(pid) = self.child.id() else { return Err("the server has ended".into()) };
        // The shell's own kill, because a bare machine need not have the program.
        Command::new("sh").args(["-c", "kill -TERM \"$0\"", &pid.to_string()]).status().await?;
        let status: ExitStatus =
            timeout(PATIENCE, self.child.wait()).await.map_err(|_| "it does not stop")??;
        let left = processes::still_alive(&self.family);
        if !left.is_empty() {
            return Err(format!("processes were left behind: {}", left.join(", ")).into());
        }
        if !status.success() {
            return Err(format!("it ended with {status}").into());
        }
        println!("stopped; of the processes below it none is left");
        Ok(())
    }
}

fn kubeconfig(directory: &TempDir) -> PathBuf {
    Path::new(directory.path()).join("kubeconfig")
}

/// Passes the server's log on and picks its address out of it.
async fn relay(stderr: impl AsyncRead + Unpin, found: oneshot::Sender<String>) {
    let mut lines = BufReader::new(stderr).lines();
    let mut found = Some(found);
    while let Ok(Some(line)) = lines.next_line().await {
        println!("  | {line}");
        if let Some(base) = address(&line)
            && let Some(found) = found.take()
        {
            // Nobody waits any more when the start was interrupted.
            drop(found.send(base.to_owned()));
        }
    }
}

/// The first `http://127.0.0.1:<port>` in a line. The embedded cluster's own API speaks https.
pub(crate) fn address(line: &str) -> Option<&str> {
    const START: &str = "http://127.0.0.1:";
    let url = line.get(line.find(START)?..)?;
    let digits = url.get(START.len()..)?.bytes().take_while(u8::is_ascii_digit).count();
    (digits > 0).then(|| url.get(..START.len() + digits)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_found_in_a_log_line() {
        assert_eq!(address("INFO listening url=http://127.0.0.1:4711/mcp"), Some("http://127.0.0.1:4711"));
        assert_eq!(address("INFO api at https://127.0.0.1:6443"), None);
        assert_eq!(address("http://127.0.0.1:"), None);
    }
}
