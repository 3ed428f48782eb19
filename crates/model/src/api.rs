//! The additional HTTP ports a workspace declares with `nogoo9/api.<name>.*`.

use std::{collections::BTreeMap, num::NonZeroU16};

use crate::{Protocol, Refresh, Visibility, keys};

/// One declared port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Api {
    /// Its name: letters, digits, `_` or `-`, without a dot.
    pub name: String,
    /// TCP port in the pod.
    pub port: NonZeroU16,
    /// Path under the workspace's URL, `/` when nothing else is said.
    pub path: String,
    /// What it is, for people.
    pub desc: Option<String>,
    /// Upper-case HTTP methods that reach it; empty means any.
    pub methods: Vec<String>,
    /// How often a dashboard asks it.
    pub refresh: Option<Refresh>,
    /// Who may reach it.
    pub visibility: Visibility,
    /// How requests go to it.
    pub protocol: Protocol,
}

/// A declaration that can't be used, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("annotation {key} is not usable: {reason}")]
pub struct InvalidApi {
    /// The annotation.
    pub key: String,
    /// What is wrong with its value.
    pub reason: String,
}

/// Reads a TCP port as annotations write it: decimal digits only, 1 to 65535.
#[must_use]
pub fn parse_port(text: &str) -> Option<NonZeroU16> {
    let text = text.trim();
    (text.len() <= 5 && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok()).flatten()
}

impl Api {
    /// Tells whether a request with this method reaches the port.
    #[must_use]
    pub fn allows(&self, method: &str) -> bool {
        self.methods.is_empty() || self.methods.iter().any(|m| m == "*" || m.eq_ignore_ascii_case(method))
    }

    /// Reads all declarations from `annotations`, by name. An API without a port is none and is left out; one with a
    /// value that can't be used is reported in the second list, and left out too.
    #[must_use]
    pub fn parse_all(annotations: &BTreeMap<String, String>) -> (Vec<Self>, Vec<InvalidApi>) {
        let mut fields: BTreeMap<&str, BTreeMap<&str, &str>> = BTreeMap::new();
        for (key, value) in annotations {
            if let Some((name, field)) = keys::split_api_key(key) {
                fields.entry(name).or_default().insert(field, value);
            }
        }
        let (mut apis, mut problems) = (Vec::new(), Vec::new());
        for (name, fields) in fields {
            match Self::parse_one(name, &fields) {
                Ok(api) => apis.extend(api),
                Err(problem) => problems.push(problem),
            }
        }
        (apis, problems)
    }

    fn parse_one(name: &str, fields: &BTreeMap<&str, &str>) -> Result<Option<Self>, InvalidApi> {
        let get = |field: &str| fields.get(field).map(|v| v.trim()).filter(|v| !v.is_empty());
        let refuse = |field: &str, reason: String| InvalidApi {
            key: format!("{}{name}.{field}", keys::API_PREFIX),
            reason,
        };
        let Some(port) = get("port") else { return Ok(None) };
        let port =
            parse_port(port).ok_or_else(|| refuse("port", format!("{port:?} is no port from 1 to 65535")))?;
        let path = get("path").unwrap_or("/");
        if !path.starts_with('/')
            // A semicolon begins a parameter of the segment, and in a cookie's `Path` another attribute.
            || path.contains(['\\', '?', '#', '%', ';'])
            || path.contains(char::is_control)
            || path.split('/').any(|s| s == ".." || s == ".")
        {
            return Err(refuse("path", format!("{path:?} is no plain absolute path")));
        }
        let refresh =
            get("refresh").map(Refresh::parse).transpose().map_err(|e| refuse("refresh", e.to_string()))?;
        let protocol =
            Protocol::parse(get("protocol").unwrap_or_default()).map_err(|e| refuse("protocol", e))?;
        let methods = get("method").map_or_else(Vec::new, |list| {
            list.split(',').map(|m| m.trim().to_ascii_uppercase()).filter(|m| !m.is_empty()).collect()
        });
        Ok(Some(Self {
            name: name.to_owned(),
            port,
            path: path.to_owned(),
            desc: get("desc").map(str::to_owned),
            methods,
            refresh,
            visibility: get("visibility").map_or_else(|| Visibility::default_for(name), Visibility::parse),
            protocol,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn annotations(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(k, v)| (format!("nogoo9/api.{k}"), (*v).to_owned())).collect()
    }

    #[test]
    fn reads_declarations() {
        let (apis, problems) = Api::parse_all(&annotations(&[
            ("t.port", "7681"),
            ("t.path", "/terminal"),
            ("t.method", "get, POST"),
            ("t.refresh", "10s"),
            ("t.protocol", "h2c"),
            ("stats.port", "1"),
            ("half.path", "/x"),
        ]));
        assert!(problems.is_empty(), "{problems:?}");
        let [stats, t] = apis.as_slice() else { panic!("{apis:?}") };
        assert_eq!((stats.visibility.clone(), stats.path.as_str()), (Visibility::Admin, "/"));
        assert!(t.allows("GET") && t.allows("POST") && !t.allows("PUT"));
        assert_eq!((t.port.get(), t.protocol, stats.protocol), (7681, Protocol::H2c, Protocol::Http));
    }

    #[test]
    fn d11_d12_d16_reports_what_cannot_be_used() {
        for (field, value) in [
            ("port", "80@evil.example"),
            ("port", "0"),
            ("port", "65536"),
            ("port", "-1"),
            ("port", "0x10"),
            ("path", "x"),
            ("path", "/a/../b"),
            ("path", "/a%2fb"),
            ("path", "/a;domain=evil.example;path=/"),
            ("path", "/..;a"),
            ("path", "/a\tb"),
            ("path", "\\x"),
            ("refresh", "often"),
            ("protocol", "spdy"),
        ] {
            let mut all = annotations(&[("t.port", "80"), ("ok.port", "81")]);
            all.insert(format!("nogoo9/api.t.{field}"), value.to_owned());
            let (apis, problems) = Api::parse_all(&all);
            assert_eq!((apis.len(), problems.len()), (1, 1), "{field}={value}: {apis:?}");
            assert!(problems[0].key.ends_with(field), "{problems:?}");
        }
    }
}
