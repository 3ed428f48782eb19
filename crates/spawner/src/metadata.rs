//! Which labels and annotations a workspace's pod gets: the template's, the spec's own, the caller's, and on top the
//! server's, which nobody else can set.

use std::collections::BTreeMap;

use nocrd_cluster::Changes;
use nocrd_model::{Api, Caller, Namespace, Protocol, Subject, api, keys};

use crate::{Config, Error, Product};

/// String-to-string metadata.
pub(crate) type Pairs = BTreeMap<String, String>;

/// What the server itself writes.
pub(crate) struct Stamp<'a> {
    pub(crate) product: &'a Product,
    pub(crate) owner: &'a Subject,
    pub(crate) name: Option<&'a str>,
    /// Reference and version of the template.
    pub(crate) template: Option<(&'a str, &'a str)>,
    pub(crate) context_secret: Option<&'a str>,
}

impl Stamp<'_> {
    /// Puts the labels by which pods are found on top of `labels`.
    pub(crate) fn label(&self, labels: &mut Pairs) {
        labels.extend(self.product.pod_labels(self.owner));
    }

    /// Puts the server's annotations on top of `annotations`.
    pub(crate) fn annotate(&self, annotations: &mut Pairs) {
        annotations.insert(keys::USER_SUB.into(), self.owner.as_str().into());
        if let Some((reference, version)) = self.template {
            annotations.insert(keys::TEMPLATE_REF.into(), reference.into());
            annotations.insert(keys::TEMPLATE_VERSION.into(), version.into());
        }
        if let Some(name) = self.name {
            annotations.insert(keys::WORKSPACE_NAME.into(), name.into());
        }
        if let Some(secret) = self.context_secret {
            annotations.insert(keys::CONTEXT_SECRET.into(), secret.into());
        }
    }
}

/// Prefixes of labels and annotations by which controllers hand out credentials or networks.
const GRANTS: [&str; 7] = [
    "azure.workload.identity/",
    "eks.amazonaws.com/",
    "iam.amazonaws.com/",
    "iam.gke.io/",
    "k8s.ovn.org/",
    "k8s.v1.cni.cncf.io/",
    "vault.hashicorp.com/",
];

fn grants(key: &str) -> bool {
    GRANTS.iter().any(|prefix| key.starts_with(prefix))
}

/// Refuses a caller's labels that only the server or a template's author sets, and an ordinary caller's by which others
/// would take the workspace for one of theirs.
pub(crate) fn check_labels(labels: &Pairs, caller: &Caller, config: &Config) -> Result<(), Error> {
    let refused = |key: &str| key.starts_with(keys::PREFIX) || keys::is_deployment_label(key) || grants(key);
    if let Some(key) = labels.keys().find(|key| refused(key)) {
        return Err(Error::ReservedKey { what: "label", key: key.clone() });
    }
    check_listed("label", labels, caller, config)
}

/// Refuses an ordinary caller's keys that the operator does not list: nobody knows all by which Services select pods and
/// controllers change them. Our own are told apart elsewhere.
fn check_listed(what: &'static str, pairs: &Pairs, caller: &Caller, config: &Config) -> Result<(), Error> {
    let is_listed = |key: &str| {
        let prefix = key.split_once('/').map(|(prefix, _)| prefix);
        prefix.is_some_and(|prefix| config.allowed_metadata_prefixes.contains(prefix))
    };
    match pairs.keys().find(|key| !key.starts_with(keys::PREFIX) && !is_listed(key)) {
        Some(key) if caller.is_ordinary() => Err(Error::UnlistedKey { what, key: key.clone() }),
        _ => Ok(()),
    }
}

/// Refuses labels by which the gateway's Services would send a workspace the gateway's requests, whoever sets them.
pub(crate) fn check_not_gateway(labels: &Pairs) -> Result<(), Error> {
    match labels.iter().find(|(key, value)| keys::is_gateway_label(key, value)) {
        Some((key, value)) => Err(Error::GatewayLabel { key: key.clone(), value: value.clone() }),
        None => Ok(()),
    }
}

/// Refuses a caller's annotations by which controllers of the cluster would hand out credentials or networks.
pub(crate) fn check_foreign_annotations(
    annotations: &Pairs,
    caller: &Caller,
    config: &Config,
) -> Result<(), Error> {
    match annotations.keys().find(|key| grants(key)) {
        Some(key) => Err(Error::ReservedKey { what: "annotation", key: key.clone() }),
        None => check_listed("annotation", annotations, caller, config),
    }
}

/// Refuses changes of labels that a caller could not give a pod either, and would not find on one of their making:
/// removing a key is setting it, too.
pub(crate) fn check_changed_labels(changes: &Changes, caller: &Caller, config: &Config) -> Result<(), Error> {
    let set = as_set(changes);
    check_labels(&set, caller, config)?;
    check_not_gateway(&set)
}

/// Likewise for annotations: which port a pod serves, and whom, is decided when it is created.
pub(crate) fn check_changed_annotations(
    changes: &Changes,
    caller: &Caller,
    config: &Config,
) -> Result<(), Error> {
    if let Some(key) = changes.keys().find(|key| key.starts_with(keys::PREFIX) && !is_for_show(key)) {
        return Err(Error::ReservedKey { what: "annotation", key: key.clone() });
    }
    check_for_show(&as_set(changes))?;
    check_foreign_annotations(&as_set(changes), caller, config)
}

fn as_set(changes: &Changes) -> Pairs {
    changes.iter().map(|(key, value)| (key.clone(), value.clone().unwrap_or_default())).collect()
}

/// Refuses annotations of an inline spec that only the server sets, or that look like ours and mean nothing.
pub(crate) fn check_inline_annotations(annotations: &Pairs) -> Result<(), Error> {
    for key in annotations.keys() {
        if keys::is_reserved(key) {
            return Err(Error::ReservedKey { what: "annotation", key: key.clone() });
        }
        if key.starts_with(keys::PREFIX) && !keys::is_known(key) {
            return Err(Error::Annotation {
                key: key.clone(),
                reason: "there is no annotation of this name".into(),
            });
        }
    }
    Ok(())
}

/// Whether an annotation is only shown to people, so that whoever has the workspace may say what it is.
fn is_for_show(key: &str) -> bool {
    matches!(key, keys::WORKSPACE_NAME | keys::DESCRIPTION)
}

/// Refuses such texts that nobody reads to their end.
fn check_for_show(annotations: &Pairs) -> Result<(), Error> {
    match annotations.iter().find(|(key, value)| is_for_show(key) && value.len() > MAX_FOR_SHOW) {
        Some((key, _)) => Err(Error::Annotation {
            key: key.clone(),
            reason: format!("it has more than {MAX_FOR_SHOW} bytes"),
        }),
        None => Ok(()),
    }
}

/// Longest annotation that is only shown, in bytes.
const MAX_FOR_SHOW: usize = 2_000;

/// Refuses annotations beside a template that would change what the template's author decided.
pub(crate) fn check_annotations_beside_template(annotations: &Pairs) -> Result<(), Error> {
    match annotations.keys().find(|key| key.starts_with(keys::PREFIX) && !is_for_show(key)) {
        Some(key) if keys::is_reserved(key) => {
            Err(Error::ReservedKey { what: "annotation", key: key.clone() })
        }
        Some(key) => Err(Error::Annotation {
            key: key.clone(),
            reason: "beside a template it can't be given; it is the template's to set".into(),
        }),
        None => check_for_show(annotations),
    }
}

/// The annotations among `all` that reach the pod: ours by the table, other people's all when `foreign` is set.
pub(crate) fn copied(all: &Pairs, foreign: bool) -> impl Iterator<Item = (String, String)> {
    all.iter()
        .filter(move |(key, _)| {
            keys::is_annotation_copied(key) || (foreign && !key.starts_with(keys::PREFIX))
        })
        .map(|(key, value)| (key.clone(), value.clone()))
}

/// Refuses values that the proxy and the dashboard could not use later.
pub(crate) fn check_values(annotations: &Pairs) -> Result<(), Error> {
    if let Some(port) = annotations.get(keys::WORKSPACE_PORT)
        && api::parse_port(port).is_none()
    {
        let shown: String = port.chars().take(40).collect();
        return Err(Error::Annotation {
            key: keys::WORKSPACE_PORT.into(),
            reason: format!("{shown:?} is no port from 1 to 65535"),
        });
    }
    if let Some(text) = annotations.get(keys::WORKSPACE_PROTOCOL)
        && let Err(reason) = Protocol::parse(text)
    {
        return Err(Error::Annotation { key: keys::WORKSPACE_PROTOCOL.into(), reason });
    }
    match Api::parse_all(annotations).1.into_iter().next() {
        Some(problem) => Err(Error::Annotation { key: problem.key, reason: problem.reason }),
        None => Ok(()),
    }
}

/// The template reference as the pod will carry it: as given, unless it would mean another template when read in
/// the default namespace.
pub(crate) fn recorded_reference(
    given: &str,
    resolved: &str,
    namespace: Option<&Namespace>,
    default: &Namespace,
) -> String {
    match namespace {
        Some(namespace) if namespace != default => resolved.to_owned(),
        _ => given.to_owned(),
    }
}
