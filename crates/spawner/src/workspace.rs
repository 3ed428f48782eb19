use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;
use nocrd_cluster::{Status, WorkspacePod};
use nocrd_model::{Api, Namespace, Subject, WorkspaceId, keys};
use nocrd_templates::{Catalogue, TemplateRef};

/// A workspace as readers see it, derived from its pod; reading it costs no API call.
#[derive(Debug, Clone)]
pub struct Workspace {
    pod: Arc<WorkspacePod>,
    latest_template_version: Option<String>,
}

impl Workspace {
    /// Reads a workspace from its pod, and its template's present version from the catalogue.
    #[must_use]
    pub fn new(pod: Arc<WorkspacePod>, catalogue: &Catalogue, default_namespace: &Namespace) -> Self {
        let latest_template_version = pod
            .template_ref
            .as_deref()
            .and_then(|text| text.parse::<TemplateRef>().ok())
            .and_then(|reference| catalogue.resolve(&reference, default_namespace).ok())
            .map(|template| template.version().to_owned());
        Self { pod, latest_template_version }
    }

    /// The pod behind it.
    #[must_use]
    pub fn pod(&self) -> &WorkspacePod {
        &self.pod
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> &WorkspaceId {
        &self.pod.id
    }

    /// Its display name, else its pod's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.annotation(keys::WORKSPACE_NAME).unwrap_or(&self.pod.pod_name)
    }

    /// Its owner.
    #[must_use]
    pub fn owner(&self) -> &Subject {
        &self.pod.owner
    }

    /// What it is doing.
    #[must_use]
    pub fn status(&self) -> &Status {
        &self.pod.status
    }

    /// Tells whether requests are routed to it.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.pod.ready && !self.pod.deleting
    }

    /// What its template says it is for.
    #[must_use]
    pub fn description(&self) -> &str {
        self.annotation(keys::DESCRIPTION)
            .or_else(|| self.annotation(keys::TEMPLATE_DESCRIPTION))
            .unwrap_or_default()
    }

    /// Where its main page is.
    #[must_use]
    pub fn path(&self) -> &str {
        self.annotation(keys::WORKSPACE_PATH).or_else(|| self.annotation(keys::PREVIEW_PATH)).unwrap_or("/")
    }

    /// How a dashboard shows its main page.
    #[must_use]
    pub fn kind(&self) -> &str {
        self.annotation(keys::WORKSPACE_TYPE)
            .or_else(|| self.annotation(keys::PREVIEW_TYPE))
            .unwrap_or("html")
    }

    /// Its additional ports.
    #[must_use]
    pub fn apis(&self) -> &[Api] {
        &self.pod.apis
    }

    /// When its pod was created.
    #[must_use]
    pub fn created(&self) -> Timestamp {
        self.pod.created
    }

    /// Version of the template it was spawned from; `1.0.0` when it names none.
    #[must_use]
    pub fn template_version(&self) -> &str {
        self.pod.template_version.as_deref().unwrap_or(keys::DEFAULT_TEMPLATE_VERSION)
    }

    /// Present version of its template; `None` without a template, and when the template can't be read.
    #[must_use]
    pub fn latest_template_version(&self) -> Option<&str> {
        self.latest_template_version.as_deref()
    }

    /// Tells whether a newer version of its template is known.
    #[must_use]
    pub fn is_outdated(&self) -> bool {
        self.latest_template_version
            .as_deref()
            .is_some_and(|latest| nocrd_templates::is_newer(latest, self.template_version()))
    }

    /// Its annotations.
    #[must_use]
    pub fn annotations(&self) -> &BTreeMap<String, String> {
        &self.pod.annotations
    }

    fn annotation(&self, key: &str) -> Option<&str> {
        self.pod.annotations.get(key).map(String::as_str).filter(|text| !text.is_empty())
    }
}
