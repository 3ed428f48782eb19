use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{Container, PodSpec};
use serde_ignored::Path;
use serde_json::{Map, Value};

use super::{Parsed, to_pod_parts};
use crate::Error;

/// Most unknown fields that one message names.
const NAMED: usize = 5;

/// Checks a template's pod spec: see [`read`].
///
/// # Errors
/// [`Error::InvalidSpec`], naming the field.
pub fn validate(spec: &Value) -> Result<(), Error> {
    read(spec.clone()).map(drop)
}

/// Takes a template's pod spec apart and checks it against the Kubernetes schema: every field is known and of the right
/// type, there is a container, and no two have the same name. What values mean is the API server's to judge.
///
/// # Errors
/// [`Error::InvalidSpec`], naming the field.
pub fn read(spec: Value) -> Result<Parsed, Error> {
    check_shape(&spec)?;
    let (labels, annotations, spec) = to_pod_parts(spec)?;
    let mut unknown = Vec::new();
    let typed = typed(&spec, |path| unknown.push(render(path)))?;
    if !unknown.is_empty() {
        unknown.truncate(NAMED);
        return Err(Error::spec(unknown.join(", "), "unknown field"));
    }
    check_containers(&typed)?;
    Ok(Parsed { labels, annotations, spec, typed })
}

/// Takes the fields that Kubernetes does not know out of a stored template's pod spec, and names some of them. Versions up
/// to 0.17 left them out, too, and people keep YAML anchors in such fields. Those of a security context stay an error: what
/// was meant to bind would not.
///
/// # Errors
/// As for [`validate`], of what is left.
pub fn settle(spec: &mut Value) -> Result<Vec<String>, Error> {
    check_shape(spec)?;
    let mut unknown = Vec::new();
    let (_, _, parts) = to_pod_parts(spec.clone())?;
    typed(&parts, |path| unknown.push((steps(path), render(path))))?;
    for (steps, name) in &unknown {
        if steps.iter().any(|step| matches!(step, Step::Member(key) if key == "securityContext")) {
            return Err(Error::spec(name, "unknown field"));
        }
        remove(spec, steps);
    }
    unknown.truncate(NAMED);
    let names: Vec<String> = unknown.into_iter().map(|(_, name)| name).collect();
    match validate(spec) {
        // It may have been meant for what is missing.
        Err(_) if !names.is_empty() => Err(Error::spec(names.join(", "), "unknown field")),
        outcome => outcome.map(|()| names),
    }
}

/// Refuses a whole pod, the commonest mistake.
fn check_shape(spec: &Value) -> Result<(), Error> {
    match spec {
        Value::Object(map)
            if map.contains_key("spec") && (map.contains_key("metadata") || map.contains_key("kind")) =>
        {
            Err(Error::spec("spec", "this is a whole object; give only what is under its `spec`"))
        }
        _ => Ok(()),
    }
}

fn typed(spec: &Map<String, Value>, mut unknown: impl FnMut(&Path<'_>)) -> Result<PodSpec, Error> {
    let mut note = |path: Path<'_>| unknown(&path);
    let deserializer = serde_ignored::Deserializer::new(spec, &mut note);
    serde_path_to_error::deserialize(deserializer).map_err(|error| {
        let path = error.path().to_string();
        Error::spec(
            if path == "." { "spec".to_owned() } else { path },
            with_hint(&error.into_inner().to_string()),
        )
    })
}

/// A step on the way to a value.
enum Step {
    Member(String),
    Item(usize),
}

fn steps(path: &Path<'_>) -> Vec<Step> {
    let (parent, step) = match path {
        Path::Root => return Vec::new(),
        Path::Seq { parent, index } => (parent, Step::Item(*index)),
        Path::Map { parent, key } => (parent, Step::Member(key.clone())),
        Path::Some { parent } | Path::NewtypeStruct { parent } | Path::NewtypeVariant { parent } => {
            return steps(parent);
        }
    };
    let mut all = steps(parent);
    all.push(step);
    all
}

/// Removes the member at the end of a way.
fn remove(mut value: &mut Value, steps: &[Step]) {
    let Some((Step::Member(last), way)) = steps.split_last() else { return };
    for step in way {
        let next = match step {
            Step::Member(key) => value.get_mut(key),
            Step::Item(index) => value.get_mut(index),
        };
        match next {
            Some(next) => value = next,
            None => return,
        }
    }
    if let Value::Object(map) = value {
        map.remove(last);
    }
}

fn check_containers(spec: &PodSpec) -> Result<(), Error> {
    if spec.containers.is_empty() {
        return Err(Error::spec("containers", "at least one container is needed"));
    }
    let mut names = BTreeSet::new();
    let mut check = |list: &str, index: usize, container: &Container| {
        if container.name.is_empty() {
            return Err(Error::spec(format!("{list}[{index}].name"), "a name is needed"));
        }
        if container.image.as_deref().unwrap_or_default().is_empty() {
            return Err(Error::spec(format!("{list}[{index}].image"), "an image is needed"));
        }
        if !names.insert(container.name.clone()) {
            let reason = format!("there are two containers of the name {:?}", container.name);
            return Err(Error::spec(format!("{list}[{index}].name"), reason));
        }
        Ok(())
    };
    for (index, container) in spec.init_containers.iter().flatten().enumerate() {
        check("initContainers", index, container)?;
    }
    spec.containers
        .iter()
        .enumerate()
        .try_for_each(|(index, container)| check("containers", index, container))
}

/// A message of the parser without the value it found, which may be a secret; with a hint for the commonest mistake in
/// YAML, a number or `yes` where a text is wanted.
fn with_hint(message: &str) -> String {
    let found = ["invalid type: ", "invalid value: "].iter().find_map(|start| message.strip_prefix(start));
    let (Some(found), Some((_, expected))) = (found, message.rsplit_once(", expected ")) else {
        return message.to_owned();
    };
    let kind: String = found.chars().take_while(|c| c.is_ascii_alphabetic() || *c == ' ').collect();
    let scalar = ["integer", "boolean", "floating"].iter().any(|kind| found.starts_with(kind));
    let hint = if scalar && expected == "a string" { "; put it in quotes" } else { "" };
    format!("expected {expected}, found {}{hint}", kind.trim())
}

fn render(path: &Path<'_>) -> String {
    match path {
        Path::Root => String::new(),
        Path::Seq { parent, index } => format!("{}[{index}]", render(parent)),
        Path::Map { parent, key } => match render(parent) {
            parent if parent.is_empty() => key.clone(),
            parent => format!("{parent}.{key}"),
        },
        Path::Some { parent } | Path::NewtypeStruct { parent } | Path::NewtypeVariant { parent } => {
            render(parent)
        }
    }
}
