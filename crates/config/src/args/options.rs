//! Options of the sub-commands.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
};

use super::Line;
use crate::{
    command::{DevOptions, Sandbox, WorkspaceOptions},
    error::Error,
    lookup::Lookup,
    value::shorten,
};

pub(crate) fn dev_options(line: &Line, errors: &mut Vec<Error>) -> Option<DevOptions> {
    let get = |name| line.options.get(name).map(String::as_str);
    let before = errors.len();
    let api_port = get("api-port").unwrap_or("0").parse().unwrap_or_else(|_| {
        errors.push(Error::usage("--api-port must be a port from 0 to 65535"));
        0
    });
    let sandbox = match get("sandbox").unwrap_or("auto") {
        "auto" => Sandbox::Auto,
        "bwrap" => Sandbox::Bwrap,
        "none" => Sandbox::None,
        _ => {
            errors.push(Error::usage("--sandbox must be one of `auto`, `bwrap`, `none`"));
            Sandbox::Auto
        }
    };
    let path = |name| get(name).map(PathBuf::from);
    (errors.len() == before).then(|| DevOptions {
        api_port,
        data_dir: path("data-dir"),
        kubeconfig: path("kubeconfig"),
        sandbox,
    })
}

pub(crate) fn workspace_options(line: &Line, env: &dyn Lookup) -> Result<WorkspaceOptions, Vec<Error>> {
    let root = PathBuf::from(line.options.get("root").map_or(".", String::as_str));
    if let Some(addr) = line.options.get("addr") {
        let addr = addr.parse().map_err(|_| {
            vec![Error::usage(format!(
                "--addr {:?} must be an IP address and a port, such as 0.0.0.0:3000",
                shorten(addr)
            ))]
        })?;
        return Ok(WorkspaceOptions { addr, root });
    }
    let mut errors = Vec::new();
    let mut variable = |name: &str, allowed: &str| {
        errors.push(Error::usage(format!("environment variable {name} must be {allowed}")));
    };
    let set = |name: &str| env.get(name).filter(|text| !text.is_empty());
    let ip = set("POD_IP").map_or(Some(IpAddr::V4(Ipv4Addr::UNSPECIFIED)), |text| text.parse().ok());
    let port = set("PORT").map_or(Some(nocrd_model::keys::DEFAULT_WORKSPACE_PORT), |text| text.parse().ok());
    if ip.is_none() {
        variable("POD_IP", "an IP address");
    }
    if port.is_none() {
        variable("PORT", "a port from 0 to 65535");
    }
    match (ip, port) {
        (Some(ip), Some(port)) => Ok(WorkspaceOptions { addr: SocketAddr::new(ip, port), root }),
        _ => Err(errors),
    }
}
