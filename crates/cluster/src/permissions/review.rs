//! Asking the API server what it lets us do: SelfSubjectAccessReview, one per question.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use futures::StreamExt;
use http::Request;
use nocrd_model::Namespace;
use serde::Deserialize;
use serde_json::json;
use tokio::{sync::watch, time::Instant};
use tracing::{info, warn};

use super::{NEEDS, Permission, PermissionReport, elsewhere::Elsewhere};
use crate::{
    Config, Error, Scope,
    calls::{self, Calls},
    cluster::Watched,
    error::Asked,
};

/// May we do this, there?
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Question {
    verb: &'static str,
    resource: &'static str,
    subresource: &'static str,
    /// In the default namespace, rather than in all of them.
    here: bool,
}

/// When to ask about namespaces other than the default one, which can be many questions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Others {
    /// Not now.
    No,
    /// If that is long ago.
    IfOld,
    /// Now.
    Now,
}

impl Question {
    fn of(need: &Permission) -> Self {
        Self {
            verb: need.verb,
            resource: need.resource,
            subresource: need.subresource,
            here: !need.cluster_scoped,
        }
    }

    fn everywhere(verb: &'static str, resource: &'static str) -> Self {
        Self { verb, resource, subresource: "", here: false }
    }
}

/// Questions under way at a time. The client has a connection for each.
const AT_ONCE: usize = 8;

/// Asks, and remembers the answers.
pub(crate) struct Reviewer {
    calls: Calls,
    config: Config,
    answers: Mutex<BTreeMap<Question, bool>>,
    elsewhere: Elsewhere,
    report: ArcSwap<PermissionReport>,
    changes: watch::Sender<u64>,
    /// When everything was asked last. One refresh runs at a time.
    asked: tokio::sync::Mutex<Option<Instant>>,
    /// Whether the last refresh left something unanswered: told once, not every few seconds.
    failing: AtomicBool,
}

impl Reviewer {
    pub(crate) fn new(calls: Calls, config: Config) -> Self {
        // Nothing is known yet: nothing is allowed, unless nobody is to ask.
        let unasked = !config.check_permissions;
        let report =
            PermissionReport::new(config.scope, config.default_namespace.clone(), unasked, |_| unasked);
        Self {
            calls,
            config,
            answers: Mutex::default(),
            elsewhere: Elsewhere::default(),
            report: ArcSwap::from_pointee(report),
            changes: watch::Sender::new(0),
            asked: tokio::sync::Mutex::default(),
            failing: AtomicBool::new(false),
        }
    }

    pub(crate) fn report(&self) -> Arc<PermissionReport> {
        self.report.load_full()
    }

    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Asks everything anew. A question that is not answered keeps its last answer.
    pub(crate) async fn refresh(&self, others: Others) {
        self.refresh_older_than(Duration::ZERO, others).await;
    }

    /// The same, unless that was done within the last `age`, or is just being done.
    pub(crate) async fn refresh_older_than(&self, age: Duration, others: Others) {
        if !self.config.check_permissions {
            return;
        }
        let mut asked = self.asked.lock().await;
        if asked.is_some_and(|at| at.elapsed() < age) {
            return;
        }
        let mut questions: Vec<Question> =
            NEEDS.iter().filter(|need| need.applies_in(self.config.scope)).map(Question::of).collect();
        if self.config.scope == Scope::Cluster {
            for resource in ["pods", "configmaps"] {
                questions.extend(["list", "watch"].map(|verb| Question::everywhere(verb, resource)));
            }
        }
        let asking = questions.clone().into_iter().map(|question| self.ask(question));
        let answers: Vec<_> = futures::stream::iter(asking).buffered(AT_ONCE).collect().await;
        let failure = answers.iter().find_map(|answer| answer.as_ref().err());
        let complete = failure.is_none();
        let failed_before = self.failing.swap(!complete, Ordering::Relaxed);
        if let Some(error) = failure.filter(|_| !failed_before) {
            warn!(%error, "could not find out what this server may do; going by the last answers");
        }
        {
            let mut known = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
            known.extend(questions.iter().zip(answers).filter_map(|(q, answer)| Some((*q, answer.ok()?))));
        }
        self.publish(complete);
        *asked = complete.then(Instant::now);
        // What decides over tools is known by now, and stays so if nobody waits for the rest.
        if self.elsewhere.refresh(&self.calls, &self.config, others, AT_ONCE).await {
            self.publish(complete);
        }
    }

    fn publish(&self, complete: bool) {
        let allowed = |need: &Permission| self.known(Question::of(need)).unwrap_or_default();
        let namespace = self.config.default_namespace.clone();
        let mut report = PermissionReport::new(self.config.scope, namespace, complete, allowed);
        report.elsewhere = self.elsewhere.granted();
        if **self.report.load() == report {
            return;
        }
        if !report.disabled_tools.is_empty() {
            info!(tools = report.disabled_tools.join(" "), "not permitted, so not offered");
        }
        self.report.store(Arc::new(report));
        self.changes.send_modify(|count| *count += 1);
    }

    fn known(&self, question: Question) -> Option<bool> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner).get(&question).copied()
    }

    /// Where a resource can be followed, going by the answers. What is not known is tried.
    pub(crate) fn watchable(&self, resource: &'static str) -> Watched {
        // Templates that can't be watched are listed again and again.
        let verbs = if resource == "pods" { &["list", "watch"][..] } else { &["list"] };
        let denied = |here: bool| {
            verbs
                .iter()
                .any(|&verb| self.known(Question { verb, resource, subresource: "", here }) == Some(false))
        };
        if self.config.scope == Scope::Cluster && !denied(false) {
            return Watched::AllNamespaces;
        }
        // Without pods there is no service at all: keep trying, so that health says what is missing.
        if resource != "pods" && denied(true) {
            return Watched::Nothing;
        }
        Watched::One(self.config.default_namespace.clone())
    }

    async fn ask(&self, question: Question) -> Result<bool, Error> {
        let Question { verb, resource, subresource, here } = question;
        let namespace = here.then_some(&self.config.default_namespace);
        ask(&self.calls, verb, resource, subresource, namespace).await
    }
}

/// Asks whether the server may do something in a namespace, or in the whole cluster.
pub(super) async fn ask(
    calls: &Calls,
    verb: &str,
    resource: &str,
    subresource: &str,
    namespace: Option<&Namespace>,
) -> Result<bool, Error> {
    let asked = Asked { verb: "create", resource: "selfsubjectaccessreviews", namespace: None, name: None };
    let mut attributes = json!({"group": Permission::GROUP, "verb": verb, "resource": resource});
    if let Some(attributes) = attributes.as_object_mut() {
        attributes.extend(namespace.map(|namespace| ("namespace".to_owned(), json!(namespace))));
        if !subresource.is_empty() {
            attributes.insert("subresource".to_owned(), json!(subresource));
        }
    }
    let review = json!({
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": attributes},
    });
    let request = Request::post("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews");
    let request = calls::with_json(asked, request, &review)?;
    let answer: Answer = calls.json(asked, request).await?;
    Ok(answer.status.allowed)
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    status: Verdict,
}

#[derive(Deserialize, Default)]
struct Verdict {
    #[serde(default)]
    allowed: bool,
}
