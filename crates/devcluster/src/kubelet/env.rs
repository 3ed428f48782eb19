//! The environment, the command and the arguments of a container.

use std::{
    collections::{BTreeMap, HashMap},
    ffi::OsString,
    path::Path,
};

use super::{
    expand::expand,
    fields::Fields,
    images::Image,
    sources,
    spec::{Container, EnvSource, KeyRef, ObjectRef},
};
use crate::{kind::Kind, object, store::Store};

/// What a container's own `env` and `envFrom` amount to: the variables `$(NAME)` may refer to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Declared {
    values: BTreeMap<String, String>,
    /// Keys of an `envFrom` source that can't be names of variables.
    pub(super) skipped: Vec<String>,
}

/// Reads what a container declares. An error is a message for `CreateContainerConfigError`.
pub(super) fn declared(
    store: &Store,
    fields: &Fields<'_>,
    container: &Container,
) -> Result<Declared, String> {
    let namespace = object::namespace(fields.pod);
    let mut declared = Declared::default();
    for from in &container.env_from {
        let sources = [(Kind::ConfigMap, &from.config_map_ref), (Kind::Secret, &from.secret_ref)];
        for (kind, ObjectRef { name, optional }) in
            sources.into_iter().filter_map(|(kind, r)| Some((kind, r.as_ref()?)))
        {
            let Some(data) = sources::data(store, kind, namespace, name) else {
                if *optional {
                    continue;
                }
                return Err(sources::missing(kind, name));
            };
            for (key, value) in data {
                let variable = format!("{}{key}", from.prefix);
                if variable.is_empty() || variable.contains(['=', '\0']) {
                    declared.skipped.push(key);
                } else {
                    declared.values.insert(variable, String::from_utf8_lossy(&value).into_owned());
                }
            }
        }
    }
    for variable in &container.env {
        let value = match &variable.value_from {
            Some(source) => match sourced(store, fields, container, source)? {
                Some(value) => value,
                None => continue,
            },
            None => declared.expand(&variable.value),
        };
        declared.values.insert(variable.name.clone(), value);
    }
    Ok(declared)
}

/// A value taken from elsewhere; `None` if it is optional and not there.
fn sourced(
    store: &Store,
    fields: &Fields<'_>,
    container: &Container,
    source: &EnvSource,
) -> Result<Option<String>, String> {
    if let Some(field) = &source.field_ref {
        return fields.field(&field.field_path).map(Some);
    }
    if let Some(resource) = &source.resource_field_ref {
        return fields.resource(resource, Some(container)).map(Some);
    }
    let (kind, KeyRef { name, key, optional }) = match (&source.config_map_key_ref, &source.secret_key_ref) {
        (Some(map), _) => (Kind::ConfigMap, map),
        (None, Some(secret)) => (Kind::Secret, secret),
        (None, None) => return Ok(Some(String::new())),
    };
    let namespace = object::namespace(fields.pod);
    let found = match sources::data(store, kind, namespace, name) {
        Some(mut data) => {
            data.remove(key).ok_or_else(|| format!("couldn't find key {key} in {kind} {namespace}/{name}"))
        }
        None => Err(sources::missing(kind, name)),
    };
    match found {
        Ok(value) => Ok(Some(String::from_utf8_lossy(&value).into_owned())),
        Err(_) if *optional => Ok(None),
        Err(why) => Err(why),
    }
}

impl Declared {
    pub(super) fn expand(&self, text: &str) -> String {
        expand(text, |name| self.values.get(name).map(String::as_str))
    }

    /// What the container runs: its command and arguments, or the image's.
    pub(super) fn argv(&self, container: &Container, image: &Image) -> Vec<OsString> {
        let expanded =
            |words: &[String]| words.iter().map(|word| self.expand(word).into()).collect::<Vec<OsString>>();
        let (mut argv, default_args) = if container.command.is_empty() {
            (image.entrypoint.clone(), image.command.as_slice())
        } else {
            (expanded(&container.command), &[][..])
        };
        if container.args.is_empty() {
            argv.extend_from_slice(default_args);
        } else {
            argv.extend(expanded(&container.args));
        }
        argv
    }

    /// The whole environment. Nothing of the cluster's own environment is in it.
    pub(super) fn environment(&self, base: &Base<'_>, image: &Image) -> Vec<(OsString, OsString)> {
        let mut env: HashMap<OsString, OsString> = HashMap::from([
            ("PATH".into(), base.path.clone()),
            ("HOME".into(), base.home.into()),
            ("HOSTNAME".into(), base.hostname.into()),
            ("TERM".into(), "xterm".into()),
            // Not of Kubernetes: processes that bind an address must bind the pod's, since they share the network.
            ("POD_IP".into(), base.pod_ip.into()),
        ]);
        env.extend(image.env.iter().map(|(name, value)| (name.into(), value.clone())));
        env.extend(self.values.iter().map(|(name, value)| (name.into(), value.into())));
        let mut env: Vec<(OsString, OsString)> = env.into_iter().collect();
        env.sort();
        env
    }

    /// A variable whose value can't be passed on.
    pub(super) fn unusable(&self) -> Option<&str> {
        self.values.iter().find(|(_, value)| value.contains('\0')).map(|(name, _)| name.as_str())
    }
}

/// What every container finds in its environment.
#[derive(Debug)]
pub(super) struct Base<'a> {
    pub(super) path: &'a OsString,
    pub(super) home: &'a Path,
    pub(super) hostname: &'a str,
    pub(super) pod_ip: &'a str,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kubelet::{addresses::HOST, spec::PodSpec};
    use serde_json::{Value, json};

    fn read(store: &Store, container: Value) -> Result<Declared, String> {
        let container: Container = serde_json::from_value(container).unwrap();
        let pod = json!({ "metadata": { "name": "p", "namespace": "n" } });
        let spec = PodSpec::default();
        declared(store, &Fields { pod: &pod, spec: &spec, ip: HOST, allocatable: &Value::Null }, &container)
    }

    fn store() -> Store {
        let store = Store::in_memory();
        let meta = |name: &str| json!({ "name": name, "namespace": "n" });
        let map = json!({ "metadata": meta("m"), "data": { "a": "1", "b=c": "x" }, "binaryData": { "bin": "AQ==" } });
        store.create(Kind::ConfigMap, map).unwrap();
        store.create(Kind::Secret, json!({ "metadata": meta("s"), "data": { "k": "dg==" } })).unwrap();
        store
    }

    #[test]
    fn values_come_from_everywhere() {
        let declared = read(
            &store(),
            json!({
                "envFrom": [{ "prefix": "M_", "configMapRef": { "name": "m" } },
                            { "secretRef": { "name": "none", "optional": true } }],
                "env": [
                    { "name": "S", "valueFrom": { "secretKeyRef": { "name": "s", "key": "k" } } },
                    { "name": "NONE", "valueFrom": { "secretKeyRef": { "name": "s", "key": "z", "optional": true } } },
                    { "name": "POD", "valueFrom": { "fieldRef": { "fieldPath": "metadata.name" } } },
                    { "name": "ALL", "value": "$(M_a)-$(S)-$(POD)-$(LATER)-$$(S)" },
                    { "name": "LATER", "value": "x" },
                ],
            }),
        )
        .unwrap();
        let value = |name: &str| declared.values.get(name).map(String::as_str);
        assert_eq!(value("ALL"), Some("1-v-p-$(LATER)-$(S)"));
        assert_eq!(value("M_bin"), Some("\u{1}"));
        assert_eq!(value("NONE"), None);
        assert_eq!(declared.skipped, ["b=c"]);
    }

    #[test]
    fn what_is_missing_is_named() {
        let secret = |name: &str, key: &str| json!({ "env": [{ "name": "X", "valueFrom": { "secretKeyRef": { "name": name, "key": key } } }] });
        assert_eq!(read(&store(), secret("no", "k")).unwrap_err(), r#"secret "no" not found"#);
        assert_eq!(read(&store(), secret("s", "no")).unwrap_err(), "couldn't find key no in Secret n/s");
        let from = json!({ "envFrom": [{ "configMapRef": { "name": "no" } }] });
        assert_eq!(read(&store(), from).unwrap_err(), r#"configmap "no" not found"#);
    }

    #[test]
    fn commands_replace_entrypoints_and_args_replace_defaults() {
        let mut image = Image::new("i", ["/entry", "point"]);
        image.command = vec!["default".into()];
        let argv = |container: Value| {
            let container: Container = serde_json::from_value(container).unwrap();
            Declared::default().argv(&container, &image).join(&OsString::from(" "))
        };
        assert_eq!(argv(json!({})), "/entry point default");
        assert_eq!(argv(json!({ "args": ["a", "b"] })), "/entry point a b");
        assert_eq!(argv(json!({ "command": ["c"] })), "c");
        assert_eq!(argv(json!({ "command": ["c"], "args": ["a"] })), "c a");
    }

    #[test]
    fn nothing_of_our_own_environment_is_passed_on() {
        let base =
            Base { path: &"/bin".into(), home: Path::new("/root"), hostname: "p", pod_ip: "127.1.0.1" };
        let env = Declared::default().environment(&base, &Image::new("i", [""; 0]));
        let names: Vec<_> = env.iter().map(|(name, _)| name.to_str().unwrap()).collect();
        assert_eq!(names, ["HOME", "HOSTNAME", "PATH", "POD_IP", "TERM"]);
    }
}
