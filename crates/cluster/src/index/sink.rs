//! From the watch into the indexes.

use std::{collections::HashSet, ops::ControlFlow, sync::Arc};

use k8s_openapi::api::core::v1::Pod;
use nocrd_model::{Namespace, keys};
use tracing::warn;

use super::Indexes;
use crate::{Config, Error, NotAWorkspace, supervise::Events, watch::Sink, workspace_pod::Parsed};

/// Most pods that are remembered as no workspaces, so as to say it once.
const TOLD: usize = 1000;

/// Feeds both indexes.
pub(crate) struct PodSink {
    index: Arc<Indexes>,
    events: Events,
    config: Config,
    /// What the listing that is going on has brought: pods that are new or changed…
    changed: Vec<Parsed>,
    /// …and the uids of those that are in the index as they are, which are most of them when a watch has expired.
    unchanged: HashSet<String>,
    told: HashSet<String>,
}

impl PodSink {
    pub(crate) fn new(index: Arc<Indexes>, events: Events, config: Config) -> Self {
        Self { index, events, config, changed: Vec::new(), unchanged: HashSet::new(), told: HashSet::new() }
    }

    /// The uid of a pod that is in the index just like this.
    fn known(&self, pod: &Pod) -> Option<String> {
        let (namespace, name) = name_of(pod);
        let known = self.index.pods.get(&namespace?, &name?)?;
        let meta = &pod.metadata;
        let same = meta.uid.as_ref() == Some(&known.uid)
            && meta.resource_version.as_ref() == Some(&known.resource_version);
        same.then(|| known.uid.clone())
    }

    fn parse(&mut self, pod: Pod) -> Option<Parsed> {
        let name = pod.metadata.name.clone().unwrap_or_default();
        let namespace = pod.metadata.namespace.clone().unwrap_or_default();
        let parsed = Parsed::read(pod);
        match &parsed {
            // It does not claim to be one.
            Ok(Parsed::Workspace(_) | Parsed::Other(_, NotAWorkspace::Label(keys::TYPE))) => {}
            Ok(Parsed::Other(_, reason)) | Err(reason) => self.tell(&namespace, &name, reason),
        }
        // A watch covers all namespaces or one; what lies outside the allowed ones is neither listed nor routed.
        parsed.ok().filter(|parsed| self.config.serves(&parsed.pod().namespace))
    }

    fn tell(&mut self, namespace: &str, name: &str, reason: &NotAWorkspace) {
        if self.told.len() >= TOLD {
            self.told.clear();
        }
        if self.told.insert(format!("{namespace}/{name}")) {
            warn!(k8s.namespace = namespace, k8s.pod = name, %reason, "not a workspace");
        }
    }
}

impl Sink for PodSink {
    type Object = Pod;

    fn listed(&mut self, pods: Vec<Pod>) {
        for pod in pods {
            match self.known(&pod) {
                Some(uid) => {
                    self.unchanged.insert(uid);
                }
                None => {
                    let parsed = self.parse(pod);
                    self.changed.extend(parsed);
                }
            }
        }
    }

    fn listing_ended(&mut self, complete: bool) {
        let (changed, unchanged) = (std::mem::take(&mut self.changed), std::mem::take(&mut self.unchanged));
        if complete {
            self.index.replace(changed, &unchanged);
            self.events.synced();
        }
    }

    fn applied(&mut self, pod: Pod) {
        let (namespace, name) = name_of(&pod);
        match self.parse(pod) {
            Some(pod) => self.index.apply(pod),
            // It may have been one of ours until now.
            None => self.forget(namespace, name),
        }
    }

    fn deleted(&mut self, pod: Pod) {
        let (namespace, name) = name_of(&pod);
        self.forget(namespace, name);
    }

    fn heard(&mut self) {
        self.events.heard();
    }

    fn failed(&mut self, error: &Error) -> ControlFlow<()> {
        self.events.failed(error)
    }
}

impl PodSink {
    fn forget(&self, namespace: Option<Namespace>, name: Option<String>) {
        if let (Some(namespace), Some(name)) = (namespace, name) {
            self.index.remove(&namespace, &name);
        }
    }
}

fn name_of(pod: &Pod) -> (Option<Namespace>, Option<String>) {
    let namespace = pod.metadata.namespace.as_deref().and_then(|namespace| Namespace::parse(namespace).ok());
    (namespace, pod.metadata.name.clone())
}
