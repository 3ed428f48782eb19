//! Where workspaces are: what the embedding server tells the proxy.

use std::{
    cmp::Reverse,
    net::{IpAddr, Ipv4Addr},
    num::NonZeroU16,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use http::{HeaderValue, Method};
use nocrd_model::{Api, AuthMode, Protocol, Subject, WorkspaceId};

use crate::{
    NotReady,
    path::{Problem, lenient},
};

/// Finds the pod of a workspace. Called once for each request, on its way: answer from memory.
pub trait WorkspaceDirectory: Send + Sync + 'static {
    /// The state of workspace `id`, now.
    fn lookup(&self, id: &WorkspaceId) -> Lookup;
}

/// What a [`WorkspaceDirectory`] knows of a workspace.
#[derive(Debug, Clone)]
pub enum Lookup {
    /// Its pod is ready.
    Found(Arc<Target>),
    /// It exists, and can't serve requests now.
    NotReady {
        /// Whose it is.
        owner: Subject,
        /// Its additional ports: who may reach one learns its state.
        apis: Vec<Api>,
        /// How authentication is treated for it.
        auth: AuthMode,
        /// Why.
        why: NotReady,
    },
    /// There is none.
    NotFound,
    /// Nothing is known yet, because the server has just started.
    NotSynced,
}

/// What a directory knows of one pod.
#[derive(Debug, Clone)]
pub struct Pod {
    /// The pod's uid. A connection is never used for a pod with another one, even at the same address.
    pub uid: String,
    /// The pod's address.
    pub ip: IpAddr,
    /// Port of the workspace itself.
    pub port: NonZeroU16,
    /// How requests go to that port.
    pub protocol: Protocol,
    /// Its additional ports.
    pub apis: Vec<Api>,
    /// Whose it is.
    pub owner: Subject,
    /// Whether the program behind `port` wants to see `/route/<id>` in front of each path.
    pub subfolder: bool,
    /// How authentication is treated for it.
    pub auth: AuthMode,
}

/// A pod that requests can be sent to. Make one when the pod changes, not for each request: the order in which its APIs
/// are tried, and its addresses as header values, are worked out here.
#[derive(Debug)]
pub struct Target {
    uid: Arc<str>,
    ip: IpAddr,
    owner: Subject,
    subfolder: bool,
    auth: AuthMode,
    main: Port,
    /// Longest path first.
    apis: Box<[Mount]>,
    /// How many requests are under way.
    busy: Arc<AtomicUsize>,
}

/// A request's place among those of its workspace, until all that share it are dropped.
#[derive(Debug)]
pub struct Place(Held);

#[derive(Debug)]
enum Held {
    /// By a request without a body: nothing is allocated for it.
    Whole(Counted),
    /// By one whose body and answer may end in any order.
    Shared(Arc<Counted>),
}

impl Place {
    /// The same place, for two.
    pub(crate) fn share(self) -> (Self, Self) {
        let shared = match self.0 {
            Held::Whole(counted) => Arc::new(counted),
            Held::Shared(shared) => shared,
        };
        (Self(Held::Shared(Arc::clone(&shared))), Self(Held::Shared(shared)))
    }
}

/// One more of the requests under way, until it is dropped.
#[derive(Debug)]
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// One port of a pod.
#[derive(Debug)]
pub(crate) struct Port {
    pub(crate) number: NonZeroU16,
    pub(crate) protocol: Protocol,
    /// `<ip>:<port>`, the port left out when it is 80.
    pub(crate) authority: HeaderValue,
}

/// An API with a path to be found under.
#[derive(Debug)]
struct Mount {
    /// Without a slash at the end.
    path: Box<str>,
    /// The most lenient reading of `path`.
    alias: Box<str>,
    port: Port,
    api: Api,
}

/// Where a path leads.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Resolved<'a> {
    pub(crate) port: &'a Port,
    /// The API the path belongs to; `None` is the workspace itself.
    pub(crate) api: Option<&'a Api>,
    /// The front part of the path that the program behind doesn't see.
    pub(crate) stripped: &'a str,
}

impl Target {
    /// Prepares a pod. APIs that share the path `/` with the workspace itself can't be told from it and are not
    /// reachable through the proxy.
    #[must_use]
    pub fn new(pod: Pod) -> Self {
        // A port speaks one version, whichever of its declarations says so.
        let declared = pod.apis.iter().map(|api| (api.port, api.protocol)).chain([(pod.port, pod.protocol)]);
        let h2c: Vec<_> = declared.filter(|(_, protocol)| *protocol == Protocol::H2c).collect();
        let port = |number| Port {
            number,
            protocol: h2c.iter().find(|(port, _)| *port == number).map_or(Protocol::Http, |found| found.1),
            authority: authority(pod.ip, number),
        };
        let mut apis: Vec<Mount> = pod.apis.into_iter().filter_map(|api| Mount::new(api, port)).collect();
        // Stable: of two APIs at one path, the first that allows the method is taken.
        apis.sort_by_key(|mount| Reverse(mount.path.len()));
        Self {
            uid: pod.uid.into(),
            ip: pod.ip,
            owner: pod.owner,
            subfolder: pod.subfolder,
            auth: pod.auth,
            main: port(pod.port),
            apis: apis.into(),
            busy: Arc::default(),
        }
    }

    /// What stands for a workspace without a pod to send requests to: it tells whose it is, and for whom.
    pub(crate) fn absent(owner: Subject, apis: Vec<Api>, auth: AuthMode) -> Self {
        let port = NonZeroU16::MIN;
        let ip = Ipv4Addr::UNSPECIFIED.into();
        let protocol = Protocol::default();
        Self::new(Pod { uid: String::new(), ip, port, protocol, apis, owner, subfolder: false, auth })
    }

    /// The same, for which those requests count, too, that are under way to `before`: what the workspace was until now.
    #[must_use]
    pub fn following(self, before: &Self) -> Self {
        Self { busy: Arc::clone(&before.busy), ..self }
    }

    /// A place for one more request; `None` when `most` are under way.
    #[must_use]
    pub fn enter(&self, most: usize) -> Option<Place> {
        let before = self.busy.fetch_add(1, Ordering::Relaxed);
        // Dropped, it counts back.
        let place = Place(Held::Whole(Counted(Arc::clone(&self.busy))));
        (before < most).then_some(place)
    }

    /// The pod's uid.
    #[must_use]
    pub fn uid(&self) -> &Arc<str> {
        &self.uid
    }

    /// The pod's address.
    #[must_use]
    pub fn ip(&self) -> IpAddr {
        self.ip
    }

    /// Whose workspace it is.
    #[must_use]
    pub fn owner(&self) -> &Subject {
        &self.owner
    }

    /// How authentication is treated for it.
    #[must_use]
    pub fn auth(&self) -> AuthMode {
        self.auth
    }

    /// Whether the program behind the workspace's own port wants to see `/route/<id>` in front of each path.
    #[must_use]
    pub fn subfolder(&self) -> bool {
        self.subfolder
    }

    /// Finds the port that a path belongs to: that of the API with the longest path that begins it, at a segment's end,
    /// and that allows the method; else the workspace's own. `alias` is the path's most lenient reading, where that
    /// differs.
    ///
    /// The path of an API on a port of its own is stripped; that of an API on the workspace's port stays.
    ///
    /// # Errors
    /// [`Problem::Ambiguous`] when `alias` belongs to another API.
    pub(crate) fn resolve(
        &self,
        method: &Method,
        path: &str,
        alias: Option<&str>,
    ) -> Result<Resolved<'_>, Problem> {
        let find = |path: &str, name: fn(&Mount) -> &str| {
            self.apis.iter().position(|mount| begins(path, name(mount)) && mount.api.allows(method.as_str()))
        };
        let found = find(path, |mount| &mount.path);
        if alias.is_some_and(|alias| find(alias, |mount| &mount.alias) != found) {
            return Err(Problem::Ambiguous);
        }
        Ok(match found.and_then(|at| self.apis.get(at)) {
            None => Resolved { port: &self.main, api: None, stripped: "" },
            Some(mount) => {
                let stripped = if mount.port.number == self.main.number { "" } else { &*mount.path };
                Resolved { port: &mount.port, api: Some(&mount.api), stripped }
            }
        })
    }

    /// Whether a path, given in its most lenient reading, is that of an API on the workspace's own port, whatever method that
    /// takes. Some programs don't tell capital letters from small ones.
    pub(crate) fn has_api_at(&self, alias: &str) -> bool {
        let path = alias.to_ascii_lowercase();
        let on_main = self.apis.iter().filter(|mount| mount.port.number == self.main.number);
        on_main.into_iter().any(|mount| begins(&path, &mount.alias.to_ascii_lowercase()))
    }

    /// The path under which a port of this pod is seen from outside, for links that name the pod itself; `None` for a
    /// port that is not served.
    pub(crate) fn outside_path(&self, port: u16) -> Option<&str> {
        if port == self.main.number.get() {
            return Some("");
        }
        self.apis.iter().find(|mount| mount.port.number.get() == port).map(|mount| &*mount.path)
    }
}

impl Mount {
    fn new(api: Api, port: impl Fn(NonZeroU16) -> Port) -> Option<Self> {
        let path = api.path.strip_suffix('/').unwrap_or(&api.path);
        if !path.starts_with('/') {
            return None;
        }
        let path: Box<str> = path.into();
        let alias = lenient(&path).ok()?.map_or_else(|| path.clone(), String::into_boxed_str);
        Some(Self { path, alias, port: port(api.port), api })
    }
}

/// Tells whether `prefix` is `path`, or the front of it at a segment's end.
fn begins(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn authority(ip: IpAddr, port: NonZeroU16) -> HeaderValue {
    let host = match ip {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    };
    let text = if port.get() == 80 { host } else { format!("{host}:{port}") };
    HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static("workspace"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn target(apis: &[(&str, u16, &str, &str)]) -> Target {
        let mut annotations = BTreeMap::new();
        for (name, port, path, method) in apis {
            let key = |field: &str| format!("{}{name}.{field}", nocrd_model::keys::API_PREFIX);
            annotations.insert(key("port"), port.to_string());
            annotations.insert(key("path"), (*path).to_owned());
            annotations.insert(key("method"), (*method).to_owned());
        }
        let (apis, problems) = Api::parse_all(&annotations);
        assert!(problems.is_empty(), "{problems:?}");
        Target::new(Pod {
            uid: "u".into(),
            ip: [10, 0, 0, 1].into(),
            port: NonZeroU16::new(3000).unwrap(),
            apis,
            owner: Subject::guest(),
            protocol: Protocol::Http,
            subfolder: false,
            auth: AuthMode::default(),
        })
    }

    fn find(target: &Target, method: Method, path: &str) -> Result<(u16, String, Option<String>), Problem> {
        let alias = lenient(path)?;
        let to = target.resolve(&method, path, alias.as_deref())?;
        Ok((to.port.number.get(), to.stripped.to_owned(), to.api.map(|api| api.name.clone())))
    }

    fn get(target: &Target, path: &str) -> (u16, String) {
        let (port, stripped, _) = find(target, Method::GET, path).unwrap();
        (port, stripped)
    }

    #[test]
    fn longest_path_at_a_segments_end_wins() {
        let pod =
            target(&[("t", 7681, "/term", ""), ("l", 7682, "/term/log/", ""), ("s", 3000, "/stats", "")]);
        for (path, port, stripped) in [
            ("/", 3000, ""),
            ("", 3000, ""),
            ("/term", 7681, "/term"),
            ("/term/", 7681, "/term"),
            ("/term/x", 7681, "/term"),
            ("/term/log", 7682, "/term/log"),
            ("/term/log/1", 7682, "/term/log"),
            ("/term/logs", 7681, "/term"),
            ("/terminal", 3000, ""),
            ("/Term", 3000, ""),
            ("/x/term", 3000, ""),
            ("/stats", 3000, ""),
        ] {
            assert_eq!(get(&pod, path), (port, stripped.to_owned()), "{path}");
        }
        assert_eq!(find(&pod, Method::GET, "/stats/x").unwrap().2.as_deref(), Some("s"));
    }

    #[test]
    fn a_method_that_does_not_fit_leaves_it_to_the_next() {
        let pod = target(&[("a", 1, "/x/y", "POST"), ("b", 2, "/x", "GET,PUT"), ("c", 3, "/any", "*")]);
        assert_eq!(find(&pod, Method::POST, "/x/y").unwrap().0, 1);
        assert_eq!(find(&pod, Method::GET, "/x/y").unwrap().0, 2);
        assert_eq!(find(&pod, Method::DELETE, "/x/y").unwrap().0, 3000);
        assert_eq!(find(&pod, Method::from_bytes(b"PROPFIND").unwrap(), "/any").unwrap().0, 3);
    }

    #[test]
    fn an_api_at_the_root_never_shadows_the_workspace() {
        let pod = target(&[("root", 9000, "/", "")]);
        assert_eq!(get(&pod, "/"), (3000, String::new()));
        assert_eq!(get(&pod, "/x"), (3000, String::new()));
    }

    #[test]
    fn t33_a_path_that_reads_as_another_api_is_refused() {
        let pod =
            target(&[("open", 3000, "/int", ""), ("shut", 3000, "/int/admin", ""), ("t", 7681, "/term", "")]);
        for path in [
            "/%69nt",
            "/int%2fadmin",
            "/int/%61dmin",
            "/int/%2561dmin",
            "/int//admin",
            "/int/;x/admin",
            "/int;x/admin",
            "/int/admin;x",
            "//term",
            "/term%2f",
            "/ter%6d/x",
        ] {
            assert_eq!(find(&pod, Method::GET, path), Err(Problem::Ambiguous), "{path}");
        }
        for (path, api) in [
            ("/int/x%2fadmin", Some("open")),
            ("/int/x;y", Some("open")),
            ("/int//x", Some("open")),
            ("/int/admin//x", Some("shut")),
            ("/x//y%2fz;a", None),
        ] {
            assert_eq!(find(&pod, Method::GET, path).unwrap().2.as_deref(), api, "{path}");
        }
    }

    #[test]
    fn links_to_the_pod_itself() {
        let pod = target(&[("t", 7681, "/term/", ""), ("root", 9000, "/", "")]);
        assert_eq!(pod.outside_path(3000), Some(""));
        assert_eq!(pod.outside_path(7681), Some("/term"));
        assert_eq!((pod.outside_path(9000), pod.outside_path(1)), (None, None));
    }

    #[test]
    fn addresses_as_headers() {
        let port = |n| NonZeroU16::new(n).unwrap();
        for (ip, number, text) in [
            ("10.0.0.1", 8080, "10.0.0.1:8080"),
            ("10.0.0.1", 80, "10.0.0.1"),
            ("fd00::1", 3000, "[fd00::1]:3000"),
        ] {
            assert_eq!(authority(ip.parse().unwrap(), port(number)), text);
        }
    }
}
