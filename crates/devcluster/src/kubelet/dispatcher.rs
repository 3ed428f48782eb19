//! Hands the store's pods to their workers.

use std::{collections::HashMap, sync::Arc};

use serde_json::Value;
use tokio::{sync::watch, task::JoinSet};

use super::{
    node::Node,
    worker::{self, Update},
};
use crate::{
    kind::Kind,
    object,
    store::{Change, Event},
};

/// Starts a worker for each pod of this node, and tells it of every change, until the kubelet shuts down; then waits
/// for all of them.
pub(super) async fn run(node: Arc<Node>) {
    let mut workers = Workers { node: node.clone(), updates: HashMap::new(), tasks: JoinSet::new() };
    while !node.shutdown.is_cancelled() {
        let Ok((snapshot, mut changes)) = node.store.list_and_watch(Kind::Pod) else { break };
        workers.take_over(&snapshot.items);
        loop {
            tokio::select! {
                biased;
                () = node.shutdown.cancelled() => break,
                Some(ended) = workers.tasks.join_next() => workers.forget(ended.ok()),
                next = changes.next() => match next {
                    Some(Ok(event)) => workers.apply(&event),
                    // Too far behind: what was missed is in the next list.
                    Some(Err(_)) | None => break,
                }
            }
        }
    }
    while workers.tasks.join_next().await.is_some() {}
}

struct Workers {
    node: Arc<Node>,
    /// By uid.
    updates: HashMap<String, watch::Sender<Update>>,
    tasks: JoinSet<String>,
}

impl Workers {
    fn take_over(&mut self, pods: &[Arc<Value>]) {
        for (uid, updates) in &self.updates {
            if !pods.iter().any(|pod| object::uid(pod) == uid) {
                updates.send_modify(|update| update.is_gone = true);
            }
        }
        for pod in pods {
            self.update(pod, false);
        }
    }

    fn apply(&mut self, event: &Event) {
        self.update(&event.object, event.change == Change::Deleted);
    }

    fn update(&mut self, pod: &Arc<Value>, is_gone: bool) {
        let update = Update { object: pod.clone(), is_gone };
        let uid = object::uid(pod);
        if let Some(updates) = self.updates.get(uid) {
            updates.send_replace(update);
            return;
        }
        if is_gone || object::text_at(pod, &["spec", "nodeName"]) != self.node.name {
            return;
        }
        let (sender, receiver) = watch::channel(update);
        self.updates.insert(uid.to_owned(), sender);
        let (node, uid) = (self.node.clone(), uid.to_owned());
        self.tasks.spawn(async move {
            worker::run(node, receiver).await;
            uid
        });
    }

    fn forget(&mut self, uid: Option<String>) {
        match uid {
            Some(uid) => drop(self.updates.remove(&uid)),
            // A worker that was lost in a panic; its channel has no receiver any more.
            None => self.updates.retain(|_, updates| !updates.is_closed()),
        }
    }
}
