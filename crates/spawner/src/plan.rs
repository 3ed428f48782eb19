//! From a request to manifests: pure, so that everything is validated before anything is created.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::PodSpec;
use nocrd_model::{Namespace, Restriction, Subject, keys, placeholder::Placeholders};
use nocrd_templates::{Catalogue, Error as TemplateError, Template, overrides, spec as pod_spec};
use serde_json::{Map, Value, json};

mod callers;
mod references;
mod variables;
mod vet;

pub(crate) use vet::vet;

use self::callers::Brought;
use crate::{
    Config, Error, Product, Source, SpawnRequest,
    directives::{self, Directives},
    metadata::{self, Pairs, Stamp},
    names, policy,
    policy::PodSecurity,
    upgrade::SpawnInputs,
};

/// What the source of a request turned out to be.
#[derive(Debug, Clone)]
pub enum Resolved<'a> {
    /// A template, and the reference to write on the pod.
    Template(&'a Template, String),
    /// The caller's own pod spec.
    Inline(&'a Value),
}

/// Everything a plan depends on.
#[derive(Debug, Clone)]
pub struct Inputs<'a> {
    /// The wish.
    pub request: &'a SpawnRequest<Product>,
    /// Its source, looked up.
    pub source: Resolved<'a>,
    /// Its namespace, checked.
    pub namespace: &'a Namespace,
    /// The cluster's default namespace, in which local templates and the names that the operator lists are at home.
    pub home: &'a Namespace,
    /// All templates there are.
    pub catalogue: &'a Catalogue,
    /// The limits.
    pub config: &'a Config,
    /// Whether context values may go into a Secret; otherwise they stand in the pod, with a warning.
    pub secrets: bool,
}

impl<'a> Inputs<'a> {
    /// The template, if it is one that may do more than the caller.
    fn curated(&self) -> Option<&'a Template> {
        self.template().filter(|template| template.is_curated())
    }

    fn template(&self) -> Option<&'a Template> {
        match self.source {
            Resolved::Template(template, _) => Some(template),
            Resolved::Inline(_) => None,
        }
    }
}

/// The objects of a workspace or pod, in the order they are created.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// ServiceAccount that carries an IAM role, when a template asks for one. The API server names it, and the pod is
    /// given that name when it is created.
    pub service_account: Option<Value>,
    /// The pod.
    pub pod: Value,
    /// The pod's name.
    pub pod_name: String,
    /// Name of the Secret with the context values; its manifest needs the pod's uid: see [`context_secret`].
    pub context_secret: Option<String>,
    /// What the caller should know.
    pub warnings: Vec<String>,
}

/// Plans a workspace, or a pod that is none.
///
/// # Errors
/// The first thing that keeps it from being created: a right that the caller lacks, a spec that does not fit
/// the Kubernetes schema, missing context, an unusable annotation, a reserved key, or a violation of the pod policy (all
/// of them at once).
pub fn plan(inputs: &Inputs<'_>) -> Result<Plan, Error> {
    let request = inputs.request;
    request.id.check()?;
    check_rights(inputs)?;
    render(inputs, request.id.pod_name(), request.id.context_secret())
}

/// Plans the pod called `pod_name` that takes over from another one of the same workspace. Whoever wanted the workspace had
/// the right to it; whether they may have the template as it is now is for the caller to check.
pub(crate) fn successor(inputs: &Inputs<'_>, pod_name: String) -> Result<Plan, Error> {
    let secret = names::context_secret(&pod_name);
    render(inputs, pod_name, secret)
}

fn render(inputs: &Inputs<'_>, pod_name: String, secret_name: String) -> Result<Plan, Error> {
    let request = inputs.request;
    if let Some(problem) = request.context.problem() {
        return Err(Error::InvalidArgument(problem));
    }
    let caller = CallerMetadata::of(request, inputs.config)?;
    let called = request.id.placeholder();
    let placeholders = Placeholders { user: &request.owner, workspace: &called };
    let source = source_parts(inputs, &caller, &placeholders)?;

    let directives = Directives::parse(&source.directives)?;
    directives.require(|name| request.context.contains(name) || is_overridden(request, name))?;
    let mut warnings = directives.warnings.clone();
    warnings.extend(inputs.template().and_then(|template| template.warning()));

    let mut tree = source.spec;
    placeholders.replace_in(&mut tree);
    let by_template = inputs.curated().map(|_| tree.clone());
    if !caller.overrides.is_empty() {
        overrides::apply_top_level(&mut tree, &caller.overrides)?;
    }
    if !request.container_overrides.is_empty() {
        overrides::apply_container_overrides(&mut tree, &request.container_overrides)?;
    }
    check_size(&tree, inputs.config.max_spec_bytes)?;
    let pod_spec::Parsed { labels: spec_labels, annotations: spec_annotations, mut spec, typed } =
        pod_spec::read(tree)?;

    let mut annotations = source.annotations;
    annotations.extend(from_spec(spec_annotations, inputs, "annotation")?);
    annotations.extend(source.caller_annotations);
    variables::check(request, inputs.template())?;
    callers::check(&Brought {
        inputs,
        overrides: &caller.overrides,
        template: by_template.as_ref(),
        spec: &spec,
        typed: &typed,
    })?;
    // Before the plan adds anything of its own: the references to the context's Secret would be refused, and the added
    // containers are as strict as the first one.
    check_policy(&typed, &annotations, inputs.config)?;

    let secret = (!request.context.is_empty() && inputs.secrets).then_some(secret_name);
    if secret.is_none() && !request.context.is_empty() {
        warnings.push(
            "the server may not create Secrets, so the context values stand in the pod's spec, readable by all who may read pods"
                .into(),
        );
    }
    let variables = variables(request, secret.as_deref());
    directives::set_env(directives::first_container_mut(&mut spec)?, &variables);
    directives.apply(&mut spec, &variables, inputs.config.pod_security == PodSecurity::Restricted)?;

    let service_account = service_account(&mut spec, request, &directives, inputs, &mut warnings)?;
    if spec.get("automountServiceAccountToken").is_none_or(Value::is_null) {
        spec.insert("automountServiceAccountToken".into(), Value::Bool(false));
    }

    let mut labels = source.labels;
    labels.extend(from_spec(spec_labels, inputs, "label")?);
    labels.extend(caller.labels);
    metadata::check_not_gateway(&labels)?;
    let stamp = Stamp {
        product: &request.id,
        owner: &request.owner,
        name: request.name.as_deref(),
        template: match &inputs.source {
            Resolved::Template(template, reference) => Some((reference, template.version())),
            Resolved::Inline(_) => None,
        },
        context_secret: secret.as_deref(),
    };
    stamp.label(&mut labels);
    stamp.annotate(&mut annotations);
    if let Some(template) = inputs.template() {
        SpawnInputs::note(request, template, &mut annotations, &mut warnings);
    }
    metadata::check_values(&annotations)?;

    let pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": pod_name, "namespace": inputs.namespace, "labels": labels, "annotations": annotations,
        },
        "spec": spec,
    });
    Ok(Plan { service_account, pod, pod_name, context_secret: secret, warnings })
}

/// Whether a pod that is no workspace gets a variable by an override, which counts like context: clients that know
/// nothing of context give it so.
fn is_overridden(request: &SpawnRequest<Product>, name: &str) -> bool {
    let variables = request.container_overrides.iter().flat_map(|change| change.env.iter().flatten());
    matches!(request.id, Product::Pod(_))
        && variables.into_iter().any(|variable| variable.get("name").and_then(Value::as_str) == Some(name))
}

/// Refuses a workspace for somebody else.
pub(crate) fn check_owner(request: &SpawnRequest<Product>) -> Result<(), Error> {
    let caller = &request.caller;
    if request.owner == caller.subject || caller.is_admin() { Ok(()) } else { Err(Error::ForSomebodyElse) }
}

/// Refuses a workspace for somebody else, and a template that is not for the caller. What restricts a template is
/// read as its author wrote it: placeholders mean nothing there.
fn check_rights(inputs: &Inputs<'_>) -> Result<(), Error> {
    let SpawnRequest { caller, annotations, source, .. } = inputs.request;
    check_owner(inputs.request)?;
    match &inputs.source {
        Resolved::Inline(_) => Restriction::of(annotations).check(caller).map_err(Error::Restricted),
        Resolved::Template(template, _) if template.restriction().check(caller).is_ok() => Ok(()),
        // In the words for one that nobody has.
        Resolved::Template(_, recorded) => {
            let reference = match source {
                Source::Template(asked) => asked.to_string(),
                Source::Inline(_) => recorded.clone(),
            };
            Err(TemplateError::NotFound { reference }.into())
        }
    }
}

/// The labels and annotations that a caller gives, whichever argument they stand in, and the other overrides.
struct CallerMetadata {
    labels: Pairs,
    annotations: Pairs,
    overrides: Map<String, Value>,
}

impl CallerMetadata {
    fn of(request: &SpawnRequest<Product>, config: &Config) -> Result<Self, Error> {
        let (mut labels, mut annotations) = (request.labels.clone(), request.annotations.clone());
        let mut overrides = request.top_level_overrides.clone();
        for (member, pairs) in [("labels", &mut labels), ("annotations", &mut annotations)] {
            if let Some(value) = overrides.remove(member) {
                let given: Pairs = serde_json::from_value(value).map_err(|_| {
                    Error::InvalidArgument(format!("topLevelOverrides.{member}: expected an object of texts"))
                })?;
                pairs.extend(given);
            }
        }
        metadata::check_labels(&labels, &request.caller, config)?;
        metadata::check_foreign_annotations(&annotations, &request.caller, config)?;
        Ok(Self { labels, annotations, overrides })
    }
}

/// What a template or an inline spec contributes.
struct SourceParts {
    spec: Value,
    labels: Pairs,
    /// The template's annotations that reach the pod.
    annotations: Pairs,
    /// Likewise the caller's, which count more than those inside the spec.
    caller_annotations: Pairs,
    /// Annotations that may hold directives.
    directives: Pairs,
}

fn source_parts(
    inputs: &Inputs<'_>,
    caller: &CallerMetadata,
    placeholders: &Placeholders<'_>,
) -> Result<SourceParts, Error> {
    let replaced = |pairs: &Pairs| -> Pairs {
        pairs.iter().map(|(key, value)| (key.clone(), placeholders.replace_text(value))).collect()
    };
    match &inputs.source {
        Resolved::Template(template, _) => {
            metadata::check_annotations_beside_template(&caller.annotations)?;
            let directives = replaced(&template.annotations);
            let mut labels = replaced(&template.labels);
            labels.retain(|key, _| keys::is_label_copied(key));
            if !template.is_curated() {
                metadata::check_labels(&labels, &inputs.request.caller, inputs.config)?;
            }
            Ok(SourceParts {
                spec: template.spec.clone(),
                labels,
                annotations: metadata::copied(&directives, false).collect(),
                caller_annotations: metadata::copied(&caller.annotations, true).collect(),
                directives,
            })
        }
        Resolved::Inline(spec) => {
            metadata::check_inline_annotations(&caller.annotations)?;
            let directives = replaced(&caller.annotations);
            Ok(SourceParts {
                spec: (*spec).clone(),
                labels: Pairs::new(),
                annotations: Pairs::new(),
                caller_annotations: metadata::copied(&directives, true).collect(),
                directives,
            })
        }
    }
}

/// Metadata written inside a spec. In a caller's spec, and in the template of a user, it is checked as if the caller had
/// brought it; in other templates, keys that are not for specs are left out, since those of earlier versions could hold them.
fn from_spec(pairs: Pairs, inputs: &Inputs<'_>, what: &'static str) -> Result<Pairs, Error> {
    match (inputs.curated().is_some(), what) {
        (true, "label") => Ok(pairs.into_iter().filter(|(key, _)| !keys::is_reserved(key)).collect()),
        (true, _) => Ok(metadata::copied(&pairs, true).collect()),
        (false, "label") => {
            metadata::check_labels(&pairs, &inputs.request.caller, inputs.config).map(|()| pairs)
        }
        (false, _) => {
            metadata::check_inline_annotations(&pairs)?;
            metadata::check_foreign_annotations(&pairs, &inputs.request.caller, inputs.config)?;
            Ok(metadata::copied(&pairs, true).collect())
        }
    }
}

fn check_size(spec: &Value, limit: usize) -> Result<(), Error> {
    let size = serde_json::to_string(spec).map_or(usize::MAX, |text| text.len());
    if size > limit { Err(Error::SpecTooLarge { size, limit }) } else { Ok(()) }
}

/// The context as entries of a container's `env`.
fn variables(request: &SpawnRequest<Product>, secret: Option<&str>) -> Vec<Value> {
    let literal = request.context.expose();
    literal
        .iter()
        .map(|(name, value)| match secret {
            Some(secret) => {
                json!({"name": name, "valueFrom": {"secretKeyRef": {"name": secret, "key": name}}})
            }
            // Literal values are subject to `$(VAR)` expansion; a doubled dollar sign stands for one.
            None => json!({"name": name, "value": value.replace('$', "$$")}),
        })
        .collect()
}

fn service_account(
    spec: &mut Map<String, Value>,
    request: &SpawnRequest<Product>,
    directives: &Directives,
    inputs: &Inputs<'_>,
    warnings: &mut Vec<String>,
) -> Result<Option<Value>, Error> {
    check_service_account(spec, inputs.config)?;
    let Some(role) = &directives.iam_role_arn else { return Ok(None) };
    if inputs.curated().is_none() {
        let reason = "only a template of the operator's or an administrator's can give a workspace a role";
        return Err(Error::Annotation { key: keys::IAM_ROLE_ARN.into(), reason: reason.into() });
    }
    if let Some(name) = named_accounts(spec).next() {
        warnings.push(format!(
            "annotation {} has no effect: the spec names the service account {name:?}",
            keys::IAM_ROLE_ARN
        ));
        return Ok(None);
    }
    spec.shift_remove("serviceAccount");
    Ok(Some(json!({
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {
            "generateName": request.id.service_account_prefix(),
            "namespace": inputs.namespace,
            "labels": request.id.managed_labels(&request.owner),
            "annotations": {(keys::EKS_ROLE_ARN): role, (keys::USER_SUB): request.owner.as_str()},
        },
        "automountServiceAccountToken": false,
    })))
}

fn named_accounts(spec: &Map<String, Value>) -> impl Iterator<Item = &str> {
    let members = ["serviceAccountName", "serviceAccount"].into_iter();
    members.filter_map(|key| spec.get(key)?.as_str()).filter(|name| !name.is_empty())
}

fn check_service_account(spec: &Map<String, Value>, config: &Config) -> Result<(), Error> {
    let is_allowed = |name: &&str| *name == "default" || config.allowed_service_accounts.contains(*name);
    match named_accounts(spec).find(|name| !is_allowed(name)) {
        Some(name) => Err(Error::ServiceAccount { name: name.to_owned() }),
        None => Ok(()),
    }
}

fn check_policy(spec: &PodSpec, annotations: &Pairs, config: &Config) -> Result<(), Error> {
    let violations = policy::violations(spec, annotations, config.pod_security);
    if violations.is_empty() {
        return Ok(());
    }
    Err(Error::Policy { level: config.pod_security.as_str(), violations })
}

/// The manifest of the Secret that holds the context of a workspace or pod. It is created right after the pod, which owns it, so
/// that Kubernetes removes it with the pod; until it exists the pod's containers wait.
#[must_use]
pub fn context_secret(
    name: &str,
    namespace: &Namespace,
    product: &Product,
    owner: &Subject,
    values: &BTreeMap<String, String>,
    pod: (&str, &str),
) -> Value {
    let (pod_name, pod_uid) = pod;
    json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "Opaque",
        "immutable": true,
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": product.managed_labels(owner),
            "annotations": {(keys::USER_SUB): owner.as_str()},
            "ownerReferences": [{
                "apiVersion": "v1", "kind": "Pod", "name": pod_name, "uid": pod_uid,
            }],
        },
        "stringData": values,
    })
}

#[cfg(test)]
mod tests;
