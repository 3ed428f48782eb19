//! What Kubernetes reports about a pod.

use std::{collections::HashMap, ops::ControlFlow};

use futures::Stream;
use jiff::Timestamp;
use k8s_openapi::{Metadata, api::core::v1::Event};
use nocrd_model::Namespace;
use serde::Serialize;
use tokio::sync::mpsc::{self, error::TrySendError};
use tokio_util::task::AbortOnDropHandle;
use tracing::debug;

use crate::{
    Cluster, Error,
    calls::{self, Calls},
    error::Asked,
    list::Selector,
    watch::{Collection, Sink},
};

/// An event about a pod (core/v1 `Event`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PodEvent {
    /// `Normal` or `Warning`.
    #[serde(rename = "type")]
    pub type_: String,
    /// One word, such as `FailedScheduling`.
    pub reason: String,
    /// A sentence.
    pub message: String,
    /// How often it happened; at least 1.
    pub count: u32,
    /// When it happened first.
    pub first: Option<Timestamp>,
    /// When it happened last.
    pub last: Option<Timestamp>,
    /// What reported it, such as `kubelet`; may be empty.
    pub source: String,
}

/// Most events that are told of a pod, the newest.
pub const MAX_EVENTS: usize = 100;

/// Events waiting to be read from [`Cluster::watch_events`]; what does not fit is left out.
const BUFFERED: usize = 256;

impl PodEvent {
    /// Whether it reports a problem.
    #[must_use]
    pub fn is_warning(&self) -> bool {
        self.type_ == "Warning"
    }

    /// Reads both the older form of an event (count, first and last time) and the newer one (a time and a series).
    fn parse(event: Event) -> Self {
        let series = event.series.unwrap_or_default();
        let created = event.metadata.creation_timestamp.map(|time| time.0);
        let once = event.event_time.map(|time| time.0);
        let first = event.first_timestamp.map(|time| time.0).or(once);
        let last = event.last_timestamp.map(|time| time.0);
        let last = last.or(series.last_observed_time.map(|time| time.0)).or(once).or(first).or(created);
        let source = event.source.and_then(|source| source.component).filter(|source| !source.is_empty());
        Self {
            type_: event.type_.filter(|type_| !type_.is_empty()).unwrap_or_else(|| "Normal".to_owned()),
            reason: event.reason.unwrap_or_default(),
            message: event.message.unwrap_or_default(),
            count: series
                .count
                .or(event.count)
                .and_then(|count| u32::try_from(count).ok())
                .unwrap_or(1)
                .max(1),
            first: first.or(last),
            last,
            source: source.or(event.reporting_component).unwrap_or_default(),
        }
    }
}

/// The version of an event's object, which counts up in every API server; 0 where it is no number.
fn version(event: &Event) -> u64 {
    event.metadata.resource_version.as_deref().and_then(|version| version.parse().ok()).unwrap_or(0)
}

impl Cluster {
    /// What Kubernetes reports about a pod: its newest [`MAX_EVENTS`] events, oldest first. With `pod_uid`, those about
    /// earlier pods of the same name are left out.
    ///
    /// # Errors
    /// Those of the API server.
    pub async fn events_for(
        &self,
        namespace: &Namespace,
        pod_name: &str,
        pod_uid: Option<&str>,
    ) -> Result<Vec<PodEvent>, Error> {
        let asked = Asked { verb: "list", resource: "events", namespace: Some(namespace), name: None };
        let selector = about(pod_name, pod_uid)?;
        let mut events: Vec<(u64, PodEvent)> = Vec::new();
        let path = calls::path(Some(namespace), "events");
        self.calls()
            .list(asked, &path, &selector, false, |page: Vec<Event>| {
                events.extend(page.into_iter().map(|event| (version(&event), PodEvent::parse(event))));
            })
            .await?;
        // Times are whole seconds, in which a pod's whole start may lie: the order of writing decides within one.
        events.sort_by_key(|(version, event)| (event.last, *version));
        let newest = events.split_off(events.len().saturating_sub(MAX_EVENTS));
        Ok(newest.into_iter().map(|(_, event)| event).collect())
    }

    /// What Kubernetes reports about a pod, from the first event there is, for as long as the stream is kept. It stays
    /// silent, and ends, when events may not be read.
    pub fn watch_events(
        &self,
        namespace: &Namespace,
        pod_name: &str,
        pod_uid: &str,
    ) -> impl Stream<Item = PodEvent> + Send + Unpin + use<> {
        let (sender, mut receiver) = mpsc::channel(BUFFERED);
        let task = about(pod_name, Some(pod_uid)).ok().map(|selector| {
            let follow = follow(self.calls().clone(), namespace.clone(), selector, sender);
            AbortOnDropHandle::new(tokio::spawn(follow))
        });
        futures::stream::poll_fn(move |context| {
            let _watching = &task;
            receiver.poll_recv(context)
        })
    }
}

async fn follow(calls: Calls, namespace: Namespace, selector: Selector, sender: mpsc::Sender<PodEvent>) {
    let collection = Collection {
        calls: &calls,
        asked: Asked { verb: "watch", resource: "events", namespace: Some(&namespace), name: None },
        path: calls::path(Some(&namespace), "events"),
        selector,
    };
    collection.follow(&mut EventSink { sender, listing: Vec::new(), told: HashMap::new() }).await;
}

/// Selects the events about a pod. Only what can stand in a field selector as it is gets there.
fn about(pod_name: &str, pod_uid: Option<&str>) -> Result<Selector, Error> {
    let plain = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if !nocrd_model::id::is_dns_subdomain(pod_name) || !pod_uid.is_none_or(plain) {
        return Err(Error::NotFound { what: format!("pods {pod_name:?}") });
    }
    let uid = pod_uid.map(|uid| format!(",involvedObject.uid={uid}")).unwrap_or_default();
    let fields = format!("involvedObject.kind=Pod,involvedObject.name={pod_name}{uid}");
    Ok(Selector { labels: None, fields: Some(fields) })
}

/// Passes events on, each state of one once.
struct EventSink {
    sender: mpsc::Sender<PodEvent>,
    listing: Vec<Event>,
    /// How often each event, by name, had happened when it was passed on.
    told: HashMap<String, u32>,
}

impl EventSink {
    fn pass_on(&mut self, event: Event) {
        let name = event.metadata.name.clone().unwrap_or_default();
        let event = PodEvent::parse(event);
        if self.told.insert(name, event.count) == Some(event.count) {
            return;
        }
        if let Err(TrySendError::Full(event)) = self.sender.try_send(event) {
            debug!(reason = event.reason, "nobody reads the events; leaving one out");
        }
    }
}

impl Sink for EventSink {
    type Object = Event;

    fn listed(&mut self, events: Vec<Event>) {
        self.listing.extend(events);
    }

    fn listing_ended(&mut self, complete: bool) {
        let mut listing = std::mem::take(&mut self.listing);
        if complete {
            listing.sort_by_cached_key(|event| PodEvent::parse(event.clone()).last);
            listing.into_iter().for_each(|event| self.pass_on(event));
        }
    }

    fn applied(&mut self, event: Event) {
        self.pass_on(event);
    }

    fn deleted(&mut self, event: Event) {
        self.told.remove(event.metadata().name.as_deref().unwrap_or_default());
    }

    fn failed(&mut self, error: &Error) -> ControlFlow<()> {
        match error {
            Error::Forbidden { .. } | Error::Unauthorized => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(value: serde_json::Value) -> PodEvent {
        PodEvent::parse(serde_json::from_value(value).unwrap())
    }

    #[test]
    fn the_older_form() {
        let event = parse(json!({
            "metadata": {"name": "e"}, "involvedObject": {}, "type": "Warning", "reason": "BackOff",
            "message": "Back-off", "count": 7, "firstTimestamp": "2026-01-01T00:00:00Z",
            "lastTimestamp": "2026-01-01T00:05:00Z", "source": {"component": "kubelet"},
        }));
        assert!(event.is_warning());
        assert_eq!((event.count, event.source.as_str()), (7, "kubelet"));
        assert_eq!(event.last.unwrap().to_string(), "2026-01-01T00:05:00Z");
        assert_eq!(serde_json::to_value(&event).unwrap()["type"], "Warning");
    }

    #[test]
    fn the_newer_form() {
        let event = parse(json!({
            "metadata": {"name": "e"}, "involvedObject": {}, "reason": "FailedScheduling",
            "eventTime": "2026-01-01T00:00:00.123456Z", "reportingComponent": "default-scheduler",
            "series": {"count": 3, "lastObservedTime": "2026-01-01T00:01:00.000000Z"},
            "firstTimestamp": null, "lastTimestamp": null,
        }));
        assert_eq!(
            (event.type_.as_str(), event.count, event.source.as_str()),
            ("Normal", 3, "default-scheduler")
        );
        assert_eq!(event.first.unwrap().to_string(), "2026-01-01T00:00:00.123456Z");
        assert_eq!(event.last.unwrap().to_string(), "2026-01-01T00:01:00Z");
    }

    #[test]
    fn an_event_without_times_has_that_of_its_creation() {
        let event = parse(json!({
            "metadata": {"name": "e", "creationTimestamp": "2026-01-01T00:00:00Z"}, "involvedObject": {},
        }));
        assert_eq!((event.count, event.first), (1, event.last));
        assert!(event.last.is_some());
    }

    #[test]
    fn t51_k05_nothing_strange_gets_into_a_selector() {
        assert_eq!(
            about("w1", Some("u-1")).unwrap().fields.unwrap(),
            "involvedObject.kind=Pod,involvedObject.name=w1,involvedObject.uid=u-1"
        );
        for (name, uid) in [("a,b=c", None), ("", None), ("w1", Some("u,metadata.name=x")), ("w1", Some(""))]
        {
            assert!(about(name, uid).is_err(), "{name} {uid:?}");
        }
    }
}
