//! Watching: a list that goes on.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use axum::{body::Body, response::Response};
use bytes::Bytes;
use http::StatusCode;
use rand::Rng;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::{
    Call,
    accept::Form,
    list::{Selection, Version, too_large},
    render::{self, ListMeta, MetadataOnly, core},
    table::{self, Include},
};
use crate::{
    kind::Kind,
    object,
    schema::decode,
    status::Status,
    store::{Change, Event, Watch},
};

/// A watch without a time limit of its own ends after this many seconds, or up to twice as many.
const DEFAULT_TIMEOUT_SECONDS: u64 = 1800;
/// The last bookmark comes this long before the end.
const LAST_BOOKMARK: Duration = Duration::from_secs(2);
/// Marks the bookmark behind the objects that were there from the start.
const INITIAL_EVENTS_END: &str = "k8s.io/initial-events-end";

pub(super) fn start(call: &Call<'_>) -> Result<Response, Status> {
    let selection = Selection::parse(call.kind(), &call.path.namespace, &call.query)?;
    let version = Version::parse(&call.query)?;
    let timeout = match call.query.number("timeoutSeconds")?.and_then(|seconds| u64::try_from(seconds).ok()) {
        Some(seconds) if seconds > 0 => seconds,
        // Spread, so that clients don't all come back at once.
        _ => rand::rng().random_range(DEFAULT_TIMEOUT_SECONDS..=2 * DEFAULT_TIMEOUT_SECONDS),
    };
    let bookmarks = call.query.flag("allowWatchBookmarks");
    let mut writer = Writer {
        kind: call.kind(),
        form: call.form,
        include: Include::parse(call.query.get("includeObject")),
        described: false,
    };
    let now = Instant::now();
    let deadline = now + Duration::from_secs(timeout);
    let (watch, pending, ended) = match begin(call, &selection, version, bookmarks, &mut writer) {
        Ok((watch, pending)) => (Some(watch), pending, false),
        // What is wrong with the version is told in the stream: by then the answer has begun.
        Err(status) => (None, VecDeque::from([writer.error(&status)]), true),
    };
    let feed = Feed {
        watch,
        pending,
        ended,
        selection,
        writer,
        bookmark: bookmarks.then(|| Bookmark {
            interval: call.api.options.bookmark_interval,
            next: now + call.api.options.bookmark_interval,
            last: deadline.checked_sub(LAST_BOOKMARK).filter(|last| *last > now),
        }),
        deadline,
        closing: call.api.closing.clone(),
    };
    let frames = futures::stream::unfold(feed, |mut feed| async move {
        feed.next().await.map(|frame| (Ok::<_, std::convert::Infallible>(frame), feed))
    });
    Ok(render::with_type(StatusCode::OK, "application/json", Body::from_stream(frames)))
}

/// Opens the watch, and writes what is told first: the objects that are there, if they are asked for.
fn begin(
    call: &Call<'_>,
    selection: &Selection,
    version: Version,
    bookmarks: bool,
    writer: &mut Writer,
) -> Result<(Watch, VecDeque<Bytes>), Status> {
    let (store, kind) = (&call.api.store, call.kind());
    let asked_initial = call.query.get("sendInitialEvents").map(|_| call.query.flag("sendInitialEvents"));
    let current = store.revision();
    if let Version::NotOlderThan(asked) | Version::Exactly(asked) = version {
        if asked > current {
            return Err(too_large(asked, current));
        }
        if asked_initial != Some(true) {
            return Ok((store.watch(kind, asked)?, VecDeque::new()));
        }
    }
    if asked_initial == Some(false) {
        return Ok((store.watch(kind, current)?, VecDeque::new()));
    }
    let snapshot = store.list(kind, selection.namespace());
    let watch = store.watch(kind, snapshot.revision)?;
    let selected = snapshot.items.iter().filter(|object| selection.matches(object));
    let mut pending: VecDeque<Bytes> = selected.map(|object| writer.event("ADDED", object)).collect();
    if asked_initial == Some(true) && bookmarks {
        pending.push_back(writer.bookmark(snapshot.revision, true));
    }
    Ok((watch, pending))
}

struct Bookmark {
    interval: Duration,
    next: Instant,
    /// When the last one is due; `None` when the watch is too short for it, or when it was sent.
    last: Option<Instant>,
}

impl Bookmark {
    fn due(&self) -> Instant {
        self.last.map_or(self.next, |last| last.min(self.next))
    }

    fn advance(&mut self, now: Instant) {
        if self.last.is_some_and(|last| last <= now) {
            self.last = None;
        }
        if self.next <= now {
            self.next = now + self.interval;
        }
    }
}

struct Feed {
    watch: Option<Watch>,
    pending: VecDeque<Bytes>,
    ended: bool,
    selection: Selection,
    writer: Writer,
    bookmark: Option<Bookmark>,
    deadline: Instant,
    closing: CancellationToken,
}

enum Step {
    Changed(Option<Result<Event, Status>>),
    BookmarkDue,
    Over,
}

impl Feed {
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(frame) = self.pending.pop_front() {
                return Some(frame);
            }
            if self.ended {
                return None;
            }
            match self.step().await {
                Step::Changed(Some(Ok(event))) => {
                    let frame = self.translate(&event);
                    self.pending.extend(frame);
                }
                Step::Changed(Some(Err(status))) => {
                    self.ended = true;
                    return Some(self.writer.error(&status));
                }
                Step::BookmarkDue => {
                    if let Some(bookmark) = &mut self.bookmark {
                        bookmark.advance(Instant::now());
                    }
                    if let Some(revision) = self.watch.as_ref().and_then(Watch::caught_up_to) {
                        return Some(self.writer.bookmark(revision, false));
                    }
                }
                Step::Changed(None) | Step::Over => {
                    self.ended = true;
                }
            }
        }
    }

    async fn step(&mut self) -> Step {
        let Some(watch) = &mut self.watch else { return Step::Over };
        let bookmark_due = self.bookmark.as_ref().map_or(self.deadline, Bookmark::due);
        tokio::select! {
            biased;
            () = self.closing.cancelled() => Step::Over,
            () = sleep_until(self.deadline) => Step::Over,
            event = watch.next() => Step::Changed(event),
            () = sleep_until(bookmark_due) => Step::BookmarkDue,
        }
    }

    /// What a change is to somebody who sees only some objects: one that comes into view is new, one that goes out of
    /// view is gone.
    fn translate(&mut self, event: &Event) -> Option<Bytes> {
        let before = event.previous.as_ref().filter(|previous| self.selection.matches(previous));
        let now = event.change != Change::Deleted && self.selection.matches(&event.object);
        match (before, now) {
            (None, true) => Some(self.writer.event("ADDED", &event.object)),
            (Some(_), true) => Some(self.writer.event("MODIFIED", &event.object)),
            (Some(_), false) if event.change == Change::Deleted => {
                Some(self.writer.event("DELETED", &event.object))
            }
            (Some(previous), false) => {
                let mut last = Value::clone(previous);
                object::set_meta(&mut last, "resourceVersion", event.revision.to_string().into());
                Some(self.writer.event("DELETED", &Arc::new(last)))
            }
            (None, false) => None,
        }
    }
}

/// Writes events in the form the caller wants.
struct Writer {
    kind: Kind,
    form: Form,
    include: Include,
    /// Whether the caller has been told the columns of the table.
    described: bool,
}

impl Writer {
    fn frame(event: &str, object: impl serde::Serialize) -> Bytes {
        let mut frame = serde_json::to_vec(&json!({ "type": event, "object": object })).unwrap_or_default();
        frame.push(b'\n');
        frame.into()
    }

    fn event(&mut self, event: &str, object: &Arc<Value>) -> Bytes {
        match self.form {
            Form::Object => Self::frame(event, core(self.kind.name(), object)),
            Form::Metadata => Self::frame(event, MetadataOnly(object)),
            Form::Table => {
                let metadata = ListMeta {
                    resource_version: object::resource_version(object).into(),
                    ..ListMeta::default()
                };
                let first = !std::mem::replace(&mut self.described, true);
                let rows = std::slice::from_ref(object);
                Self::frame(event, table::render(self.kind, rows, &metadata, self.include, first))
            }
        }
    }

    fn error(&self, status: &Status) -> Bytes {
        Self::frame("ERROR", status.to_value())
    }

    fn bookmark(&mut self, revision: u64, initial_events_end: bool) -> Bytes {
        let mut empty = decode::empty(self.kind.name());
        object::set_meta(&mut empty, "resourceVersion", revision.to_string().into());
        if initial_events_end {
            object::set_meta(&mut empty, "annotations", json!({ INITIAL_EVENTS_END: "true" }));
        }
        let empty = Arc::new(empty);
        match self.form {
            Form::Object => Self::frame("BOOKMARK", core(self.kind.name(), &empty)),
            Form::Metadata => Self::frame("BOOKMARK", MetadataOnly(&empty)),
            Form::Table => {
                let metadata = ListMeta { resource_version: revision.to_string(), ..ListMeta::default() };
                let first = !std::mem::replace(&mut self.described, true);
                Self::frame("BOOKMARK", table::render(self.kind, &[], &metadata, self.include, first))
            }
        }
    }
}
