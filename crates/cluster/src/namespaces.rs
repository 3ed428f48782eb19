//! The namespaces of the cluster that the server works in.

use std::{sync::Arc, time::Duration};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use nocrd_model::Namespace;
use serde::Deserialize;
use tokio::{sync::Mutex, time::Instant};

use crate::{
    Cluster, Error, Scope,
    calls::{self, Calls},
    cluster::Watched,
    error::Asked,
    list::Selector,
};

/// How long what was read is good. Whoever asks meanwhile gets the same.
const FRESH: Duration = Duration::from_secs(10);

/// What the API server said last.
#[derive(Default)]
pub(crate) struct Namespaces(Mutex<Option<(Instant, Arc<[Namespace]>)>>);

#[derive(Deserialize)]
struct Listed {
    metadata: ObjectMeta,
}

impl Namespaces {
    async fn get(&self, calls: &Calls) -> Result<Arc<[Namespace]>, Error> {
        // Those who come meanwhile wait for the one that asks.
        let mut last = self.0.lock().await;
        if let Some((at, known)) = &*last
            && at.elapsed() < FRESH
        {
            return Ok(Arc::clone(known));
        }
        let asked = Asked { verb: "list", resource: "namespaces", namespace: None, name: None };
        let mut all: Vec<Namespace> = Vec::new();
        let path = calls::path(None, "namespaces");
        calls
            .list(asked, &path, &Selector::default(), true, |page: Vec<Listed>| {
                // Nothing can be made any more in one that is being deleted.
                let live = page.into_iter().filter(|listed| listed.metadata.deletion_timestamp.is_none());
                all.extend(live.filter_map(|listed| Namespace::parse(listed.metadata.name.as_deref()?).ok()));
            })
            .await?;
        all.sort_unstable();
        let all: Arc<[Namespace]> = all.into();
        *last = Some((Instant::now(), Arc::clone(&all)));
        Ok(all)
    }
}

impl Cluster {
    /// The namespaces that the server works in, by name: the default one alone where it keeps to that, sees no pods in
    /// others, or may not list namespaces. What is told may be ten seconds old.
    ///
    /// # Errors
    /// Those about the cluster.
    pub async fn namespaces(&self) -> Result<Vec<Namespace>, Error> {
        let default = || vec![self.default_namespace().clone()];
        if self.scope() == Scope::Namespaced || self.health().watched != Watched::AllNamespaces {
            return Ok(default());
        }
        match self.known_namespaces().get(self.calls()).await {
            Ok(all) => Ok(all.iter().filter(|namespace| self.serves(namespace)).cloned().collect()),
            Err(Error::Forbidden { .. }) => Ok(default()),
            Err(error) => Err(error),
        }
    }
}
