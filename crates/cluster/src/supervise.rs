//! The two tasks that keep a collection in memory, and what they tell of themselves.

use std::{ops::ControlFlow, sync::Arc};

use nocrd_model::keys;
use tokio::sync::Notify;
use tracing::{info, warn};

use crate::{
    Config, Error, Scope,
    calls::{self, Calls},
    cluster::Watched,
    error::Asked,
    list::Selector,
    liveness::Liveness,
    watch::{Collection, Sink},
};

/// Where a sink reports what becomes of its watch.
#[derive(Clone)]
pub(crate) struct Events {
    pub(crate) resource: &'static str,
    pub(crate) liveness: Arc<Liveness>,
    /// Told when a permission turns out to be missing.
    pub(crate) denied: Arc<Notify>,
    /// Set when nobody asks for permissions: the scope is then narrowed here.
    pub(crate) narrow: Option<Narrow>,
}

/// What a watch covers, one after the other, when it turns out not to be permitted.
#[derive(Clone)]
pub(crate) struct Narrow(Vec<Watched>);

impl Narrow {
    pub(crate) fn of(config: &Config, resource: &str) -> Self {
        let mut steps = Vec::new();
        if config.scope == Scope::Cluster {
            steps.push(Watched::AllNamespaces);
        }
        steps.push(Watched::One(config.default_namespace.clone()));
        // There is no service without pods, but there is without template ConfigMaps.
        if resource != "pods" {
            steps.push(Watched::Nothing);
        }
        Self(steps)
    }

    fn after(&self, current: &Watched) -> Option<&Watched> {
        let at = self.0.iter().position(|step| step == current)?;
        self.0.get(at + 1)
    }
}

impl Events {
    pub(crate) fn synced(&self) {
        self.liveness.mark_synced();
    }

    pub(crate) fn heard(&self) {
        if self.liveness.heard() {
            info!(resource = self.resource, "the watch works again");
        }
    }

    pub(crate) fn failed(&self, error: &Error) -> ControlFlow<()> {
        if self.liveness.failed(error.to_string()) {
            warn!(resource = self.resource, %error, "the watch is broken; serving what is known");
        }
        if matches!(error, Error::Forbidden { .. }) {
            match &self.narrow {
                Some(narrow) => {
                    let current = self.liveness.scope.borrow().clone();
                    if let Some(next) = narrow.after(&current) {
                        self.liveness.cover(next.clone());
                    }
                }
                None => self.denied.notify_one(),
            }
        }
        ControlFlow::Continue(())
    }
}

/// Follows a collection for ever, starting over whenever what it is to cover changes.
pub(crate) async fn supervise(calls: Calls, events: Events, labels: String, mut sink: impl Sink) {
    let mut scope = events.liveness.scope.subscribe();
    loop {
        let covered = scope.borrow_and_update().clone();
        let namespace = match &covered {
            Watched::AllNamespaces => None,
            Watched::One(namespace) => Some(namespace),
            Watched::Nothing => {
                // Not permitted: nothing to wait for, and nothing to serve.
                sink.listing_ended(true);
                sink.heard();
                let _ = scope.changed().await;
                continue;
            }
        };
        info!(resource = events.resource, scope = %covered, "watching");
        let collection = Collection {
            calls: &calls,
            asked: Asked { verb: "watch", resource: events.resource, namespace, name: None },
            path: calls::path(namespace, events.resource),
            selector: Selector { labels: Some(labels.clone()), fields: None },
        };
        tokio::select! {
            () = collection.follow(&mut sink) => {}
            // An unfinished listing is of no use to the next one.
            _ = scope.changed() => sink.listing_ended(false),
        }
    }
}

/// The label selector of everything this product made.
pub(crate) fn managed_selector() -> String {
    format!("{}={}", keys::MANAGED_BY, keys::MANAGED_BY_VALUE)
}

/// The label selector of the pods that are workspaces of ours.
pub(crate) fn workspace_selector() -> String {
    format!("{},{}", keys::workspace_selector(), managed_selector())
}
