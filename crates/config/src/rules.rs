//! Rules that concern several settings, defaults that depend on others, and warnings.

mod authentication;

use std::net::IpAddr;

use crate::{
    choice::{Mode, PodSecurity, Transport},
    command::Binary,
    error::Error,
    resolve::Source,
    row::Effect,
    settings::{Settings, TABLE},
};

/// What the rules need to know besides the settings.
pub(crate) struct Circumstances {
    pub(crate) binary: Binary,
    /// Whether the cluster is the embedded one.
    pub(crate) dev: bool,
}

/// Completes settings that are valid each on its own, and gives what is wrong with them together.
pub(crate) fn apply(settings: &mut Settings, circumstances: &Circumstances) -> Vec<Error> {
    fill_in(settings, circumstances);
    warn(settings);
    let mut errors = Vec::new();
    for check in [transport, tls, address, metrics, namespaces, public_url, registry] {
        errors.extend(check(settings, circumstances));
    }
    errors.extend(authentication::check(settings, circumstances));
    errors
}

fn fill_in(settings: &mut Settings, circumstances: &Circumstances) {
    if settings.auth_enabled && !settings.transport.serves_http() {
        settings.auth_enabled = false;
        settings.warnings.push(
            "AUTH_ENABLED is set, but transport `stdio` serves the local user only and asks for no token"
                .to_owned(),
        );
    }
    if settings.source("HOST") == Source::Default {
        // Whoever reaches an open server can start programs: on a machine of its own it is for that machine only. In a
        // cluster nothing would reach it there, and NetworkPolicy and Ingress decide who does.
        let asks = settings.auth_enabled && settings.jwt_verification_required;
        let open = !circumstances.dev && (settings.in_cluster || asks);
        settings.host = if open { "0.0.0.0" } else { "127.0.0.1" }.to_owned();
    }
    if circumstances.dev && settings.pod_cidrs.is_empty() {
        settings.pod_cidrs.extend("127.0.0.0/8".parse::<ipnet::IpNet>());
    }
    if settings.source("METRICS_HOST") == Source::Default {
        let open = settings.in_cluster && !circumstances.dev;
        settings.metrics_host = if open { "0.0.0.0" } else { "127.0.0.1" }.to_owned();
    }
    // `null` is the origin of every sandboxed page and local file.
    let anybody = settings.cors_allowed_origin.iter().find(|origin| matches!(origin.as_str(), "*" | "null"));
    if let Some(origin) = anybody.filter(|_| settings.cors_allow_credentials) {
        settings.warnings.push(format!(
            "CORS_ALLOW_CREDENTIALS counts only with named origins: it is off while CORS_ALLOWED_ORIGIN holds `{origin}`"
        ));
        settings.cors_allow_credentials = false;
    }
    // Who lets a session rest for a day did not mean it to end after half of that.
    if settings.source("SESSION_MAX_AGE") == Source::Default {
        settings.session_max_age = settings.session_max_age.max(settings.proxy_session_ttl);
    }
}

pub(crate) fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

fn warn(settings: &mut Settings) {
    let mut warnings = Vec::new();
    for row in TABLE {
        if let (Effect::Later(reason) | Effect::Gone(reason), source) =
            (row.effect, settings.source(row.name()))
            && source != Source::Default
        {
            let name = match source {
                Source::Env(alias) if alias != row.name() => format!("{} (as {alias})", row.name()),
                _ => row.name().to_owned(),
            };
            warnings.push(format!("{name} is set, but {reason}"));
        }
    }
    if settings.transport.serves_http() && !settings.auth_enabled && !settings.binds_loopback() {
        warnings.push(format!(
            "the server has no authentication and listens on {}: whoever reaches it can start and stop workspaces",
            settings.host
        ));
    }
    let any_origin = settings.cors_allowed_origin.iter().any(|origin| origin == "*");
    if any_origin && settings.source("CORS_ALLOWED_ORIGIN") != Source::Default && !settings.auth_enabled {
        warnings.push(
            "CORS_ALLOWED_ORIGIN is `*` and the server has no authentication: every page in a browser that reaches it can \
             start and stop workspaces"
                .to_owned(),
        );
    }
    if settings.mode == Mode::Namespaced && settings.allowed_namespaces.is_some() {
        warnings.push("ALLOWED_NAMESPACES counts only in mode `cluster`".to_owned());
    }
    if settings.pod_security == PodSecurity::Privileged {
        warnings.push(
            "POD_SECURITY is `privileged`: whoever starts a workspace can take over its node".to_owned(),
        );
    }
    if !settings.node_tls_reject_unauthorized {
        warnings.push(
            "NODE_TLS_REJECT_UNAUTHORIZED is off: the API server's certificate is not checked".to_owned(),
        );
    }
    let overlap =
        |proxies: &ipnet::IpNet, pods: &ipnet::IpNet| proxies.contains(pods) || pods.contains(proxies);
    let among = settings.trusted_proxies.iter().find_map(|proxies| {
        let pods = settings.pod_cidrs.iter().find(|pods| overlap(proxies, pods))?;
        Some((proxies, pods))
    });
    if let Some((proxies, pods)) = among {
        warnings.push(format!(
            "TRUSTED_PROXIES ({proxies}) and POD_CIDRS ({pods}) overlap: a workspace with an address in both may say that it \
             is any client"
        ));
    }
    warnings.extend(registry_warnings(settings));
    warnings.extend(authentication::warnings(settings));
    settings.warnings.extend(warnings);
}

fn transport(settings: &Settings, circumstances: &Circumstances) -> Option<Error> {
    (circumstances.binary == Binary::Proxy && settings.transport != Transport::Http).then(|| {
        Error::rule(
            "TRANSPORT",
            format!("TRANSPORT is `{}`, but nocrd-proxy serves HTTP only", settings.transport),
        )
    })
}

fn tls(settings: &Settings, _: &Circumstances) -> Option<Error> {
    let missing = match (&settings.tls_cert, &settings.tls_key) {
        (Some(_), None) => "TLS_KEY is missing",
        (None, Some(_)) => "TLS_CERT is missing",
        (None, None) if settings.tls_ca.is_some() => "TLS_CERT and TLS_KEY are missing beside TLS_CA",
        _ => return None,
    };
    Some(Error::rule("TLS_CERT", format!("{missing}: HTTPS needs both TLS_CERT and TLS_KEY")))
}

fn address(settings: &Settings, circumstances: &Circumstances) -> Option<Error> {
    let exposed = circumstances.dev && settings.transport.serves_http() && !settings.binds_loopback();
    exposed.then(|| {
        Error::rule(
            "HOST",
            format!(
                "HOST is {:?}, but the embedded cluster runs pods as processes of this user without authentication: with \
                 `dev` the server binds a loopback address only",
                settings.host
            ),
        )
    })
}

fn metrics(settings: &Settings, _: &Circumstances) -> Option<Error> {
    let any = |host: &str| host.parse::<IpAddr>().is_ok_and(|ip| ip.is_unspecified());
    let (host, other) = (settings.host.as_str(), settings.metrics_host.as_str());
    let taken = settings.transport.serves_http()
        && settings.metrics_port.is_some_and(|port| port.get() == settings.port)
        && (host == other || any(host) || any(other));
    taken.then(|| {
        Error::rule(
            "METRICS_PORT",
            "METRICS_PORT is PORT, the port users reach: the metrics need a port of their own",
        )
    })
}

fn namespaces(settings: &Settings, _: &Circumstances) -> Option<Error> {
    let allowed = settings.allowed_namespaces.as_ref().filter(|_| settings.mode == Mode::Cluster)?;
    (!allowed.contains(&settings.namespace)).then(|| {
        Error::rule(
            "ALLOWED_NAMESPACES",
            format!(
                "ALLOWED_NAMESPACES does not hold the default namespace `{}`: add it, or set NAMESPACE to one of the list",
                settings.namespace
            ),
        )
    })
}

fn public_url(settings: &Settings, _: &Circumstances) -> Option<Error> {
    let url = settings.public_url.as_ref()?;
    (url.query().is_some() || url.fragment().is_some())
        .then(|| Error::rule("PUBLIC_URL", "PUBLIC_URL must have neither a query nor a fragment"))
}

fn registry(settings: &Settings, _: &Circumstances) -> Option<Error> {
    let url = settings.registry_url.as_ref();
    if url.is_some_and(|url| url.query().is_some() || url.fragment().is_some()) {
        return Some(Error::rule("REGISTRY_URL", "REGISTRY_URL must have neither a query nor a fragment"));
    }
    // It ends the name in what is sent (RFC 7617).
    let splits = settings.registry_username.as_ref().is_some_and(|name| name.contains(':'));
    splits.then(|| Error::rule("REGISTRY_USERNAME", "REGISTRY_USERNAME must not hold a `:`"))
}

fn registry_warnings(settings: &Settings) -> Vec<String> {
    let (name, password) = (&settings.registry_username, &settings.registry_password);
    let mut warnings = Vec::new();
    match (&settings.registry_url, name, password) {
        (_, None, None) => {}
        (Some(url), Some(_), Some(_)) => {
            let host = url.host_str().unwrap_or_default();
            if url.scheme() == "http" && !is_loopback(host.trim_matches(['[', ']'])) {
                warnings.push(format!(
                    "REGISTRY_URL is not https: whoever is on the way to {host} can read REGISTRY_PASSWORD"
                ));
            }
        }
        _ => warnings.push(
            "REGISTRY_USERNAME and REGISTRY_PASSWORD count only together, and with REGISTRY_URL".to_owned(),
        ),
    }
    warnings
}
