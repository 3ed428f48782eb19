//! Finding a cluster.

#[cfg(test)]
mod tests;

use std::{path::PathBuf, time::Duration};

use kube::config::{InClusterError, KubeConfigOptions, Kubeconfig, KubeconfigError};
use nocrd_model::{Code, ErrorKind, error as codes};
use tracing::warn;

use crate::error::chain;

/// Where to look for a cluster.
#[derive(Debug, Clone, Default)]
pub struct ConnectOptions {
    /// Kubeconfig files, as the variable `KUBECONFIG` lists them. When there are any, nothing else is tried: a server
    /// that was told which cluster to use must not end up in another.
    pub kubeconfig: Vec<PathBuf>,
    /// The user's home directory, for `.kube/config`.
    pub home: Option<PathBuf>,
    /// Context of the kubeconfig; `None` means its current one.
    pub context: Option<String>,
    /// Whether the API server's certificate is taken unchecked (`NODE_TLS_REJECT_UNAUTHORIZED=0`).
    pub insecure_tls: bool,
}

/// A way to a cluster.
#[derive(Clone)]
pub struct Connection {
    /// The client.
    pub client: kube::Client,
    /// URL of the API server, without credentials.
    pub server: String,
    /// Where that was found, for people: `kubeconfig /home/u/.kube/config`.
    pub source: String,
    /// Namespace of the kubeconfig's context, or of the service account.
    pub namespace: String,
}

/// No cluster was found, or the one that was does not answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no Kubernetes cluster ({}); to try this without one, run `nocrd-all dev`", tried.join("; "))]
pub struct ConnectError {
    /// Everything that was tried, and how it ended.
    pub tried: Vec<String>,
}

impl ConnectError {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> Code {
        codes::CLUSTER_UNREACHABLE
    }

    /// What the caller can do about it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.code().kind
    }
}

/// Finds a cluster: the kubeconfig files named, else `.kube/config` of the home directory, else the service account of
/// the pod the program runs in. The cluster is not asked yet: see [`Connection::probe`].
///
/// # Errors
/// [`ConnectError`], which names everything that was tried.
pub async fn connect(options: &ConnectOptions) -> Result<Connection, ConnectError> {
    // Where a service account is mounted and how the API server is called there is a convention of Kubernetes, not a
    // setting of ours; the client library reads it from where the kubelet puts it.
    connect_or(options, kube::Config::incluster).await
}

async fn connect_or(
    options: &ConnectOptions,
    in_cluster: impl FnOnce() -> Result<kube::Config, InClusterError>,
) -> Result<Connection, ConnectError> {
    let mut tried = Vec::new();
    let (config, source) = if options.kubeconfig.is_empty() {
        match from_surroundings(options, in_cluster, &mut tried).await {
            Some(found) => found,
            None => return Err(ConnectError { tried }),
        }
    } else {
        let source = describe(&options.kubeconfig);
        match from_files(&options.kubeconfig, options).await {
            Ok(config) => (config, source),
            Err(cause) => return Err(ConnectError { tried: vec![format!("{source}: {cause}")] }),
        }
    };
    Connection::new(config, source.clone(), options.insecure_tls).map_err(|cause| {
        tried.push(format!("{source}: {cause}"));
        ConnectError { tried }
    })
}

fn describe(files: &[PathBuf]) -> String {
    let files: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
    format!("kubeconfig {}", files.join(", "))
}

async fn from_surroundings(
    options: &ConnectOptions,
    in_cluster: impl FnOnce() -> Result<kube::Config, InClusterError>,
    tried: &mut Vec<String>,
) -> Option<(kube::Config, String)> {
    match &options.home {
        None => tried.push("kubeconfig: no file and no home directory are given".to_owned()),
        Some(home) => {
            let files = [home.join(".kube/config")];
            let source = describe(&files);
            match from_files(&files, options).await {
                Ok(config) => return Some((config, source)),
                Err(cause) => tried.push(format!("{source}: {cause}")),
            }
        }
    }
    match in_cluster() {
        Ok(config) => return Some((config, "service account".to_owned())),
        Err(error) => tried.push(format!("service account: not in a pod ({error})")),
    }
    None
}

async fn from_files(files: &[PathBuf], options: &ConnectOptions) -> Result<kube::Config, String> {
    let mut merged = Kubeconfig::default();
    let mut missing = 0;
    for file in files {
        match Kubeconfig::read_from(file) {
            Ok(next) => merged = merged.merge(next).map_err(|error| chain(&error))?,
            // As kubectl does: of several files some may be missing.
            Err(KubeconfigError::ReadConfig(error, _)) if error.kind() == std::io::ErrorKind::NotFound => {
                missing += 1;
            }
            Err(error) => return Err(chain(&error)),
        }
    }
    if missing == files.len() {
        return Err("no such file".to_owned());
    }
    let choice = KubeConfigOptions { context: options.context.clone(), ..KubeConfigOptions::default() };
    kube::Config::from_custom_kubeconfig(merged, &choice).await.map_err(|error| chain(&error))
}

impl Connection {
    fn new(mut config: kube::Config, source: String, insecure_tls: bool) -> Result<Self, String> {
        if insecure_tls && !config.accept_invalid_certs {
            warn!("the certificate of the Kubernetes API server is not checked");
            config.accept_invalid_certs = true;
        }
        // The library's retries repeat a creation whose answer was lost, and take its "exists already" for the answer.
        config.default_retry = false;
        // `HTTPS_PROXY` is for reaching others than this machine itself, and the library takes it for every server.
        if config.cluster_url.host().is_some_and(is_loopback) {
            config.proxy_url = None;
        }
        let server = without_credentials(&config.cluster_url);
        let namespace = config.default_namespace.clone();
        let client = kube::Client::try_from(config).map_err(|error| chain(&error))?;
        Ok(Self { client, server, source, namespace })
    }

    /// Asks the API server for its version.
    ///
    /// # Errors
    /// [`ConnectError`] when it does not answer within `patience`, or refuses.
    pub async fn probe(&self, patience: Duration) -> Result<String, ConnectError> {
        let cause = match tokio::time::timeout(patience, self.client.apiserver_version()).await {
            Ok(Ok(version)) => return Ok(version.git_version),
            Ok(Err(error)) => {
                let asked =
                    crate::error::Asked { verb: "get", resource: "/version", namespace: None, name: None };
                asked.failed(error, Some(&self.server)).to_string()
            }
            Err(_) => format!("{} does not answer within {} s", self.server, patience.as_secs_f32()),
        };
        Err(ConnectError { tried: vec![format!("{}: {cause}", self.source)] })
    }
}

fn is_loopback(host: &str) -> bool {
    let host = host.trim_matches(['[', ']']);
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// A URL's scheme, host, port and path: not the `user:password@` that some put in front of the host.
fn without_credentials(url: &http::Uri) -> String {
    let scheme = url.scheme_str().unwrap_or("https");
    let host = url.host().unwrap_or_default();
    let port = url.port_u16().map(|port| format!(":{port}")).unwrap_or_default();
    let path = url.path().trim_end_matches('/');
    format!("{scheme}://{host}{port}{path}")
}
