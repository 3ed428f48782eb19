//! The annotations that tell the spawner what to do, read once and then applied to a pod spec.

use std::collections::BTreeMap;

use nocrd_model::keys;
use serde_json::{Map, Value, json};

use crate::Error;

/// What the annotations of a template, or of an inline spec, ask for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Directives {
    required_context: Vec<String>,
    plain_context: Vec<String>,
    init: Option<Init>,
    pre_stop: Option<PreStop>,
    grace_period: Option<u32>,
    /// Role for a ServiceAccount of the workspace's own.
    pub(crate) iam_role_arn: Option<String>,
    /// What is there without effect.
    pub(crate) warnings: Vec<String>,
}

#[derive(Debug, PartialEq, Eq)]
struct Init {
    image: String,
    command: String,
    share_volumes: bool,
}

#[derive(Debug, PartialEq, Eq)]
struct PreStop {
    command: String,
    sidecar_image: Option<String>,
}

/// Longest grace period: a day.
const MAX_GRACE_PERIOD: u32 = 86_400;

/// What the sidecar does until it is stopped. Unlike a plain `sleep`, it ends at once when its pre-stop hook has run.
const SIDECAR_SCRIPT: &str = "trap 'exit 0' TERM INT; while :; do sleep 3600 & wait $!; done";

impl Directives {
    /// Reads the directives among `annotations`.
    pub(crate) fn parse(annotations: &BTreeMap<String, String>) -> Result<Self, Error> {
        let get = |key: &str| annotations.get(key).map(|v| v.trim()).filter(|v| !v.is_empty());
        let mut warnings = Vec::new();
        let mut warn_alone = |key: &str, other: &str| {
            if get(key).is_some() {
                warnings.push(format!("annotation {key} has no effect without {other}"));
            }
        };
        let init = match (get(keys::INIT_IMAGE), get(keys::INIT_COMMAND)) {
            (Some(image), Some(command)) => Some(Init {
                image: image.to_owned(),
                command: command.to_owned(),
                share_volumes: get(keys::INIT_SHARE_VOLUMES) != Some("false"),
            }),
            _ => {
                warn_alone(keys::INIT_IMAGE, keys::INIT_COMMAND);
                warn_alone(keys::INIT_COMMAND, keys::INIT_IMAGE);
                None
            }
        };
        let pre_stop = get(keys::PRE_STOP_COMMAND).map(|command| PreStop {
            command: command.to_owned(),
            sidecar_image: get(keys::PRE_STOP_SIDECAR_IMAGE).map(str::to_owned),
        });
        if pre_stop.is_none() {
            warn_alone(keys::PRE_STOP_SIDECAR_IMAGE, keys::PRE_STOP_COMMAND);
        }
        Ok(Self {
            required_context: list(get(keys::REQUIRED_CONTEXT)),
            plain_context: list(get(keys::PLAIN_CONTEXT)),
            init,
            pre_stop,
            grace_period: get(keys::DEFAULT_GRACE_PERIOD).map(parse_grace_period).transpose()?,
            iam_role_arn: get(keys::IAM_ROLE_ARN).map(parse_role_arn).transpose()?,
            warnings,
        })
    }

    /// Refuses what lacks a required variable, naming all that are missing.
    pub(crate) fn require(&self, is_given: impl Fn(&str) -> bool) -> Result<(), Error> {
        let missing = self.required_context.iter().filter(|name| !is_given(name));
        let names: Vec<String> = missing.cloned().collect();
        if names.is_empty() {
            return Ok(());
        }
        let plain = names.iter().filter(|name| self.plain_context.contains(name)).cloned().collect();
        Err(Error::MissingContext { names, plain })
    }

    /// Puts the init container, the pre-stop hook and the grace period into `spec`; `variables` are the context's
    /// entries of a container's `env`. With `harden`, the added containers take over the first container's security
    /// context, as the restricted pod policy asks one of every container.
    pub(crate) fn apply(
        &self,
        spec: &mut Map<String, Value>,
        variables: &[Value],
        harden: bool,
    ) -> Result<(), Error> {
        let first = first_container(spec)?;
        let inherit = |key: &str| first.get(key).cloned().unwrap_or(Value::Null);
        let (mounts, security) = (inherit("volumeMounts"), inherit("securityContext"));
        let added = |name: &str, image: &str, script: &str, share: bool| -> Map<String, Value> {
            let mut container = Map::new();
            container.insert("name".into(), name.into());
            container.insert("image".into(), image.into());
            container.insert("command".into(), json!(["/bin/sh", "-c", script]));
            container.insert("env".into(), variables.into());
            for (key, value, wanted) in
                [("volumeMounts", &mounts, share), ("securityContext", &security, harden)]
            {
                if wanted && !value.is_null() {
                    container.insert(key.into(), value.clone());
                }
            }
            container
        };
        if let Some(init) = &self.init {
            let container = added(keys::INIT_CONTAINER, &init.image, &init.command, init.share_volumes);
            push(spec, "initContainers", container);
        }
        if let Some(pre_stop) = &self.pre_stop {
            let hook = json!({"exec": {"command": ["/bin/sh", "-c", pre_stop.command]}});
            match &pre_stop.sidecar_image {
                Some(image) => {
                    let mut sidecar = added(keys::SIDECAR_CONTAINER, image, SIDECAR_SCRIPT, true);
                    sidecar.insert("lifecycle".into(), json!({"preStop": hook}));
                    push(spec, "containers", sidecar);
                }
                None => set_pre_stop(first_container_mut(spec)?, hook)?,
            }
        }
        let default = self.pre_stop.as_ref().map(|_| keys::DEFAULT_GRACE_PERIOD_SECONDS);
        let grace = match (self.grace_period, spec.get("terminationGracePeriodSeconds")) {
            (Some(seconds), _) => Some(seconds),
            (None, Some(value)) if !value.is_null() => None,
            (None, _) => default,
        };
        if let Some(seconds) = grace {
            spec.insert("terminationGracePeriodSeconds".into(), seconds.into());
        }
        Ok(())
    }
}

/// Splits a comma-separated annotation; empty items don't count.
fn list(value: Option<&str>) -> Vec<String> {
    value
        .into_iter()
        .flat_map(|v| v.split(','))
        .map(str::trim)
        .filter(|v| !v.is_empty())
        .map(str::to_owned)
        .collect()
}

fn parse_grace_period(text: &str) -> Result<u32, Error> {
    // Templates for versions up to 0.17 may say `30s`.
    let seconds = text.strip_suffix('s').unwrap_or(text);
    seconds.parse().ok().filter(|seconds| *seconds <= MAX_GRACE_PERIOD).ok_or_else(|| Error::Annotation {
        key: keys::DEFAULT_GRACE_PERIOD.into(),
        reason: format!("{text:?} is no number of seconds from 0 to {MAX_GRACE_PERIOD}"),
    })
}

/// Checks the form `arn:<partition>:iam::<account>:role/<path>`.
fn parse_role_arn(text: &str) -> Result<String, Error> {
    let parts: Vec<&str> = text.splitn(6, ':').collect();
    let well_formed = matches!(parts.as_slice(), ["arn", partition, "iam", "", account, resource]
        if partition.starts_with("aws")
            && account.len() == 12
            && account.bytes().all(|b| b.is_ascii_digit())
            && resource.strip_prefix("role/").is_some_and(|role| !role.is_empty()));
    let plain = text.len() <= 2048 && text.bytes().all(|b| b.is_ascii_graphic());
    if well_formed && plain {
        return Ok(text.to_owned());
    }
    Err(Error::Annotation {
        key: keys::IAM_ROLE_ARN.into(),
        reason: "expected arn:aws:iam::<12 digits>:role/<name>".into(),
    })
}

fn containers(spec: &Map<String, Value>) -> Option<&Vec<Value>> {
    spec.get("containers").and_then(Value::as_array)
}

fn no_container() -> Error {
    Error::InvalidArgument("the pod spec has no container".into())
}

fn first_container(spec: &Map<String, Value>) -> Result<Map<String, Value>, Error> {
    containers(spec).and_then(|all| all.first()).and_then(Value::as_object).cloned().ok_or_else(no_container)
}

/// The first container of a spec.
pub(crate) fn first_container_mut(spec: &mut Map<String, Value>) -> Result<&mut Map<String, Value>, Error> {
    let all = spec.get_mut("containers").and_then(Value::as_array_mut);
    all.and_then(|all| all.first_mut()).and_then(Value::as_object_mut).ok_or_else(no_container)
}

fn push(spec: &mut Map<String, Value>, list: &str, item: Map<String, Value>) {
    match spec.get_mut(list) {
        Some(Value::Array(items)) => items.push(item.into()),
        _ => {
            spec.insert(list.into(), json!([item]));
        }
    }
}

fn set_pre_stop(container: &mut Map<String, Value>, hook: Value) -> Result<(), Error> {
    let lifecycle = container.entry("lifecycle").or_insert_with(|| json!({}));
    if lifecycle.is_null() {
        *lifecycle = json!({});
    }
    if lifecycle.get("preStop").is_some_and(|existing| !existing.is_null()) {
        return Err(Error::Annotation {
            key: keys::PRE_STOP_COMMAND.into(),
            reason: format!(
                "the first container has a preStop hook already; drop one of the two, or run the command in a sidecar with {}",
                keys::PRE_STOP_SIDECAR_IMAGE
            ),
        });
    }
    if let Some(lifecycle) = lifecycle.as_object_mut() {
        lifecycle.insert("preStop".into(), hook);
    }
    Ok(())
}

/// Sets variables in a container's `env`: one of the same name is replaced where it stands.
pub(crate) fn set_env(container: &mut Map<String, Value>, variables: &[Value]) {
    let env = container.entry("env").or_insert_with(|| json!([]));
    if !env.is_array() {
        *env = json!([]);
    }
    let Value::Array(entries) = env else { return };
    for variable in variables {
        let same = |entry: &Value| entry.get("name") == variable.get("name");
        match entries.iter().position(same) {
            Some(at) => {
                if let Some(entry) = entries.get_mut(at) {
                    *entry = variable.clone();
                }
            }
            None => entries.push(variable.clone()),
        }
    }
}

#[cfg(test)]
mod tests;
