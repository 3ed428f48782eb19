//! What is measured, and what it takes.

use std::{
    fmt,
    path::PathBuf,
    process::Stdio,
    time::{Duration, Instant},
};

use tokio::{
    process::{Child, Command},
    time::sleep,
};

use super::{
    super::{
        measured::{Counts, Measured, free_port},
        workspaces::{Api, Workspace},
    },
    Options, Other,
    bare::{self, Bare},
    nginx::Nginx,
    sockets::Way,
    tokens::{Mint, SECRET, session},
};
use crate::Result;

/// Whose workspace it is that requests are sent to.
pub(super) const OWNER: &str = "bench";
/// WebSockets to one workspace: its owner may have 256, and so many does its program take.
const OF_EACH: usize = 250;
/// How long another proxy is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// How a request gets in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// To a server that asks nobody.
    Open,
    /// By session cookie.
    Session,
    /// By a bearer token, always the same.
    SameToken,
    /// By a bearer token, each time another one.
    NewTokens,
}

impl Access {
    pub(super) const ALL: [Self; 4] = [Self::Open, Self::Session, Self::SameToken, Self::NewTokens];
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Open => "plain",
            Self::Session => "session cookie",
            Self::SameToken => "token, same",
            Self::NewTokens => "token, new ones",
        })
    }
}

/// Everything but the servers under measurement.
pub(super) struct World {
    program: String,
    kubeconfig: PathBuf,
    api: Api,
    pod: u16,
    /// Ports of the programs that echo, one in each of their workspaces.
    echoes: Vec<u16>,
    peer: u16,
    pub(super) nginx: Nginx,
    bare: Bare,
    others: Vec<Other>,
    _pod: Nginx,
    _echoes: Vec<Child>,
}

impl World {
    /// Starts the programs in the pods and the proxy to compare with, and waits for the other proxies.
    pub(super) async fn start(program: &str, kubeconfig: PathBuf, options: &Options) -> Result<Self> {
        let pod = options.pod_port.map_or_else(free_port, Ok)?;
        let as_pod = Nginx::as_pod(pod).await?;
        let (mut echoes, mut as_echoes) = (Vec::new(), Vec::new());
        for _ in 0..Self::echo_workspaces_for(options.sized().sockets) {
            let port = free_port()?;
            as_echoes.push(start_echo(program, port)?);
            until_served(&format!("http://127.0.0.1:{port}/healthz")).await?;
            echoes.push(port);
        }
        let peer = free_port()?;
        let nginx = Nginx::as_proxy(peer, pod, &echoes).await?;
        let bare = Bare::start(free_port()?, pod)?;
        let api = Api::connect(&kubeconfig)?;
        api.create([Workspace { id: "bench".to_owned(), owner: OWNER.to_owned(), port: Some(pod) }]).await?;
        println!("pods serve at http://127.0.0.1:{pod}, the cluster is {}", kubeconfig.display());
        let others = options.others.clone();
        for Other { name, url } in &others {
            println!("waiting for {name} at {url}");
            until_served(&format!("{url}/1k")).await?;
        }
        let program = program.to_owned();
        Ok(Self {
            program,
            kubeconfig,
            api,
            pod,
            echoes,
            peer,
            nginx,
            bare,
            others,
            _pod: as_pod,
            _echoes: as_echoes,
        })
    }

    /// Adds workspaces until there are that many, which nobody visits.
    pub(super) async fn fill(&self, count: u32) -> Result {
        let idle = (1..count).map(|number| Workspace {
            id: format!("idle-{number}"),
            owner: format!("user-{}", number % 1000),
            port: None,
        });
        self.api.create(idle).await
    }

    /// How many workspaces that many WebSockets need.
    pub(super) fn echo_workspaces_for(sockets: usize) -> usize {
        sockets.div_ceil(OF_EACH).max(1)
    }

    /// Adds the workspaces that echo.
    pub(super) async fn echo_workspaces(&self, server: &Measured) -> Result {
        let workspaces = self.echoes.iter().enumerate().map(|(number, port)| Workspace {
            id: echo_id(number),
            owner: echo_id(number),
            port: Some(*port),
        });
        self.api.create(workspaces).await?;
        for number in 0..self.echoes.len() {
            let id = echo_id(number);
            until(&format!("{}/route/{id}/healthz", server.base()), &Mint::new()?.token(&id)?).await?;
        }
        Ok(())
    }

    /// What there is to compare.
    pub(super) fn columns(&self) -> Vec<String> {
        let fixed = ["direct", "nginx", "no-crd", "bare hyper"].into_iter();
        fixed.chain(self.others.iter().map(|other| other.name.as_str())).map(str::to_owned).collect()
    }

    pub(super) fn others(&self) -> impl Iterator<Item = &Other> {
        self.others.iter()
    }

    pub(super) fn pod_url(&self, body: &str) -> String {
        format!("http://127.0.0.1:{}/{body}", self.pod)
    }

    pub(super) fn nginx_url(&self, body: &str) -> String {
        format!("http://127.0.0.1:{}/route/bench/{body}", self.peer)
    }

    pub(super) fn bare_url(&self, body: &str) -> String {
        format!("http://127.0.0.1:{}{}/{body}", self.bare.port, bare::BELOW)
    }

    /// The ways of so many WebSockets straight to the program of the first workspace.
    pub(super) fn echo_direct(&self, count: usize) -> Vec<Way> {
        let port = self.echoes.first().copied().unwrap_or_default();
        vec![Way { url: format!("ws://127.0.0.1:{port}/echo"), headers: Vec::new() }; count]
    }

    /// The way of WebSocket number `number`.
    pub(super) fn echo_through_nginx(&self, number: usize) -> Way {
        let id = echo_id(number / OF_EACH);
        Way { url: format!("ws://127.0.0.1:{}/route/{id}/echo", self.peer), headers: Vec::new() }
    }
}

/// A program that echoes, as a pod of the default template runs it.
fn start_echo(program: &str, port: u16) -> Result<Child> {
    let mut echo = Command::new(program);
    echo.args(["workspace", "--addr", &format!("127.0.0.1:{port}")]);
    Ok(echo.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true).spawn()?)
}

/// Id and owner of a workspace that echoes.
fn echo_id(number: usize) -> String {
    format!("echo-{number}")
}

async fn until_served(url: &str) -> Result {
    until(url, "").await
}

/// Waits until that answers well.
async fn until(url: &str, token: &str) -> Result {
    let client = reqwest::Client::builder().no_proxy().build()?;
    let start = Instant::now();
    loop {
        let request = client.get(url);
        let request = if token.is_empty() { request } else { request.bearer_auth(token) };
        let seen = match request.send().await {
            Ok(answer) if answer.status().is_success() => return Ok(()),
            Ok(answer) => answer.status().to_string(),
            Err(error) => error.to_string(),
        };
        if start.elapsed() > PATIENCE {
            return Err(format!("{url} does not answer well: {seen}").into());
        }
        sleep(Duration::from_millis(20)).await;
    }
}

/// The servers under measurement: one asks nobody, one asks everybody who they are.
pub(super) struct Servers {
    pub(super) open: Measured,
    pub(super) guarded: Measured,
    /// Milliseconds until the second one was ready.
    pub(super) started_in: f64,
    token: String,
    /// The `Cookie` header of the owner's session.
    session: String,
}

impl Servers {
    pub(super) async fn start(world: &World) -> Result<Self> {
        let settings = [("AUTH_ENABLED", "true"), ("JWT_SECRET", SECRET)];
        let open = Measured::start(&world.program, &world.kubeconfig, &[]).await?;
        let guarded = Measured::start(&world.program, &world.kubeconfig, &settings).await?;
        let started_in = guarded.started_in();
        let token = Mint::new()?.token(OWNER)?;
        let url = |server: &Measured| format!("{}/route/bench/1k", server.base());
        until(&url(&open), "").await?;
        until(&url(&guarded), &token).await?;
        let session = session(&url(&guarded), &token).await?;
        Ok(Self { open, guarded, started_in, token, session })
    }

    pub(super) async fn stop(self) -> Result {
        self.open.stop().await?;
        self.guarded.stop().await
    }

    /// The one that is accessed so.
    pub(super) fn of(&self, access: Access) -> &Measured {
        if access == Access::Open { &self.open } else { &self.guarded }
    }

    pub(super) fn url(&self, access: Access, body: &str) -> String {
        format!("{}/route/bench/{body}", self.of(access).base())
    }

    /// What a request carries, where all carry the same.
    pub(super) fn headers(&self, access: Access) -> Result<Vec<(&'static str, String)>> {
        Ok(match access {
            Access::Open => Vec::new(),
            Access::Session => vec![("cookie", self.session.clone())],
            Access::SameToken => vec![("authorization", format!("Bearer {}", self.token))],
            Access::NewTokens => return Err("each request carries another token".into()),
        })
    }

    pub(super) async fn counts(&self) -> Result<Counts> {
        let (open, guarded) = (self.open.counts().await?, self.guarded.counts().await?);
        Ok(Counts {
            proxied: open.proxied + guarded.proxied,
            api_calls: open.api_calls + guarded.api_calls,
            workspaces: guarded.workspaces,
        })
    }

    /// The `Cookie` headers of the owners of so many workspaces that echo.
    pub(super) async fn echo_sessions(&self, workspaces: usize) -> Result<Vec<String>> {
        let mut sessions = Vec::new();
        for number in 0..workspaces {
            let id = echo_id(number);
            let url = format!("{}/route/{id}/healthz", self.guarded.base());
            sessions.push(session(&url, &Mint::new()?.token(&id)?).await?);
        }
        Ok(sessions)
    }

    /// The ways of the first `count` WebSockets, of these owners.
    pub(super) fn echo_ways(&self, sessions: &[String], count: usize) -> Vec<Way> {
        let base = self.guarded.base();
        let at = base.replacen("http", "ws", 1);
        let numbers = 0..count;
        numbers
            .filter_map(|number| {
                let workspace = number / OF_EACH;
                let headers = vec![("cookie", sessions.get(workspace)?.clone()), ("origin", base.to_owned())];
                Some(Way { url: format!("{at}/route/{}/echo", echo_id(workspace)), headers })
            })
            .collect()
    }
}
