//! The table of settings and its typed form.

use std::{
    collections::BTreeSet,
    num::{NonZeroU16, NonZeroU32},
    path::PathBuf,
    time::Duration,
};

use ipnet::IpNet;
use nocrd_model::Namespace;
use secrecy::SecretString;
use url::Url;

use crate::{
    choice::{LogFormat, LogLevel, LoginMethod, Mode, PodSecurity, Transport},
    kind::{Kind, Unit},
    resolve::{Resolver, Source, Sources},
    row::{Effect, Flag, Group, Preset, Setting},
};

/// Turns rows into the struct [`Settings`], its construction, and [`TABLE`].
macro_rules! settings {
    ($(group $group:ident { $( $(#[doc = $doc:literal])+ $field:ident: $type:ty { $($row:tt)* } )* })*) => {
        /// All settings, validated. A field's name is that of the setting's first environment variable in lower case,
        /// and its documentation that of the reference.
        #[derive(Debug, Clone)]
        #[non_exhaustive]
        pub struct Settings {
            $($( $(#[doc = $doc])+ pub $field: $type, )*)*
            /// Whether this process runs in a pod (`KUBERNETES_SERVICE_HOST` is set).
            pub in_cluster: bool,
            /// The user's home directory (`HOME`), where `.kube/config` is looked for.
            pub home: Option<PathBuf>,
            pub(crate) sources: Sources,
            pub(crate) warnings: Vec<String>,
        }

        /// All settings, by group, in the order of the reference.
        pub const TABLE: &[Setting] = &[
            $($( Setting {
                field: stringify!($field), group: Group::$group, doc: concat!($($doc),+), $($row)* ..Setting::ROW
            }, )*)*
        ];

        impl Settings {
            /// Takes every setting out of flags and environment; `None` when the resolver noted an error.
            pub(crate) fn resolve(resolver: &mut Resolver<'_>) -> Option<Self> {
                // All are taken before the first missing one ends this, so that every error is noted.
                $($( let $field: Option<$type> = {
                    const ROW: &Setting = &Setting {
                        field: stringify!($field), group: Group::$group, doc: "", $($row)* ..Setting::ROW
                    };
                    resolver.take(ROW)
                }; )*)*
                Some(Self {
                    $($( $field: $field?, )*)*
                    in_cluster: resolver.in_cluster(),
                    home: resolver.home(),
                    sources: resolver.sources(),
                    warnings: Vec::new(),
                })
            }
        }
    };
}

impl Settings {
    /// What an operator should know about these settings: deprecated or ineffective ones, unsafe combinations.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Whether the HTTP server is for programs of this machine only, by the address it binds.
    #[must_use]
    pub fn binds_loopback(&self) -> bool {
        crate::rules::is_loopback(&self.host)
    }

    /// Where the value of a setting came from; `name` is its first environment variable.
    #[must_use]
    pub fn source(&self, name: &str) -> Source {
        self.sources.get(name)
    }
}

const fn number(min: u64, max: u64) -> Kind {
    Kind::Number { min, max, unit: Unit::None, zero: "" }
}

const fn milliseconds(min: u64, max: u64, zero: &'static str) -> Kind {
    Kind::Number { min, max, unit: Unit::Milliseconds, zero }
}

const fn seconds(min: u64, max: u64) -> Kind {
    Kind::Number { min, max, unit: Unit::Seconds, zero: "" }
}

const DAY_MS: u64 = 86_400_000;
const YEAR_S: u64 = 31_536_000;
/// Fewest bytes of a key we sign with: as many as SHA-256 gives (RFC 7518 section 3.2).
const MIN_KEY_BYTES: usize = 32;

const UI_LATER: Effect = Effect::Later("the dashboard comes with a later release, so it changes nothing yet");

settings! {
group Server {
    /// How MCP clients reach the server: over HTTP, over standard input and output, or both. With `stdio` no port is
    /// opened.
    transport: Transport {
        flag: Flag::short('t', "transport"), env: &["TRANSPORT"], default: Preset::Text("http"),
        kind: Kind::Choice(Transport::WORDS),
    }
    /// TCP port of the HTTP or HTTPS server. 0 takes any free one; the log tells which.
    port: u16 {
        flag: Flag::short('p', "port"), env: &["PORT"], default: Preset::Text("3000"), kind: number(0, 65535),
    }
    /// Address the HTTP server binds.
    host: String {
        flag: Flag::short('H', "host"), env: &["HOST"], kind: Kind::Host,
        default: Preset::Computed("`127.0.0.1` without authentication outside a cluster, else `0.0.0.0`"),
    }
    /// Path prefix of every route, for a server behind a reverse proxy that keeps the prefix.
    base_url: String {
        flag: Flag::long("base-url"), env: &["BASE_URL"], kind: Kind::BasePath,
    }
    /// URL under which users reach the server, when that differs from what it binds: its host is accepted in requests
    /// and used in links.
    public_url: Option<Url> {
        flag: Flag::long("public-url"), env: &["PUBLIC_URL"], kind: Kind::Url, since: "0.18",
    }
    /// Further names under which the server accepts requests (`Host` and `Origin` headers), besides the bound address,
    /// loopback names and the host of `PUBLIC_URL`. Anything else is refused, against DNS rebinding.
    allowed_hosts: Vec<String> {
        flag: Flag::long("allowed-hosts"), env: &["ALLOWED_HOSTS"], kind: Kind::List(&Kind::HostPort), since: "0.18",
    }
    /// Address ranges of reverse proxies whose forwarding headers are believed: `X-Forwarded-For`, `-Proto` and `-Host`, or
    /// `Forwarded`. From anybody else these headers are ignored.
    trusted_proxies: Vec<IpNet> {
        flag: Flag::long("trusted-proxies"), env: &["TRUSTED_PROXIES"], kind: Kind::List(&Kind::Cidr), since: "0.18",
    }
    /// Serve every MCP request on its own, without sessions.
    stateless: bool {
        env: &["STATELESS"], default: Preset::Text("false"), kind: Kind::Bool,
    }
    /// Lowest level that is logged. `warn` is understood as `warning`.
    log_level: LogLevel {
        flag: Flag::short('l', "log-level"), env: &["LOG_LEVEL"], default: Preset::Text("info"),
        kind: Kind::Choice(LogLevel::WORDS),
    }
    /// Form of the log: lines for people, or JSON objects for log collectors.
    log_format: LogFormat {
        flag: Flag::long("log-format"), env: &["LOG_FORMAT"], default: Preset::Text("text"),
        kind: Kind::Choice(LogFormat::WORDS), since: "0.18",
    }
    /// File the log is appended to, besides standard error; with transport `stdio` or `both`, instead of it. No file is
    /// written unless this is set.
    log_file: Option<PathBuf> {
        env: &["LOG_FILE"], kind: Kind::Path,
    }
    /// Requests one caller may make to the endpoints that sign in, sign out and hand out tokens within `RATE_LIMIT_WINDOW`:
    /// one user, else one address (of IPv6, one /64). As many tokens that are refused may come from one address.
    rate_limit_max: NonZeroU32 {
        env: &["RATE_LIMIT_MAX"], default: Preset::Text("100"), kind: number(1, 1_000_000), since: "0.9",
    }
    /// Window of `RATE_LIMIT_MAX` and `MCP_RATE_LIMIT_MAX`.
    rate_limit_window: Duration {
        env: &["RATE_LIMIT_WINDOW"], default: Preset::Text("60000"), kind: milliseconds(1, DAY_MS, ""), since: "0.9",
    }
    /// Requests one caller may make to the MCP endpoint within `RATE_LIMIT_WINDOW`.
    mcp_rate_limit_max: Option<NonZeroU32> {
        flag: Flag::long("mcp-rate-limit-max"), env: &["MCP_RATE_LIMIT_MAX"], default: Preset::Text("0"), since: "0.18",
        kind: Kind::Number { min: 0, max: 1_000_000, unit: Unit::None, zero: "no limit" },
    }
    /// Port on which Prometheus reads `/metrics`. It asks for no token, so it is a port of its own.
    metrics_port: Option<NonZeroU16> {
        flag: Flag::long("metrics-port"), env: &["METRICS_PORT"], default: Preset::Text("0"), since: "0.18",
        kind: Kind::Number { min: 0, max: 65535, unit: Unit::None, zero: "no metrics" },
    }
    /// Address that port is bound to.
    metrics_host: String {
        flag: Flag::long("metrics-host"), env: &["METRICS_HOST"], kind: Kind::Host, since: "0.18",
        default: Preset::Computed("`0.0.0.0` in a cluster, else `127.0.0.1`"),
    }
    /// File that gets a line of JSON for each thing somebody did to a workspace, a template or a session: who, what, when,
    /// and with which outcome. `-` is standard error.
    audit_log: Option<PathBuf> {
        flag: Flag::long("audit-log"), env: &["AUDIT_LOG"], kind: Kind::Path, since: "0.18",
    }
    /// How long the proxy waits for a workspace to begin its answer. Bodies and open WebSockets are not limited by it.
    proxy_timeout: Option<Duration> {
        flag: Flag::long("proxy-timeout"), env: &["PROXY_TIMEOUT"], default: Preset::Text("120000"),
        kind: milliseconds(0, DAY_MS, "no limit"), since: "0.11",
    }
    /// Whether the proxy keeps connections to workspaces open for further requests.
    proxy_keep_alive: bool {
        flag: Flag::long("proxy-keep-alive"), env: &["PROXY_KEEP_ALIVE"], default: Preset::Text("true"),
        kind: Kind::Bool, since: "0.11",
    }
    /// Longest time `spawn_workspace` waits for a workspace to become ready, and how long it waits when the caller names
    /// no time.
    spawn_timeout: Duration {
        flag: Flag::long("spawn-timeout"), env: &["SPAWN_TIMEOUT"], default: Preset::Text("300"),
        kind: seconds(1, 3600), since: "0.18",
    }
    /// How long the new pod of an upgraded workspace may take to become ready, before the upgrade is given up.
    upgrade_timeout: Duration {
        flag: Flag::long("upgrade-timeout"), env: &["UPGRADE_TIMEOUT"], default: Preset::Text("600"),
        kind: seconds(1, 86_400), since: "0.18",
    }
    /// How long open requests may take to finish when the server is told to stop.
    drain_timeout: Duration {
        flag: Flag::long("drain-timeout"), env: &["DRAIN_TIMEOUT"], default: Preset::Text("30"),
        kind: seconds(0, 3600), since: "0.18",
    }
    /// Ask the user, through the MCP client, before a tool destroys or changes what is there; with a client that can't ask, refuse.
    confirm_destructive: bool {
        flag: Flag::long("confirm-destructive"), env: &["CONFIRM_DESTRUCTIVE"], default: Preset::Text("false"),
        kind: Kind::Bool, since: "0.18",
    }
    /// Port on which replicas hand the session key to each other, where no Secret can hold it. Never the port of `PORT`;
    /// needs `PEER_TOKEN_FILE`.
    peer_port: Option<NonZeroU16> {
        flag: Flag::long("peer-port"), env: &["PEER_PORT"], default: Preset::Text("0"), since: "0.18",
        kind: Kind::Number { min: 0, max: 65535, unit: Unit::None, zero: "replicas don't ask each other" },
    }
    /// File with a projected token of the pod's service account, of audience `no-crd-session-key`: how a replica proves to
    /// another one that it is one.
    peer_token_file: Option<PathBuf> {
        flag: Flag::long("peer-token-file"), env: &["PEER_TOKEN_FILE"], kind: Kind::Path, since: "0.18",
    }
    /// How often a new replica asks its peers for the session key. Counts only with `PEER_PORT`.
    peer_discovery_retries: u32 {
        env: &["PEER_DISCOVERY_RETRIES"], default: Preset::Text("30"), kind: number(0, 10_000),
    }
    /// Pause between two such attempts.
    peer_discovery_delay_ms: Duration {
        env: &["PEER_DISCOVERY_DELAY_MS"], default: Preset::Text("500"), kind: milliseconds(1, 60_000, ""),
    }
}

group Tls {
    /// PEM file with the certificate chain; with `TLS_KEY` it makes the server speak HTTPS. Both files are read again
    /// when they change.
    tls_cert: Option<PathBuf> {
        flag: Flag::long("tls-cert"), env: &["TLS_CERT"], kind: Kind::Path,
    }
    /// PEM file with the private key of `TLS_CERT`.
    tls_key: Option<PathBuf> {
        flag: Flag::long("tls-key"), env: &["TLS_KEY"], kind: Kind::Path,
    }
    /// PEM file with certificate authorities. When it is set, clients must present a certificate that one of them has issued,
    /// or no connection comes about. It lets nobody in by itself: who a caller is, their token or session says. Read again
    /// when it changes.
    tls_ca: Option<PathBuf> {
        flag: Flag::long("tls-ca"), env: &["TLS_CA"], kind: Kind::Path, since: "0.3",
    }
    /// `0` skips the check of the Kubernetes API server's certificate. For development only.
    node_tls_reject_unauthorized: bool {
        env: &["NODE_TLS_REJECT_UNAUTHORIZED"], default: Preset::Text("true"), kind: Kind::Bool,
    }
}

group Cors {
    /// Origins whose pages may call the MCP endpoint and the probes: `*`, or a comma-separated list. Unless it is set, pages
    /// of other origins may not, whatever the default says.
    cors_allowed_origin: Vec<String> {
        flag: Flag::long("cors-origin"), env: &["CORS_ALLOWED_ORIGIN", "CORS_ORIGIN"], default: Preset::Text("*"),
        kind: Kind::List(&Kind::Origin),
    }
    /// Methods such pages may use.
    cors_allowed_methods: Vec<String> {
        flag: Flag::long("cors-methods"), env: &["CORS_ALLOWED_METHODS", "CORS_METHODS"],
        default: Preset::Text("GET, POST, OPTIONS"), kind: Kind::List(&Kind::Token),
    }
    /// Request headers such pages may send.
    cors_allowed_headers: Vec<String> {
        flag: Flag::long("cors-headers"), env: &["CORS_ALLOWED_HEADERS", "CORS_HEADERS"],
        default: Preset::Text("Content-Type, Authorization, mcp-protocol-version, mcp-session-id"),
        kind: Kind::List(&Kind::Token),
    }
    /// Whether such pages may send cookies. Counts only with named origins.
    cors_allow_credentials: bool {
        flag: Flag::long("cors-allow-credentials"), env: &["CORS_ALLOW_CREDENTIALS", "CORS_CREDENTIALS"],
        default: Preset::Text("false"), kind: Kind::Bool, since: "0.3",
    }
    /// Response headers such pages may read.
    cors_exposed_headers: Vec<String> {
        flag: Flag::long("cors-expose-headers"), env: &["CORS_EXPOSED_HEADERS", "CORS_EXPOSED"],
        default: Preset::Text("mcp-session-id, x-refreshed-token"), kind: Kind::List(&Kind::Token), since: "0.3",
    }
    /// How long a browser may remember the answer to a preflight request.
    cors_max_age: Option<Duration> {
        flag: Flag::long("cors-max-age"), env: &["CORS_MAX_AGE"], kind: seconds(0, YEAR_S), since: "0.3",
    }
}

group Kubernetes {
    /// Configuration files of the Kubernetes client, as `kubectl` understands them. When they are named, no other cluster
    /// is looked for.
    kubeconfig: Vec<PathBuf> {
        env: &["KUBECONFIG"], kind: Kind::Paths,
        default: Preset::Computed("`~/.kube/config`, else the service account of the server's pod"),
    }
    /// How far the server reaches: all namespaces, or the configured one only.
    mode: Mode {
        flag: Flag::short('m', "mode"), env: &["MODE"], default: Preset::Text("cluster"),
        kind: Kind::Choice(Mode::WORDS),
    }
    /// Namespace of whatever names none.
    namespace: Namespace {
        flag: Flag::short('n', "namespace"), env: &["NAMESPACE", "DEFAULT_NAMESPACE"], default: Preset::Text("nogoo9"),
        kind: Kind::DnsLabel,
    }
    /// Namespaces the server works in, in mode `cluster`; empty means any but those of Kubernetes itself, and for the
    /// workspaces of signed-in users only the default one.
    allowed_namespaces: Option<BTreeSet<Namespace>> {
        flag: Flag::long("allowed-namespaces"), env: &["ALLOWED_NAMESPACES"], kind: Kind::List(&Kind::DnsLabel),
        since: "0.18",
    }
    /// Don't ask the cluster what the server may do; offer every tool.
    disable_permission_checks: bool {
        flag: Flag::long("disable-permission-checks"), env: &["DISABLE_PERMISSION_CHECKS"],
        default: Preset::Text("false"), kind: Kind::Bool,
    }
    /// Pod tools act only on pods this server created, for administrators too.
    managed_only: bool {
        flag: Flag::long("managed-only"), env: &["MANAGED_ONLY"], default: Preset::Text("true"), kind: Kind::Bool,
        since: "0.5",
    }
    /// What templates and inline specs may ask for (Pod Security Standards).
    pod_security: PodSecurity {
        flag: Flag::long("pod-security"), env: &["POD_SECURITY"], default: Preset::Text("baseline"),
        kind: Kind::Choice(PodSecurity::WORDS), since: "0.18",
    }
    /// Service accounts that templates and administrators may name, besides a namespace's default one and those the server
    /// creates.
    allowed_service_accounts: BTreeSet<String> {
        flag: Flag::long("allowed-service-accounts"), env: &["ALLOWED_SERVICE_ACCOUNTS"],
        kind: Kind::List(&Kind::DnsSubdomain), since: "0.18",
    }
    /// Secrets that signed-in users may refer to in what they bring to a pod, besides those of the template they use. A
    /// name alone means the default namespace.
    allowed_secrets: BTreeSet<String> {
        flag: Flag::long("allowed-secrets"), env: &["ALLOWED_SECRETS"],
        kind: Kind::List(&Kind::ObjectName), since: "0.18",
    }
    /// ConfigMaps that signed-in users may refer to, likewise; those of templates and of the server stay out of reach.
    allowed_configmaps: BTreeSet<String> {
        flag: Flag::long("allowed-configmaps"), env: &["ALLOWED_CONFIGMAPS"],
        kind: Kind::List(&Kind::ObjectName), since: "0.18",
    }
    /// Persistent volume claims that signed-in users may refer to, likewise.
    allowed_claims: BTreeSet<String> {
        flag: Flag::long("allowed-claims"), env: &["ALLOWED_CLAIMS"],
        kind: Kind::List(&Kind::ObjectName), since: "0.18",
    }
    /// Prefixes of the labels and annotations that signed-in users may set on their workspaces.
    allowed_metadata_prefixes: BTreeSet<String> {
        flag: Flag::long("allowed-metadata-prefixes"), env: &["ALLOWED_METADATA_PREFIXES"],
        kind: Kind::List(&Kind::KeyPrefix), since: "0.18",
    }
    /// Address ranges of the cluster's pods: the proxy connects to no other address. Without it, any address but loopback,
    /// link-local, multicast and metadata addresses.
    pod_cidrs: Vec<IpNet> {
        flag: Flag::long("pod-cidrs"), env: &["POD_CIDRS"], kind: Kind::List(&Kind::Cidr), since: "0.18",
        default: Preset::Computed("empty; `127.0.0.0/8` with `nocrd-all dev`"),
    }
    /// Port of workspaces that name none; without it, 3000.
    default_workspace_port: Option<NonZeroU16> {
        flag: Flag::long("default-workspace-port"), env: &["DEFAULT_WORKSPACE_PORT"], kind: number(1, 65535),
    }
    /// Most workspaces and pods one user may have at a time. Without authentication all callers are one user, `guest`.
    max_workspaces_per_user: Option<NonZeroU32> {
        flag: Flag::long("max-workspaces-per-user"), env: &["MAX_WORKSPACES_PER_USER"], default: Preset::Text("0"),
        kind: Kind::Number { min: 0, max: 1_000_000, unit: Unit::None, zero: "no limit" }, since: "0.17",
    }
    /// Image registry whose images `list_registry_images` lists. It needs a catalogue, which public ones such as Docker Hub
    /// don't have.
    registry_url: Option<Url> {
        env: &["REGISTRY_URL"], kind: Kind::Url,
    }
    /// Who reads the registry, where it asks. Counts only with `REGISTRY_PASSWORD`.
    registry_username: Option<String> {
        env: &["REGISTRY_USERNAME"], kind: Kind::Token, since: "0.18",
    }
    /// Password of `REGISTRY_USERNAME`, or what the registry takes for one. It is shown to the registry, and to the server
    /// that the registry names for tokens, by https or at the registry's own address.
    registry_password: Option<SecretString> {
        env: &["REGISTRY_PASSWORD"], kind: Kind::Secret { min_bytes: 0 }, since: "0.18",
    }
    /// Directory with templates (`.yaml`, `.yml`, `.json`). They count less than ConfigMaps and more than built-in ones.
    templates_dir: Option<PathBuf> {
        env: &["TEMPLATES_DIR"], kind: Kind::Path, since: "0.4",
    }
    /// Whether the templates that come with the program are offered.
    builtin_templates: bool {
        env: &["BUILTIN_TEMPLATES"], default: Preset::Text("true"), kind: Kind::Bool, since: "0.4",
    }
}

group Authentication {
    /// Ask every caller over HTTP for a token or a session, and keep users apart. Whoever reaches the server by standard
    /// input and output is the local user and is never asked.
    auth_enabled: bool {
        flag: Flag::long("auth-enabled"), env: &["AUTH_ENABLED"], default: Preset::Text("false"), kind: Kind::Bool,
    }
    /// Whether the signatures of tokens are checked. `false` is for a server behind a gateway that has checked them: it needs
    /// a loopback `HOST`, or `TRUSTED_PROXIES`, and then tokens are believed only from those. Expiry, issuer and audience
    /// are checked all the same.
    jwt_verification_required: bool {
        env: &["JWT_VERIFICATION_REQUIRED"], default: Preset::Text("true"), kind: Kind::Bool,
    }
    /// Shared key of HS256 tokens; their audience is checked only where `JWT_AUDIENCE`, `OAUTH_CLIENT_ID` or `PUBLIC_URL` names
    /// one. Unless `PROXY_SESSION_SECRET` is set, the key of session cookies is derived from it.
    jwt_secret: Option<SecretString> {
        env: &["JWT_SECRET"], kind: Kind::Secret { min_bytes: MIN_KEY_BYTES },
    }
    /// Public key or certificate of the identity provider, PEM (RSA, P-256, P-384, Ed25519). `\n` stands for a line break.
    jwt_public_key: Option<String> {
        env: &["JWT_PUBLIC_KEY"], kind: Kind::Text,
    }
    /// Key set of the identity provider (JWKS): URL or file. Without it, and without another key, the one that discovery
    /// names.
    jwks_uri: Option<String> {
        env: &["JWKS_URI"], kind: Kind::UrlOrPath,
    }
    /// Endpoint that is asked about every token (RFC 7662), instead of checking it here.
    introspection_endpoint: Option<Url> {
        env: &["INTROSPECTION_ENDPOINT", "JWT_INTROSPECTION_ENDPOINT"], kind: Kind::Url,
    }
    /// OAuth client id of the server: for signing in, refreshing, and introspection.
    oauth_client_id: Option<String> {
        env: &["OAUTH_CLIENT_ID"], kind: Kind::Text,
    }
    /// OAuth client secret of the server; none for a public client.
    oauth_client_secret: Option<SecretString> {
        env: &["OAUTH_CLIENT_SECRET"], kind: Kind::Secret { min_bytes: 0 },
    }
    /// Audience a token must name. `*` accepts any, and with it tokens that were made for other programs.
    jwt_audience: Option<String> {
        env: &["JWT_AUDIENCE"], kind: Kind::Text,
        default: Preset::Computed("`OAUTH_CLIENT_ID` or the server's `PUBLIC_URL`, whichever is set"),
    }
    /// Issuer a token must name, exactly as tokens spell it; advertised to clients as the authorization server. Without
    /// another source of keys and endpoints, its OpenID discovery document is asked for them.
    auth_issuer: Option<String> {
        env: &["AUTH_ISSUER", "JWT_ISSUER"], kind: Kind::Url,
    }
    /// Where a token holds the user's identity.
    auth_sub_jsonpath: String {
        env: &["AUTH_SUB_JSONPATH"], default: Preset::Text("$.sub"), kind: Kind::JsonPath,
    }
    /// Where a token holds its scopes.
    auth_scope_jsonpath: String {
        flag: Flag::long("auth-scope-jsonpath"), env: &["AUTH_SCOPE_JSONPATH"], default: Preset::Text("$.scope"),
        kind: Kind::JsonPath, since: "0.3",
    }
    /// Where a token holds the user's roles.
    auth_roles_jsonpath: String {
        flag: Flag::long("auth-roles-jsonpath"), env: &["AUTH_ROLES_JSONPATH", "AUTH_ADMIN_JSONPATH"],
        default: Preset::Text("$.realm_access.roles"), kind: Kind::JsonPath, since: "0.3",
    }
    /// Role of administrators.
    auth_admin_role: String {
        env: &["AUTH_ADMIN_ROLE"], default: Preset::Text("admin"), kind: Kind::Token, since: "0.3",
    }
    /// Scope needed to read. Set to nothing, it is not checked. A token without any scope claim passes, unless
    /// `AUTH_REQUIRE_SCOPE_CLAIM` is set.
    auth_required_read_scope: Option<String> {
        flag: Flag::long("auth-required-read-scope"), env: &["AUTH_REQUIRED_READ_SCOPE"],
        default: Preset::Text("nogoo9:read"), kind: Kind::Token, empty_counts: true, since: "0.3",
    }
    /// Scope needed to change something. Set to nothing, it is not checked.
    auth_required_write_scope: Option<String> {
        flag: Flag::long("auth-required-write-scope"), env: &["AUTH_REQUIRED_WRITE_SCOPE"],
        default: Preset::Text("nogoo9:write"), kind: Kind::Token, empty_counts: true, since: "0.3",
    }
    /// Scope that administrators need besides their role; it stands for the other scopes. Set to nothing, it is not checked.
    auth_required_admin_scope: Option<String> {
        flag: Flag::long("auth-required-admin-scope"), env: &["AUTH_REQUIRED_ADMIN_SCOPE"],
        default: Preset::Text("nogoo9:admin"), kind: Kind::Token, empty_counts: true, since: "0.7",
    }
    /// Refuse tokens that carry no scope claim at all, instead of letting the role alone decide.
    auth_require_scope_claim: bool {
        flag: Flag::long("auth-require-scope-claim"), env: &["AUTH_REQUIRE_SCOPE_CLAIM"], default: Preset::Text("false"),
        kind: Kind::Bool, since: "0.18",
    }
    /// Users, as `AUTH_SUB_JSONPATH` finds them, who are administrators whatever their token says.
    auth_admin_users: Vec<String> {
        env: &["AUTH_ADMIN_USERS"], kind: Kind::List(&Kind::Text), since: "0.16",
    }
    /// Role needed to read, and to start and stop workspaces of one's own. Set to nothing, it is not checked. Each role
    /// includes the ones below it: administrators, the write role, the read role.
    auth_required_read_role: Option<String> {
        flag: Flag::long("auth-required-read-role"), env: &["AUTH_REQUIRED_READ_ROLE"],
        default: Preset::Text("viewer"), kind: Kind::Token, empty_counts: true, since: "0.3",
    }
    /// Role needed for raw pods and for templates of one's own. Set to nothing, it is not checked.
    auth_required_write_role: Option<String> {
        flag: Flag::long("auth-required-write-role"), env: &["AUTH_REQUIRED_WRITE_ROLE"],
        default: Preset::Text("user"), kind: Kind::Token, empty_counts: true, since: "0.3",
    }
    /// Role of users whose token names no role at all. Not the one of administrators.
    auth_default_role: String {
        env: &["AUTH_DEFAULT_ROLE"], default: Preset::Text("viewer"), kind: Kind::Token, since: "0.7",
    }
    /// How long a session in a browser lasts without being used. In use, it is renewed after half of that.
    proxy_session_ttl: Duration {
        env: &["PROXY_SESSION_TTL"], default: Preset::Text("1800"), kind: seconds(1, YEAR_S), since: "0.4",
    }
    /// How long after signing in a session ends in any case. When it is not set, never before `PROXY_SESSION_TTL`.
    session_max_age: Duration {
        flag: Flag::long("session-max-age"), env: &["SESSION_MAX_AGE"], default: Preset::Text("43200"),
        kind: seconds(1, YEAR_S), since: "0.18",
    }
    /// Lifetime of the cookie `nocr_refresh` when the identity provider names none.
    proxy_refresh_cookie_ttl: Duration {
        env: &["PROXY_REFRESH_COOKIE_TTL"], default: Preset::Text("604800"), kind: seconds(1, YEAR_S), since: "0.11.1",
    }
    /// Lifetime of the cookie `nocr_token`, which there is no more: a link with a token starts a session, and workspaces
    /// get tokens in `x-workspace-jwt`.
    proxy_token_cookie_ttl: Duration {
        env: &["PROXY_TOKEN_COOKIE_TTL"], default: Preset::Text("86400"), kind: seconds(1, YEAR_S), since: "0.11.1",
        effect: Effect::Gone("there is no cookie `nocr_token` any more"),
    }
    /// Key of session cookies, the same on all replicas.
    proxy_session_secret: Option<SecretString> {
        env: &["PROXY_SESSION_SECRET"], kind: Kind::Secret { min_bytes: MIN_KEY_BYTES }, since: "0.4",
        default: Preset::Computed("derived from `JWT_SECRET`, else shared through a Secret of the cluster"),
    }
    /// The key before the present one: cookies made with it are still accepted, and replaced. Remove it when the last of
    /// them has ended.
    proxy_session_secret_previous: Option<SecretString> {
        env: &["PROXY_SESSION_SECRET_PREVIOUS"], kind: Kind::Secret { min_bytes: MIN_KEY_BYTES }, since: "0.18",
    }
    /// Scopes that are asked for when a user signs in, besides the scopes for reading, writing and administration.
    oauth_scopes: Vec<String> {
        env: &["OAUTH_SCOPES"], default: Preset::Text("openid profile email offline_access"), kind: Kind::Words,
        since: "0.6",
    }
    /// Authorization endpoint of the identity provider, where browsers are sent to sign in; without it, the one that
    /// discovery names.
    oauth_authorization_url: Option<Url> {
        env: &["OAUTH_AUTHORIZATION_URL"], kind: Kind::Url, since: "0.7",
    }
    /// OpenID discovery document as the server reaches it.
    oauth_server_discovery_url: Option<Url> {
        env: &["OAUTH_SERVER_DISCOVERY_URL", "OAUTH_DISCOVERY_URL"], kind: Kind::Url, since: "0.9",
    }
    /// OpenID discovery document as browsers reach it.
    oauth_discovery_url: Option<Url> {
        env: &["OAUTH_DISCOVERY_URL"], kind: Kind::Url, since: "0.3",
    }
    /// Token endpoint as the server reaches it; without it, the one that discovery names.
    oauth_server_token_url: Option<Url> {
        env: &["OAUTH_SERVER_TOKEN_URL", "OAUTH_TOKEN_URL"], kind: Kind::Url, since: "0.9",
    }
    /// Where browsers are sent after signing out (OpenID RP-initiated logout); without it, where discovery says.
    oauth_end_session_url: Option<Url> {
        env: &["OAUTH_END_SESSION_URL"], kind: Kind::Url, since: "0.7",
    }
    /// Whether the proxy passes the user's token to the user's own workspaces in `x-workspace-jwt`.
    auth_inject_workspace_jwt: bool {
        flag: Flag::long("auth-inject-workspace-jwt"), env: &["AUTH_INJECT_WORKSPACE_JWT"],
        default: Preset::Text("true"), kind: Kind::Bool, since: "0.9",
    }
}

group Ui {
    /// Whether there is a page at the root of the server: for now one that tells how to connect, later the dashboard.
    ui_enabled: bool {
        env: &["UI_ENABLED"], default: Preset::Text("true"), kind: Kind::Bool,
    }
    /// Directory with themes (`*.css`).
    themes_dir: PathBuf {
        env: &["THEMES_DIR"], default: Preset::Text("themes"), kind: Kind::Path, since: "0.3", effect: UI_LATER,
    }
    /// ConfigMap with themes, in the configured namespace.
    themes_configmap: Option<String> {
        env: &["THEMES_CONFIGMAP"], kind: Kind::DnsSubdomain, since: "0.3", effect: UI_LATER,
    }
    /// Directory that is served at `/docs/`.
    docs_dir: Option<PathBuf> {
        env: &["DOCS_DIR"], kind: Kind::Path, since: "0.3",
        effect: Effect::Later("serving the documentation comes with a later release"),
    }
    /// How the dashboard signs users in.
    oauth_login_method: LoginMethod {
        env: &["OAUTH_LOGIN_METHOD"], default: Preset::Text("redirect"), kind: Kind::Choice(LoginMethod::WORDS),
        since: "0.3", effect: UI_LATER,
    }
    /// Title of the dashboard; also part of `/healthz`.
    ui_title: String {
        env: &["UI_TITLE"], default: Preset::Text("nogoo9 Pod Manager"), since: "0.5.4",
    }
    /// Line below the title; also part of `/healthz`.
    ui_subtitle: String {
        env: &["UI_SUBTITLE"], since: "0.5.4",
        default: Preset::Text("On-demand Kubernetes pod orchestration and agent-sandbox management without CRDs."),
    }
}
}
