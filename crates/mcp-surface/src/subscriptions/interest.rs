//! What one client wants to know, and what is news to it.

use std::{collections::BTreeMap, time::Duration};

use nocrd_model::Caller;
use tokio::time::Instant;

use super::{Changes, MAX_RESOURCES};
use crate::{
    Surface,
    reader::Reader,
    resources::{self, Uri},
};

/// How long a client is left alone after it was told that its list of resources has changed.
const LIST_WINDOW: Duration = Duration::from_secs(2);

/// What a client is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum News {
    /// There are other tools.
    Tools,
    /// There are other resources.
    Resources,
    /// One of them reads otherwise.
    Updated(Uri),
}

/// What one client wants to know, and what it could know so far.
pub(super) struct Interest {
    caller: Caller,
    tools: bool,
    list: Option<List>,
    /// Subscribed resources, with the fingerprint of what the caller could read last.
    resources: BTreeMap<Uri, Option<u64>>,
    /// When the client said something last, and after how long it is told nothing.
    heard: Instant,
    idle: Option<Duration>,
    /// Something may have changed meanwhile.
    missed: bool,
}

/// The list of resources, as the caller could see it last.
struct List {
    fingerprint: Option<u64>,
    /// It may have changed since.
    is_stale: bool,
    /// When the client may be told next.
    next: Instant,
}

impl Interest {
    pub(super) fn of(caller: Caller) -> Self {
        Self {
            caller,
            tools: false,
            list: None,
            resources: BTreeMap::new(),
            heard: Instant::now(),
            idle: None,
            missed: false,
        }
    }

    pub(super) fn until_idle(mut self, idle: Option<Duration>) -> Self {
        self.idle = idle;
        self
    }

    pub(super) fn in_tools(mut self) -> Self {
        self.tools = true;
        self
    }

    /// What is listed now is no news.
    pub(super) fn in_resources(mut self, surface: &Surface) -> Self {
        let fingerprint = resources::list_fingerprint(Reader::new(surface, &self.caller));
        self.list = Some(List { fingerprint, is_stale: false, next: Instant::now() });
        self
    }

    /// The client has said something. Its caller is known anew: their rights may be others.
    pub(super) fn hear(&mut self, surface: &Surface, caller: &Caller) {
        self.heard = Instant::now();
        if self.caller == *caller {
            return;
        }
        self.caller = caller.clone();
        // What they have no right to any more must not be told of once again when it changes.
        let reader = Reader::new(surface, &self.caller);
        for (uri, known) in &mut self.resources {
            *known = known.filter(|_| resources::fingerprint(reader, uri).is_some());
        }
    }

    /// Adds a resource; what it holds now is no news. `false` when there are too many.
    pub(super) fn add(&mut self, surface: &Surface, uri: Uri) -> bool {
        if self.resources.len() >= MAX_RESOURCES && !self.resources.contains_key(&uri) {
            return false;
        }
        let fingerprint = resources::fingerprint(Reader::new(surface, &self.caller), &uri);
        self.resources.insert(uri, fingerprint);
        true
    }

    pub(super) fn remove(&mut self, uri: &Uri) {
        self.resources.remove(uri);
    }

    /// When to look again although nothing has changed since.
    pub(super) fn due(&self) -> Option<Instant> {
        if self.is_idle() {
            return None;
        }
        self.list.as_ref().filter(|list| list.is_stale).map(|list| list.next)
    }

    /// What of the changes is news to the client. Whatever its caller can't read is none, neither before nor after.
    pub(super) fn news(&mut self, surface: &Surface, changes: &Changes) -> Vec<News> {
        if self.is_idle() {
            self.missed = true;
            return Vec::new();
        }
        let all = Changes::all();
        let changes = if std::mem::take(&mut self.missed) { &all } else { changes };
        let reader = Reader::new(surface, &self.caller);
        let mut news = Vec::new();
        if self.tools && changes.tools {
            news.push(News::Tools);
        }
        if let Some(list) = &mut self.list {
            list.is_stale |= concern_list(changes, &self.caller);
            if list.look(reader) {
                news.push(News::Resources);
            }
        }
        for (uri, known) in self.resources.iter_mut().filter(|(uri, _)| concern(changes, uri)) {
            let now = resources::fingerprint(reader, uri);
            if *known != now {
                *known = now;
                news.push(News::Updated(uri.clone()));
            }
        }
        news
    }

    fn is_idle(&self) -> bool {
        self.idle.is_some_and(|idle| self.heard.elapsed() >= idle)
    }
}

impl List {
    /// Whether it has changed, and the client may be told.
    fn look(&mut self, reader: Reader<'_>) -> bool {
        let now = Instant::now();
        if !self.is_stale || now < self.next {
            return false;
        }
        self.is_stale = false;
        let fingerprint = resources::list_fingerprint(reader);
        if self.fingerprint == fingerprint {
            return false;
        }
        self.fingerprint = fingerprint;
        self.next = now + LIST_WINDOW;
        true
    }
}

/// Whether changes may be of what a resource holds.
fn concern(changes: &Changes, uri: &Uri) -> bool {
    let anything = changes.missed || changes.templates;
    match uri {
        Uri::App => false,
        Uri::Template { .. } => anything,
        // What it holds tells whether its template has a newer version.
        Uri::Workspace { id, .. } => anything || changes.workspaces.contains(id),
    }
}

/// Whether changes may be of the list a caller sees.
fn concern_list(changes: &Changes, caller: &Caller) -> bool {
    let theirs = match caller.owner_filter() {
        Some(owner) => changes.owners.contains(owner),
        None => !changes.owners.is_empty(),
    };
    changes.missed || changes.templates || theirs
}
