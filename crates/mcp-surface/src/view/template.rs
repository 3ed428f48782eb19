use std::collections::BTreeMap;

use nocrd_model::Namespace;
use nocrd_templates::{Problem, Template};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

use super::{IN_DETAILS, IN_LIST, api::ApiView, metadata};
use crate::{redact, text};

/// A template without its spec.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub(crate) struct TemplateEntry {
    pub(crate) name: String,
    namespace: String,
    /// What spawn_workspace takes.
    template_ref: String,
    pub(crate) description: String,
    tag: String,
    version: String,
    /// Variables that `context` must hold.
    required_context: Vec<String>,
    workspace_path: String,
    workspace_type: String,
    apis: Vec<ApiView>,
    /// From the server itself, not from a ConfigMap: can't be changed.
    is_local: bool,
    user_sub: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    allowed_roles: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    allowed_scopes: Option<Vec<String>>,
}

impl TemplateEntry {
    /// `namespace` is the one asked about: a local template is of every namespace.
    pub(crate) fn new(template: &Template, namespace: &Namespace) -> Self {
        let lines = |texts: &[String]| -> Vec<String> {
            texts.iter().map(|text| text::line(text, IN_LIST)).collect()
        };
        let restriction = template.restriction();
        Self {
            name: template.name.clone(),
            namespace: template.origin.namespace().unwrap_or(namespace).to_string(),
            template_ref: template.reference().to_string(),
            description: text::line(template.description(), IN_LIST),
            tag: text::line(template.tag(), IN_LIST),
            version: text::line(template.version(), IN_LIST),
            required_context: lines(&template.required_context()),
            workspace_path: text::line(template.workspace_path(), IN_LIST),
            workspace_type: text::line(template.workspace_type(), IN_LIST),
            apis: ApiView::all(&template.apis()),
            is_local: template.origin.is_local(),
            user_sub: template
                .user_sub()
                .map(|subject| text::line(subject.as_str(), IN_LIST))
                .unwrap_or_default(),
            allowed_roles: restriction.roles().map(lines),
            allowed_scopes: restriction.scopes().map(lines),
        }
    }
}

/// A template with its spec, placeholders unreplaced.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TemplateDetails {
    #[serde(flatten)]
    entry: TemplateEntry,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
    #[schemars(with = "Map<String, Value>")]
    spec: Value,
}

impl TemplateDetails {
    pub(crate) fn new(template: &Template, namespace: &Namespace) -> Self {
        let mut spec = template.spec.clone();
        redact::spec(&mut spec);
        Self {
            entry: TemplateEntry {
                description: text::block(template.description(), IN_DETAILS),
                tag: text::line(template.tag(), IN_DETAILS),
                version: text::line(template.version(), IN_DETAILS),
                workspace_path: text::line(template.workspace_path(), IN_DETAILS),
                user_sub: template
                    .user_sub()
                    .map(|subject| text::line(subject.as_str(), IN_DETAILS))
                    .unwrap_or_default(),
                ..TemplateEntry::new(template, namespace)
            },
            labels: metadata(&template.labels),
            annotations: metadata(&template.annotations),
            spec,
        }
    }

    /// The object that the text shows.
    pub(crate) fn manifest(&self) -> Value {
        serde_json::json!({
            "metadata": {
                "name": self.entry.name,
                "namespace": self.entry.namespace,
                "labels": self.labels,
                "annotations": self.annotations,
            },
            "spec": self.spec,
        })
    }
}

/// A template that can't be used, or not as it stands.
#[derive(Serialize, JsonSchema)]
#[schemars(inline)]
pub(crate) struct ProblemView {
    pub(crate) name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<String>,
    pub(crate) reason: String,
}

impl ProblemView {
    /// What is to be known of a template that can be used all the same.
    pub(crate) fn warning(template: &Template) -> Option<Self> {
        let reason = template.warning()?;
        Some(Self::new(&Problem { name: template.name.clone(), origin: template.origin.clone(), reason }))
    }

    pub(crate) fn new(problem: &Problem) -> Self {
        Self {
            name: text::line(&problem.name, IN_LIST),
            namespace: problem.origin.namespace().map(ToString::to_string),
            reason: text::line(&problem.reason, 300),
        }
    }
}
