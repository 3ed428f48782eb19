//! Types of settings: what is allowed, in a sentence, and the check that enforces it.

use std::net::IpAddr;

use ipnet::IpNet;
use nocrd_model::id;
use url::Url;

/// Unit of a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// A count or a port.
    None,
    /// Milliseconds.
    Milliseconds,
    /// Seconds.
    Seconds,
}

/// Type of a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Any text, taken as it is.
    Text,
    /// `true`, `false` and the usual other words.
    Bool,
    /// One of these words, in any case.
    Choice(&'static [&'static str]),
    /// A whole number in decimal digits.
    Number {
        /// Least.
        min: u64,
        /// Most.
        max: u64,
        /// Unit.
        unit: Unit,
        /// What 0 means when that is "nothing": `no limit`. Empty when 0 is a number like any other.
        zero: &'static str,
    },
    /// IP address or host name, without a port.
    Host,
    /// Host name or IP address, with or without a port.
    HostPort,
    /// Path prefix of all routes.
    BasePath,
    /// File or directory.
    Path,
    /// Files, separated as in `PATH`.
    Paths,
    /// `http` or `https` URL without credentials.
    Url,
    /// URL or path of a file.
    UrlOrPath,
    /// `*` or an origin (RFC 6454).
    Origin,
    /// HTTP token (RFC 9110): method, header name, scope or role.
    Token,
    /// DNS label (RFC 1123).
    DnsLabel,
    /// DNS subdomain (RFC 1123): what most Kubernetes object names are.
    DnsSubdomain,
    /// Name of a Kubernetes object, with or without its namespace.
    ObjectName,
    /// Prefix of the keys of labels and annotations, without the slash that ends it.
    KeyPrefix,
    /// JSONPath (RFC 9535).
    JsonPath,
    /// Address range (CIDR).
    Cidr,
    /// Key material or password.
    Secret {
        /// Fewest bytes.
        min_bytes: usize,
    },
    /// Comma-separated list.
    List(&'static Kind),
    /// Blank-separated list.
    Words,
}

/// Longest value of a setting that is not a key, in bytes.
const MAX_LEN: usize = 4096;

impl Kind {
    /// Completes the sentence "must be …".
    #[must_use]
    pub fn allowed(&self) -> String {
        match self {
            Self::Text => "text".to_owned(),
            Self::Bool => "`true` or `false` (also `1`/`0`, `yes`/`no`, `on`/`off`)".to_owned(),
            Self::Choice(words) => {
                format!("one of {}", words.iter().map(|w| format!("`{w}`")).collect::<Vec<_>>().join(", "))
            }
            Self::Number { min, max, unit, zero } => {
                let unit = match unit {
                    Unit::None => "",
                    Unit::Milliseconds => " of milliseconds",
                    Unit::Seconds => " of seconds",
                };
                let zero = if zero.is_empty() { String::new() } else { format!(" (0: {zero})") };
                format!("a whole number{unit} from {min} to {max}{zero}")
            }
            Self::Host => "an IP address or a host name, without a port".to_owned(),
            Self::HostPort => "a host name or IP address, with or without a port".to_owned(),
            Self::BasePath => {
                "a path such as `/gateway/no-crd`, of letters, digits, `-`, `_`, `~` and `.`: no URL, no dot segments, no \
                 empty segments"
                    .to_owned()
            }
            Self::Path => "a path".to_owned(),
            Self::Paths => "one or more paths, separated as in PATH".to_owned(),
            Self::Url => "an http or https URL without credentials in it".to_owned(),
            Self::UrlOrPath => "an http, https or file URL without credentials in it, or a path".to_owned(),
            Self::Origin => "`*` or an origin such as `https://app.example.com`".to_owned(),
            Self::Token => "a word without blanks, commas or control characters".to_owned(),
            Self::DnsLabel => {
                "1 to 63 lower-case letters, digits or `-`, beginning and ending with a letter or digit".to_owned()
            }
            Self::DnsSubdomain => "a Kubernetes object name: lower-case letters, digits, `-` and `.`".to_owned(),
            Self::ObjectName => "`name` or `namespace/name` of a Kubernetes object".to_owned(),
            Self::KeyPrefix => "what stands before the `/` of a key, such as `example.com`".to_owned(),
            Self::JsonPath => "a JSONPath of at most 256 characters, beginning with `$`".to_owned(),
            Self::Cidr => "an address range such as `10.42.0.0/16`, or one address".to_owned(),
            Self::Secret { min_bytes: 0 } => "a secret".to_owned(),
            Self::Secret { min_bytes } => format!("a secret of at least {min_bytes} bytes"),
            Self::List(item) => format!("a comma-separated list, each item {}", item.allowed()),
            Self::Words => "a blank-separated list of words".to_owned(),
        }
    }

    /// Placeholder of the value in the help.
    #[must_use]
    pub fn placeholder(&self) -> &'static str {
        match self {
            Self::Text => "TEXT",
            Self::Bool => "BOOL",
            Self::Choice(_) => "WORD",
            Self::Number { unit: Unit::None, .. } => "NUMBER",
            Self::Number { unit: Unit::Milliseconds, .. } => "MILLISECONDS",
            Self::Number { unit: Unit::Seconds, .. } => "SECONDS",
            Self::Host => "HOST",
            Self::HostPort => "HOST[:PORT]",
            Self::BasePath | Self::Path => "PATH",
            Self::Paths => "PATHS",
            Self::Url | Self::UrlOrPath => "URL",
            Self::Origin => "ORIGIN",
            Self::Token => "WORD",
            Self::DnsLabel | Self::DnsSubdomain | Self::ObjectName => "NAME",
            Self::KeyPrefix => "PREFIX",
            Self::JsonPath => "JSONPATH",
            Self::Cidr => "CIDR",
            Self::Secret { .. } => "SECRET",
            Self::List(_) | Self::Words => "LIST",
        }
    }

    /// Checks a text and gives its normal form. An error tells what is wrong beyond [`Kind::allowed`]; it is empty when
    /// that says it all.
    pub(crate) fn check(&self, text: &str) -> Result<String, String> {
        match self {
            Self::Secret { min_bytes } => return check_secret(text, *min_bytes),
            Self::Text => return refuse_if(text.contains('\0'), "it holds a NUL", text),
            _ => {}
        }
        let text = text.trim();
        if text.len() > MAX_LEN {
            return Err(format!("it is longer than {MAX_LEN} bytes"));
        }
        if text.chars().any(char::is_control) {
            return Err("it holds control characters".to_owned());
        }
        let ok = |good: bool| refuse_if(!good, "", text);
        match self {
            Self::Bool => parse_bool(text).map(|b| b.to_string()).ok_or_else(String::new),
            Self::Choice(words) => check_choice(words, text),
            Self::Number { .. } => self.number(text).map(|n| n.to_string()),
            Self::Host => ok(is_host(text)),
            Self::HostPort => ok(is_host_port(text)),
            Self::BasePath => check_base_path(text),
            Self::Path | Self::Paths => ok(!text.is_empty()),
            Self::Url => check_url(text, &["http", "https"]).map(|()| text.to_owned()),
            Self::UrlOrPath if text.contains("://") => {
                check_url(text, &["http", "https", "file"]).map(|()| text.to_owned())
            }
            Self::UrlOrPath => ok(!text.is_empty()),
            Self::Origin => check_origin(text),
            Self::Token => ok(!text.is_empty() && !text.contains([' ', ','])),
            Self::DnsLabel => ok(id::is_dns_label(text)),
            Self::DnsSubdomain => ok(id::is_dns_subdomain(text)),
            Self::ObjectName => ok(is_object_name(text)),
            Self::KeyPrefix => {
                let prefix = text.strip_suffix('/').unwrap_or(text);
                refuse_if(!id::is_dns_subdomain(prefix), "", prefix)
            }
            Self::JsonPath => ok(text.starts_with('$') && text.chars().count() <= 256),
            Self::Cidr => parse_range(text).map(|net| net.to_string()).ok_or_else(String::new),
            Self::Text | Self::Secret { .. } | Self::List(_) | Self::Words => Ok(text.to_owned()),
        }
    }

    /// Reads a number of this kind.
    pub(crate) fn number(&self, text: &str) -> Result<u64, String> {
        let Self::Number { min, max, .. } = self else { return Err("it is not a number".to_owned()) };
        let text = text.trim();
        if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
            return Err(String::new());
        }
        text.parse().ok().filter(|n| (min..=max).contains(&n)).ok_or_else(String::new)
    }

    /// Whether the text stands for "nothing", as 0 does for "no limit".
    pub(crate) fn means_nothing(&self, text: &str) -> bool {
        matches!(self, Self::Number { zero, .. } if !zero.is_empty() && self.number(text) == Ok(0))
    }
}

/// Reads a truth value: the words of both sides, in any case.
pub(crate) fn parse_bool(text: &str) -> Option<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Some(true),
        "false" | "0" | "no" | "off" => Some(false),
        _ => None,
    }
}

fn refuse_if(bad: bool, why: &str, text: &str) -> Result<String, String> {
    if bad { Err(why.to_owned()) } else { Ok(text.to_owned()) }
}

fn check_secret(text: &str, min_bytes: usize) -> Result<String, String> {
    if text.len() < min_bytes {
        return Err(format!("it has only {}", text.len()));
    }
    refuse_if(text.contains('\0'), "it holds a NUL", text)
}

fn check_choice(words: &[&str], text: &str) -> Result<String, String> {
    let lower = text.to_ascii_lowercase();
    // `warn` is what most other loggers call it.
    let word = if lower == "warn" { "warning" } else { lower.as_str() };
    refuse_if(!words.contains(&word), "", word)
}

fn is_object_name(text: &str) -> bool {
    let (namespace, name) = text.split_once('/').map_or((None, text), |(of, name)| (Some(of), name));
    namespace.is_none_or(id::is_dns_label) && id::is_dns_subdomain(name)
}

fn is_host_name(text: &str) -> bool {
    let label = |part: &str| {
        !part.is_empty()
            && part.len() <= id::MAX_LABEL_LEN
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    };
    text.len() <= 253 && text.split('.').all(label)
}

fn is_host(text: &str) -> bool {
    text.parse::<std::net::IpAddr>().is_ok() || is_host_name(text)
}

fn is_host_port(text: &str) -> bool {
    let port_ok = |port: &str| nocrd_model::api::parse_port(port).is_some();
    if let Some(rest) = text.strip_prefix('[') {
        let Some((address, rest)) = rest.split_once(']') else { return false };
        let port = rest.strip_prefix(':');
        return address.parse::<std::net::Ipv6Addr>().is_ok()
            && (rest.is_empty() || port.is_some_and(port_ok));
    }
    match text.split_once(':') {
        None => is_host_name(text),
        Some((host, port)) => {
            (is_host_name(host) && port_ok(port)) || text.parse::<std::net::Ipv6Addr>().is_ok()
        }
    }
}

/// Gives the prefix its normal form: empty, or `/a/b` without a slash at the end.
fn check_base_path(text: &str) -> Result<String, String> {
    if text.contains("://") {
        return Err("it is a URL; give its path only, and the whole URL in PUBLIC_URL".to_owned());
    }
    let inner = text.strip_prefix('/').unwrap_or(text);
    let inner = inner.strip_suffix('/').unwrap_or(inner);
    if inner.is_empty() {
        return Ok(String::new());
    }
    // The unreserved characters of RFC 3986: others have more than one spelling, or mean something to routers and cookies.
    let good = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
    for segment in inner.split('/') {
        if segment.is_empty() || segment == "." || segment == ".." || !segment.bytes().all(good) {
            return Err(format!("the segment {segment:?} is not usable"));
        }
    }
    Ok(format!("/{inner}"))
}

/// A range of addresses; one address is a range of its own.
fn parse_range(text: &str) -> Option<IpNet> {
    let one = || text.parse::<IpAddr>().ok().map(IpNet::from);
    text.parse::<IpNet>().ok().map(|net| net.trunc()).or_else(one)
}

fn check_url(text: &str, schemes: &[&str]) -> Result<(), String> {
    // `gw.example:8443` would be read as something of the scheme `gw.example`.
    if !text.contains("://") {
        return Err("begin it with `https://`".to_owned());
    }
    let url = Url::parse(text).map_err(|error| error.to_string())?;
    if !schemes.contains(&url.scheme()) {
        return Err(format!("its scheme is {:?}", url.scheme()));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("it holds credentials".to_owned());
    }
    Ok(())
}

fn check_origin(text: &str) -> Result<String, String> {
    if text == "*" || text == "null" {
        return Ok(text.to_owned());
    }
    check_url(text, &["http", "https"])?;
    let url = Url::parse(text).map_err(|error| error.to_string())?;
    let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
    refuse_if(!bare, "an origin has no path", &url.origin().ascii_serialization())
}
