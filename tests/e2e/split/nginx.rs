//! nginx as the ingress, with the configuration that is in `deploy/`.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU16, Ordering},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::{dev::PATIENCE, part::Part, tools};

const CONFIGURATION: &str = include_str!("../../../deploy/nginx.conf");
/// The name by which people know the site.
const NAME: &str = "no-crd.example.com";

/// Where nginx is, or will be.
pub(super) struct Nginx {
    child: Option<Child>,
    directory: TempDir,
    address: SocketAddr,
    origin: String,
    certificate: String,
}

impl Nginx {
    /// Chooses an address, which nothing answers on yet.
    pub(super) fn open() -> Self {
        let address = free_address();
        let directory = tempfile::tempdir().unwrap();
        let made = rcgen::generate_simple_self_signed(vec![NAME.to_owned()]).unwrap();
        fs::write(directory.path().join("tls.crt"), made.cert.pem()).unwrap();
        fs::write(directory.path().join("tls.key"), made.signing_key.serialize_pem()).unwrap();
        let origin = format!("https://{NAME}:{}", address.port());
        Self { child: None, directory, address, origin, certificate: made.cert.pem() }
    }

    /// The site's URL, without a slash at the end.
    pub(super) fn origin(&self) -> &str {
        &self.origin
    }

    /// Its authority.
    pub(super) fn host(&self) -> &str {
        self.origin.strip_prefix("https://").unwrap()
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// PEM of its certificate.
    pub(super) fn certificate(&self) -> &str {
        &self.certificate
    }

    /// Starts it before these, and waits until it answers. It may have stood before others.
    pub(super) fn start(&mut self, mcp: &[&Part], proxies: &[&Part]) {
        self.stop();
        let site = [
            ("server nocrd-mcp:3000;", upstreams(mcp)),
            ("server nocrd-proxy:3000;", upstreams(proxies)),
            ("listen 443 ssl;", format!("listen {} ssl;", self.address)),
            ("/etc/nginx/tls", self.directory.path().display().to_string()),
            ("/var/log/nginx", self.directory.path().display().to_string()),
        ];
        let site = site.iter().fold(CONFIGURATION.to_owned(), |text, (written, meant)| {
            assert!(text.contains(written), "{written}");
            text.replace(written, meant)
        });
        let own = |name: &str| self.directory.path().join(name).display().to_string();
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .iter()
            .map(|kind| format!("{kind}_temp_path {};\n", own(kind)))
            .collect();
        let whole = format!(
            "daemon off; worker_processes 1; pid {}; error_log stderr warn;\nevents {{}}\nhttp {{\naccess_log off;\n{temporary}{site}}}\n",
            own("nginx.pid")
        );
        let path = own("nginx.conf");
        fs::write(&path, whole).unwrap();
        let mut child = Command::new(tools::nginx())
            .args(["-e", "stderr", "-c", &path])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(self.address).is_err() {
            let ended = child.try_wait().unwrap();
            assert!(ended.is_none() && Instant::now() < deadline, "nginx does not work: {ended:?}");
            thread::sleep(Duration::from_millis(10));
        }
        self.child = Some(child);
    }
}

impl Nginx {
    fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // Its workers end with it, when it is told.
            let _ = kill_process(Pid::from_child(&child), Signal::TERM);
            let _ = child.wait();
        }
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        self.stop();
    }
}

fn upstreams(parts: &[&Part]) -> String {
    parts.iter().map(|part| format!("server {};", part.address())).collect()
}

/// nginx can't be asked which port it has taken. On an address that is this process's alone nobody else takes it meanwhile.
fn free_address() -> SocketAddr {
    static NUMBER: AtomicU16 = AtomicU16::new(0);
    let [high, low] = u16::try_from(std::process::id() % 65_536).unwrap().to_be_bytes();
    let number = u8::try_from(NUMBER.fetch_add(1, Ordering::Relaxed) % 250 + 1).unwrap();
    let address = if cfg!(target_os = "linux") {
        Ipv4Addr::new(127, high.max(1), low, number)
    } else {
        Ipv4Addr::LOCALHOST
    };
    TcpListener::bind((address, 0)).unwrap().local_addr().unwrap()
}
