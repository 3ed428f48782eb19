//! nginx, a Debian package: as the program in the pods, and as the proxy to compare with. Each is a process of ours with a
//! configuration of its own; the system's service is left alone.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Stdio, time::Duration};

use tempfile::TempDir;
use tokio::{
    net::TcpStream,
    process::{Child, Command},
    time::{Instant, sleep},
};

use super::super::resources;
use crate::Result;

/// How long it may take to start.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the pods answer with: the paths, and how many bytes there are.
pub(super) const BODIES: [(&str, usize); 2] = [("1k", 1 << 10), ("1m", 1 << 20)];

/// Whether it is there.
pub(super) fn check() -> Result {
    super::super::find("nginx", "nginx-light", "-v")
}

/// A running nginx. Dropping it ends it.
pub(super) struct Nginx {
    master: Child,
    _directory: TempDir,
}

impl Nginx {
    /// The program in the pods: bodies from memory, and from a file in the page cache.
    pub(super) async fn as_pod(port: u16) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        for (name, bytes) in BODIES {
            fs::write(directory.path().join(name), "x".repeat(bytes))?;
        }
        Self::start(directory, port, &pod).await
    }

    /// The proxy, to programs at these ports. It is set up as well as we know how: connections are kept on both sides for as
    /// many requests as come, no log, nothing goes through files.
    pub(super) async fn as_proxy(port: u16, pod: u16, echoes: &[u16]) -> Result<Self> {
        Self::start(tempfile::tempdir()?, port, &|_, port| proxy(port, pod, echoes)).await
    }

    async fn start(directory: TempDir, port: u16, http: &dyn Fn(&Path, u16) -> String) -> Result<Self> {
        // Its workers are another user where it is started by root.
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755))?;
        let workers = std::thread::available_parallelism()?.get();
        let file = directory.path().join("nginx.conf");
        fs::write(&file, whole(directory.path(), workers, &http(directory.path(), port)))?;
        let mut master = Command::new("nginx")
            .arg("-c")
            .arg(&file)
            .args(["-e", "stderr"])
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        let start = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            if let Some(status) = master.try_wait()? {
                return Err(format!("nginx does not start: {status}").into());
            }
            if start.elapsed() > PATIENCE {
                return Err("nginx does not listen".into());
            }
            sleep(Duration::from_millis(10)).await;
        }
        Ok(Self { master, _directory: directory })
    }

    /// The master and its workers.
    pub(super) fn processes(&self) -> Result<Vec<u32>> {
        resources::family(self.master.id().ok_or("nginx has ended")?)
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // Killed outright, the master would leave its workers behind.
        if let Some(pid) = self.master.id() {
            let kill = "kill -TERM \"$0\" && while kill -0 \"$0\" 2>/dev/null && ! grep -q 'State:.Z' \"/proc/$0/status\"; do sleep 0.01; done";
            drop(std::process::Command::new("sh").args(["-c", kill, &pid.to_string()]).status());
        }
    }
}

/// A configuration file with this as its `http` block.
fn whole(directory: &Path, workers: usize, http: &str) -> String {
    let directory = directory.display();
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|name| format!("    {name}_temp_path {directory}/{name};\n"))
        .collect();
    format!(
        "worker_processes {workers};
daemon off;
pid {directory}/nginx.pid;
error_log stderr error;
events {{ worker_connections 16384; }}
http {{
    access_log off;
    server_tokens off;
    keepalive_requests 100000000;
{temporary}{http}}}
"
    )
}

fn pod(directory: &Path, port: u16) -> String {
    let [(small, bytes), (large, _)] = BODIES;
    format!(
        "    sendfile on;
    tcp_nopush on;
    open_file_cache max=16;
    server {{
        listen 127.0.0.1:{port} reuseport backlog=4096;
        root {};
        location = /{small} {{ default_type text/plain; return 200 \"{}\"; }}
        location = /{large} {{ default_type text/plain; }}
    }}
",
        directory.display(),
        "x".repeat(bytes)
    )
}

fn proxy(port: u16, pod: u16, echoes: &[u16]) -> String {
    let echoes: String = echoes
        .iter()
        .enumerate()
        .map(|(number, port)| {
            format!("        location /route/echo-{number}/ {{ proxy_pass http://127.0.0.1:{port}/; }}\n")
        })
        .collect();
    format!(
        "    upstream pod {{ server 127.0.0.1:{pod}; keepalive 128; keepalive_requests 100000000; }}
    proxy_http_version 1.1;
    proxy_max_temp_file_size 0;
    proxy_buffers 16 32k;
    proxy_busy_buffers_size 64k;
    proxy_read_timeout 1h;
    server {{
        listen 127.0.0.1:{port} reuseport backlog=4096;
        proxy_set_header Connection upgrade;
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Host $http_host;
        location /route/bench/ {{
            proxy_set_header Connection \"\";
            proxy_set_header Host $proxy_host;
            proxy_set_header X-Forwarded-For $remote_addr;
            proxy_set_header X-Forwarded-Proto $scheme;
            proxy_set_header X-Forwarded-Host $http_host;
            proxy_pass http://pod/;
        }}
{echoes}    }}
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_closed_and_files_stay_in_the_directory() {
        let directory = Path::new("/tmp/x");
        for http in [pod(directory, 1), proxy(1, 2, &[3, 4])] {
            let text = whole(directory, 2, &http);
            assert_eq!(text.matches('{').count(), text.matches('}').count(), "{text}");
            for line in text.lines().filter(|line| line.contains("_path ") || line.contains("pid ")) {
                assert!(line.contains(" /tmp/x/"), "{line}");
            }
        }
    }
}
