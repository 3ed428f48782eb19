use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;
use nocrd_cluster::{Status, WorkspacePod};
use nocrd_model::{Api, Namespace, Subject, WorkspaceId, keys};
use nocrd_templates::Catalogue;

use crate::{
    names,
    upgrade::{Upgrade, View, latest_template},
};

/// A workspace as readers see it, derived from its pods; reading it costs no API call.
#[derive(Debug, Clone)]
pub struct Workspace {
    pod: Arc<WorkspacePod>,
    upgrade: Option<Upgrade>,
    /// What it is doing, where that is not its pod's alone.
    status: Option<Status>,
    latest: Option<Latest>,
}

/// The present version of its template.
#[derive(Debug, Clone)]
struct Latest {
    version: String,
    is_curated: bool,
}

impl Workspace {
    /// Reads a workspace from its only pod, and its template's present version from the catalogue.
    #[must_use]
    pub fn new(pod: Arc<WorkspacePod>, catalogue: &Catalogue, default_namespace: &Namespace) -> Self {
        Self::of(View { pod, upgrade: None, status: None }, catalogue, default_namespace)
    }

    pub(crate) fn of(view: View, catalogue: &Catalogue, default_namespace: &Namespace) -> Self {
        let View { pod, upgrade, status } = view;
        let latest = latest_template(&pod, catalogue, default_namespace).ok().map(|template| Latest {
            version: template.version().to_owned(),
            is_curated: template.is_curated(),
        });
        Self { pod, upgrade, status, latest }
    }

    /// The upgrade that is under way.
    #[must_use]
    pub fn upgrade(&self) -> Option<&Upgrade> {
        self.upgrade.as_ref()
    }

    /// Why the last upgrade failed, if it did.
    #[must_use]
    pub fn last_upgrade_error(&self) -> Option<&str> {
        self.annotation(keys::LAST_UPGRADE_ERROR)
    }

    /// The pod behind it: of several the one that serves.
    #[must_use]
    pub fn pod(&self) -> &WorkspacePod {
        &self.pod
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> &WorkspaceId {
        &self.pod.id
    }

    /// Its display name, else its pod's name; after an upgrade, which may change that, its id.
    #[must_use]
    pub fn name(&self) -> &str {
        let of_pod = &self.pod.pod_name;
        let fallback = if *of_pod == names::twin(&self.pod.id) { self.pod.id.as_str() } else { of_pod };
        self.annotation(keys::WORKSPACE_NAME).unwrap_or(fallback)
    }

    /// Its owner.
    #[must_use]
    pub fn owner(&self) -> &Subject {
        &self.pod.owner
    }

    /// What it is doing.
    #[must_use]
    pub fn status(&self) -> &Status {
        self.status.as_ref().unwrap_or(&self.pod.status)
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

    /// Present version of its template; `None` without a template, when that can't be read, and when there is
    /// only another template of its name: from another source, or somebody else's.
    #[must_use]
    pub fn latest_template_version(&self) -> Option<&str> {
        self.latest.as_ref().map(|latest| latest.version.as_str())
    }

    /// Whether an operator or administrator answers for that version, so that others than its owner may choose it.
    pub(crate) fn is_latest_curated(&self) -> bool {
        self.latest.as_ref().is_some_and(|latest| latest.is_curated)
    }

    /// Tells whether a newer version of its template is known.
    #[must_use]
    pub fn is_outdated(&self) -> bool {
        self.latest_template_version()
            .is_some_and(|latest| nocrd_templates::is_newer(latest, self.template_version()))
    }

    /// Its annotations, as they stand on its pod: what an upgrade notes there ([`keys::UPGRADE_ROLLBACK`] holds a whole pod) is
    /// not for everybody's eyes.
    #[must_use]
    pub fn annotations(&self) -> &BTreeMap<String, String> {
        &self.pod.annotations
    }

    fn annotation(&self, key: &str) -> Option<&str> {
        self.pod.annotations.get(key).map(String::as_str).filter(|text| !text.is_empty())
    }
}
