use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    str::FromStr,
};

use nocrd_model::WorkspaceId;

use crate::Error;

/// What a workspace needs to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Where it listens.
    pub addr: SocketAddr,
    /// The directory people work in; its disk is the one `/stats` measures.
    pub root: PathBuf,
    /// A greeting on the page.
    pub echo_text: String,
    /// The workspace's id, shown on the page.
    pub workspace_id: Option<WorkspaceId>,
    /// Name of the pod, shown on the page; the machine's own name when absent.
    pub hostname: Option<String>,
}

/// Port when `PORT` does not say otherwise: the one the built-in template declares.
const DEFAULT_PORT: u16 = 5678;

impl Default for Config {
    fn default() -> Self {
        Self {
            addr: SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), DEFAULT_PORT),
            root: PathBuf::from("."),
            echo_text: "hello".to_owned(),
            workspace_id: None,
            hostname: None,
        }
    }
}

impl Config {
    /// Reads `POD_IP`, `PORT`, `WORKSPACE_ROOT`, `ECHO_TEXT`, `WORKSPACE_ID` and `HOSTNAME`; an empty value counts as
    /// none, and so does an id that is none: in a pod that is no workspace, the template's placeholder stands there.
    ///
    /// # Errors
    /// [`Error::InvalidSetting`] when an address or a port is none.
    pub fn from_lookup(lookup: &dyn Fn(&str) -> Option<String>) -> Result<Self, Error> {
        let get = |name| lookup(name).filter(|text| !text.trim().is_empty());
        let default = Self::default();
        Ok(Self {
            addr: SocketAddr::new(
                parse("POD_IP", get("POD_IP"), "an IP address")?.unwrap_or(default.addr.ip()),
                parse("PORT", get("PORT"), "a port from 0 to 65535")?.unwrap_or(default.addr.port()),
            ),
            root: get("WORKSPACE_ROOT").map_or(default.root, PathBuf::from),
            echo_text: get("ECHO_TEXT").unwrap_or(default.echo_text),
            workspace_id: get("WORKSPACE_ID").and_then(|id| WorkspaceId::parse(&id).ok()),
            hostname: get("HOSTNAME"),
        })
    }
}

fn parse<T: FromStr>(
    name: &'static str,
    text: Option<String>,
    expected: &'static str,
) -> Result<Option<T>, Error> {
    let Some(text) = text else { return Ok(None) };
    match text.trim().parse() {
        Ok(value) => Ok(Some(value)),
        Err(_) => Err(Error::InvalidSetting { name, value: text.chars().take(80).collect(), expected }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(pairs: &[(&str, &str)]) -> Result<Config, Error> {
        Config::from_lookup(&|name| {
            pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn nothing_set_means_the_defaults() {
        assert_eq!(from(&[]).unwrap(), Config::default());
        assert_eq!(from(&[("PORT", ""), ("POD_IP", " "), ("ECHO_TEXT", "")]).unwrap(), Config::default());
        assert_eq!(Config::default().addr.to_string(), "0.0.0.0:5678");
    }

    #[test]
    fn reads_each_variable() {
        let config = from(&[
            ("POD_IP", "fd00::7"),
            ("PORT", "80"),
            ("WORKSPACE_ROOT", "/workspace"),
            ("ECHO_TEXT", "<hi>"),
            ("WORKSPACE_ID", "w1"),
            ("HOSTNAME", "ws-w1"),
        ])
        .unwrap();
        assert_eq!(config.addr.to_string(), "[fd00::7]:80");
        assert_eq!((config.root.to_str(), config.echo_text.as_str()), (Some("/workspace"), "<hi>"));
        assert_eq!(
            (config.workspace_id.as_ref().map(WorkspaceId::as_str), config.hostname.as_deref()),
            (Some("w1"), Some("ws-w1"))
        );
    }

    #[test]
    fn a_placeholder_is_no_id() {
        assert_eq!(from(&[("WORKSPACE_ID", "${{workspace_id}}")]).unwrap().workspace_id, None);
    }

    #[test]
    fn refuses_what_it_cannot_listen_on() {
        for (name, value) in [("PORT", "65536"), ("PORT", "-1"), ("PORT", "http"), ("POD_IP", "localhost")] {
            let error = from(&[(name, value)]).unwrap_err();
            let message = error.to_string();
            assert!(message.contains(name) && message.contains(value), "{message}");
            assert_eq!(error.code().id, "NCR0903");
        }
    }
}
