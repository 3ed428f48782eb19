//! What there is to reach: workspaces that treat authentication in different ways, with APIs of each visibility.

use nocrd_model::keys;
use nocrd_proxy_core::AuthEndpoint;

/// Who may reach an API beside its owner, in the words of the guide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule {
    Nobody,
    SignedIn,
    Administrators,
    Scope(&'static str),
    Role(&'static str),
    People(&'static [&'static str]),
}

/// An API, at the path of its name.
#[derive(Debug, Clone, Copy)]
pub(super) struct Declared {
    pub(super) name: &'static str,
    pub(super) visibility: Option<&'static str>,
    pub(super) methods: Option<&'static str>,
    /// Whether it is on the workspace's own port.
    pub(super) on_main: bool,
    pub(super) rule: Rule,
}

const fn api(name: &'static str, visibility: &'static str, rule: Rule) -> Declared {
    Declared { name, visibility: Some(visibility), methods: None, on_main: false, rule }
}

const fn silent(name: &'static str, rule: Rule) -> Declared {
    Declared { visibility: None, ..api(name, "", rule) }
}

/// The APIs of the workspaces of the whole product.
pub(super) const APIS: &[Declared] = &[
    silent("unsaid", Rule::Nobody),
    silent("stats", Rule::Administrators),
    silent("Last_Activity", Rule::Administrators),
    silent("last-activity", Rule::Administrators),
    api("stats_", "", Rule::Nobody),
    api("private", "private", Rule::Nobody),
    api("internal", "internal", Rule::SignedIn),
    api("spaced", "  internal ", Rule::SignedIn),
    api("admin", "admin", Rule::Administrators),
    api("scope", "scope:lab:enter", Rule::Scope("lab:enter")),
    api("spaced-scope", "scope: lab:enter ", Rule::Scope("lab:enter")),
    api("write-scope", "scope:nogoo9:write", Rule::Scope("nogoo9:write")),
    api("read-scope", "scope:nogoo9:read", Rule::Scope("nogoo9:read")),
    api("role", "role:ops", Rule::Role("ops")),
    api("viewer-role", "role:viewer", Rule::Role("viewer")),
    api("admin-role", "role:admin", Rule::Role("admin")),
    api("list", "carol, dora", Rule::People(&["carol", "dora"])),
    api("gaps", " , carol,,", Rule::People(&["carol"])),
    api("list-of-owner", "owner", Rule::People(&["owner"])),
    // Malformed and contradictory ones never mean more than they say.
    api("blank", "  ", Rule::Nobody),
    api("commas", " , ,", Rule::Nobody),
    api("no-scope", "scope: ", Rule::Nobody),
    api("no-role", "role:", Rule::Nobody),
    api("capital", "Internal", Rule::People(&["Internal"])),
    api("capital-scope", "Scope:lab:enter", Rule::People(&["Scope:lab:enter"])),
    api("two-words", "private,internal", Rule::People(&["private", "internal"])),
    api("two-rules", "scope:lab:enter,role:ops", Rule::Scope("lab:enter,role:ops")),
    api("star", "*", Rule::People(&["*"])),
    // Requests with other methods go to the workspace itself.
    Declared { methods: Some("get, HEAD"), ..api("reads", "internal", Rule::SignedIn) },
    Declared { methods: Some("POST"), ..api("posts", "internal", Rule::SignedIn) },
    Declared { on_main: true, ..api("own-port", "internal", Rule::SignedIn) },
    Declared { on_main: true, ..silent("own-port-private", Rule::Nobody) },
    Declared { on_main: true, methods: Some("GET"), ..api("own-port-reads", "internal", Rule::SignedIn) },
];

/// The ones that show what a workspace's treatment of authentication changes.
pub(super) const FEW: [&str; 7] =
    ["unsaid", "internal", "scope", "reads", "own-port", "own-port-private", "own-port-reads"];

/// How a workspace treats authentication.
#[derive(Debug, Clone, Copy)]
pub(super) struct Treatment {
    pub(super) id: &'static str,
    pub(super) mode: Option<&'static str>,
    pub(super) require_token: Option<&'static str>,
    /// Its own port is for everybody.
    pub(super) open: bool,
    /// Its owner's pages may have the owner's token.
    pub(super) token_api: bool,
    /// The owner's token is fetched for it.
    pub(super) fetches: bool,
    /// A session alone is not enough.
    pub(super) needs_token: bool,
    /// Whether another one here reads the same, so that a look at it will do.
    pub(super) again: bool,
}

const DEFAULT: Treatment = Treatment {
    id: "default",
    mode: None,
    require_token: None,
    open: false,
    token_api: false,
    fetches: false,
    needs_token: false,
    again: false,
};

pub(super) const TREATMENTS: &[Treatment] = &[
    DEFAULT,
    Treatment { id: "open", mode: Some("no-auth"), open: true, ..DEFAULT },
    Treatment { id: "tokens", mode: Some("token-api"), token_api: true, ..DEFAULT },
    Treatment { id: "fetching", mode: Some("inject-headers"), fetches: true, ..DEFAULT },
    Treatment { id: "strict", require_token: Some("true"), needs_token: true, ..DEFAULT },
    Treatment {
        id: "both",
        mode: Some(" Inject-Headers ,, TOKEN-API"),
        token_api: true,
        fetches: true,
        again: true,
        ..DEFAULT
    },
    // The stricter of two that contradict each other counts, and of what is no word nothing.
    Treatment {
        id: "strict-open",
        mode: Some("no-auth"),
        require_token: Some("TRUE"),
        needs_token: true,
        again: true,
        ..DEFAULT
    },
    Treatment { id: "open-tokens", mode: Some("token-api, no-auth"), open: true, again: true, ..DEFAULT },
    Treatment { id: "misspelt", mode: Some("noauth"), require_token: Some("false"), again: true, ..DEFAULT },
    Treatment { id: "unclear", require_token: Some("yes"), needs_token: true, again: true, ..DEFAULT },
];

impl Treatment {
    /// The annotations of its pod, whose further APIs are on port `side`.
    pub(super) fn annotations(&self, main: u16, side: u16) -> Vec<(String, String)> {
        let mut all = Vec::new();
        let mut say =
            |key: String, value: Option<&str>| all.extend(value.map(|value| (key, value.to_owned())));
        say(keys::WORKSPACE_AUTH_MODE.to_owned(), self.mode);
        say(keys::AUTH_REQUIRE_TOKEN.to_owned(), self.require_token);
        for api in self.apis() {
            let key = |field: &str| format!("{}{}.{field}", keys::API_PREFIX, api.name);
            say(key("port"), Some(&(if api.on_main { main } else { side }).to_string()));
            say(key("path"), Some(&format!("/{}", api.name)));
            say(key("visibility"), api.visibility);
            say(key("method"), api.methods);
        }
        all
    }

    pub(super) fn apis(&self) -> impl Iterator<Item = &'static Declared> {
        let all = self.id == DEFAULT.id;
        APIS.iter().filter(move |api| all || FEW.contains(&api.name))
    }

    /// Who reaches what depends on a method by no more than whether it changes something, and by what an API says of it. The
    /// default and the one that is open to everybody are asked with all.
    pub(super) fn is_asked_with(&self, method: &str) -> bool {
        [DEFAULT.id, "open"].contains(&self.id)
            || ["GET", "POST"].contains(&method)
            || !self.again && ["HEAD", UPGRADE].contains(&method)
    }

    /// Everything that is asked for of it.
    pub(super) fn places(&self) -> impl Iterator<Item = Place> {
        let few = |api: &&Declared| !self.again || ["internal", "own-port-private"].contains(&api.name);
        let apis = self.apis().filter(few).map(Place::Api);
        [Place::Main].into_iter().chain(apis).chain(AuthEndpoint::ALL.map(Place::Endpoint))
    }
}

/// Where in a workspace.
#[derive(Debug, Clone, Copy)]
pub(super) enum Place {
    /// Its own port.
    Main,
    Api(&'static Declared),
    Endpoint(AuthEndpoint),
}

impl Place {
    pub(super) fn path(self) -> String {
        match self {
            Self::Main => "/x".to_owned(),
            Self::Api(api) => format!("/{}/x", api.name),
            Self::Endpoint(endpoint) => endpoint.path().to_owned(),
        }
    }
}

/// What they are asked with. An upgrade is one of its own.
pub(super) const METHODS: [&str; 9] =
    ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND", UPGRADE];
pub(super) const UPGRADE: &str = "UPGRADE";
