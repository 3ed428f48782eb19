//! The rights in the namespaces that the operator lists besides the default one.
//!
//! They decide over no tool: a tool that is offered for the default namespace may fail in another one, and says so then. They
//! are asked for reports, and seldom: without rights in the whole cluster they are a question for each right and namespace.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use futures::StreamExt;
use nocrd_model::Namespace;
use tokio::time::Instant;

use super::{
    Granted, MOST_ELSEWHERE, NEEDS, Permission,
    review::{Others, ask},
};
use crate::{Config, Scope, calls::Calls};

/// How long what was answered is good when nobody asks for it to be looked at.
const FRESH: Duration = Duration::from_secs(600);

/// The answers.
#[derive(Default)]
pub(super) struct Elsewhere {
    granted: Mutex<BTreeMap<Namespace, Granted>>,
    asked: Mutex<Option<Instant>>,
}

impl Elsewhere {
    pub(super) fn granted(&self) -> BTreeMap<Namespace, Granted> {
        self.granted.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Asks anew, and tells whether it did. A question that is not answered keeps its last answer.
    pub(super) async fn refresh(
        &self,
        calls: &Calls,
        config: &Config,
        others: Others,
        at_once: usize,
    ) -> bool {
        let namespaces = namespaces(config);
        if namespaces.is_empty() || !self.is_due(others) {
            return false;
        }
        let needs: Vec<&'static Permission> = NEEDS.iter().filter(|need| !need.cluster_scoped).collect();
        // What is granted in the whole cluster is granted in each namespace.
        let wide: Vec<_> = needs.iter().map(|need| answer(calls, None, need)).collect();
        let wide: Vec<Answer> = futures::stream::iter(wide).buffered(at_once).collect().await;
        let mut answers = Vec::new();
        let mut asking = Vec::new();
        for (_, need, allowed) in wide {
            for namespace in &namespaces {
                if allowed == Some(true) {
                    answers.push((Some(namespace.clone()), need, allowed));
                } else {
                    asking.push(answer(calls, Some(namespace.clone()), need));
                }
            }
        }
        answers.extend(futures::stream::iter(asking).buffered(at_once).collect::<Vec<Answer>>().await);
        let mut granted = self.granted.lock().unwrap_or_else(PoisonError::into_inner);
        for (namespace, need, allowed) in answers {
            if let (Some(namespace), Some(allowed)) = (namespace, allowed) {
                let verbs = granted.entry(namespace).or_default().entry(need.full_resource());
                verbs.or_default().insert(need.verb.to_owned(), allowed);
            }
        }
        *self.asked.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        true
    }

    fn is_due(&self, others: Others) -> bool {
        let asked = *self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        match others {
            Others::No => false,
            Others::Now => true,
            Others::IfOld => asked.is_none_or(|at| at.elapsed() >= FRESH),
        }
    }
}

fn namespaces(config: &Config) -> Vec<Namespace> {
    let listed = config.allowed_namespaces.iter().flatten().filter(|_| config.scope == Scope::Cluster);
    let others = listed.filter(|namespace| **namespace != config.default_namespace);
    others.take(MOST_ELSEWHERE).cloned().collect()
}

/// Where, what, and whether it is allowed, as far as that is known.
type Answer = (Option<Namespace>, &'static Permission, Option<bool>);

async fn answer(calls: &Calls, namespace: Option<Namespace>, need: &'static Permission) -> Answer {
    let allowed = ask(calls, need.verb, need.resource, need.subresource, namespace.as_ref()).await.ok();
    (namespace, need, allowed)
}
