//! The objects of the cluster: one revision counter, one table per kind, and a bounded history of changes.
//!
//! Every write gets the next revision, stored in the object as `metadata.resourceVersion`. A watch reads the history
//! from a revision on, so that a list and a watch from its revision miss nothing; whoever asks for more history than is
//! kept gets 410 `Expired`, as from a real server. Nothing here knows what an object means, except its `metadata`.

mod journal;
mod table;
mod watch;

#[cfg(test)]
mod tests;

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde_json::Value;

pub use self::{
    journal::Error,
    watch::{Change, Event, Watch},
};
use self::{journal::Journal, table::Table};
use crate::{kind::Kind, object, status::Status};

/// How a store is kept.
#[derive(Debug, Clone)]
pub struct Options {
    /// Directory the objects are kept in; `None` keeps them in memory only.
    pub data_dir: Option<PathBuf>,
    /// How many changes of each kind are remembered for watches.
    pub history: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { data_dir: None, history: 2048 }
    }
}

/// What must hold for a change to happen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Preconditions {
    /// The object is this very one, not another of the same name.
    pub uid: Option<String>,
    /// The object has not been changed since.
    pub resource_version: Option<String>,
}

impl Preconditions {
    /// No condition.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// The object is this very one.
    #[must_use]
    pub fn uid(uid: impl Into<String>) -> Self {
        Self { uid: Some(uid.into()), resource_version: None }
    }
}

/// Whether a write happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// It does.
    Commit,
    /// Everything is checked and answered as if it did.
    DryRun,
}

/// What becomes of an object after a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It stays.
    Stays,
    /// It goes.
    Goes,
}

/// Objects as they stood at one revision, ordered by namespace and name.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// The revision.
    pub revision: u64,
    /// The objects.
    pub items: Vec<Arc<Value>>,
}

/// The objects of the cluster. Clones share them.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    state: Mutex<State>,
    /// One per kind, in the order of [`Kind::ALL`]: the revision of its last change.
    signals: Vec<tokio::sync::watch::Sender<u64>>,
}

struct State {
    revision: u64,
    /// One per kind, in the order of [`Kind::ALL`].
    tables: Vec<Table>,
    journal: Option<Journal>,
    /// Whether nothing is to be written any more.
    closed: bool,
}

/// What a check may look at while the store is locked for the write it decides about.
pub struct View<'a> {
    state: &'a State,
}

impl View<'_> {
    /// The object of that name. `namespace` is empty for kinds that have none.
    #[must_use]
    pub fn get(&self, kind: Kind, namespace: &str, name: &str) -> Option<&Arc<Value>> {
        self.state.table(kind)?.get(namespace, name)
    }

    /// The objects of a namespace whose names begin like this.
    pub(crate) fn with_prefix<'v>(
        &'v self,
        kind: Kind,
        namespace: &'v str,
        prefix: &'v str,
    ) -> impl Iterator<Item = &'v Arc<Value>> {
        self.state.table(kind).into_iter().flat_map(move |table| table.with_prefix(namespace, prefix))
    }

    /// The objects of a namespace, or of all.
    pub fn list<'v>(
        &'v self,
        kind: Kind,
        namespace: Option<&'v str>,
    ) -> impl Iterator<Item = &'v Arc<Value>> {
        self.state.table(kind).into_iter().flat_map(move |table| table.list(namespace))
    }
}

impl State {
    fn table(&self, kind: Kind) -> Option<&Table> {
        self.tables.get(kind as usize)
    }

    fn table_mut(&mut self, kind: Kind) -> Result<&mut Table, Status> {
        self.tables.get_mut(kind as usize).ok_or_else(|| Status::internal("no table of that kind"))
    }

    fn find(&self, kind: Kind, namespace: &str, name: &str) -> Result<&Arc<Value>, Status> {
        self.table(kind)
            .and_then(|table| table.get(namespace, name))
            .ok_or_else(|| Status::not_found(kind, name))
    }

    /// Makes a change durable, then visible.
    fn commit(&mut self, kind: Kind, change: Change, mut object: Value) -> Result<Arc<Value>, Status> {
        if self.closed {
            return Err(Status::new(503, "ServiceUnavailable", "the cluster has been shut down"));
        }
        let revision = self.revision + 1;
        object::set_meta(&mut object, "resourceVersion", revision.to_string().into());
        let object = Arc::new(object);
        if let Some(journal) = &mut self.journal {
            journal.append(revision, kind, change, &object).map_err(Status::internal)?;
        }
        self.revision = revision;
        self.table_mut(kind)?.apply(revision, change, Arc::clone(&object));
        if let Some(journal) = &mut self.journal
            && journal.wants_compaction()
            && let Err(error) = journal.compact(self.revision, live_objects(&self.tables))
        {
            // The journal as it stands is still complete, only long.
            tracing::warn!(%error, "could not compact the stored objects");
        }
        Ok(object)
    }
}

fn live_objects(tables: &[Table]) -> impl Iterator<Item = (Kind, &Arc<Value>)> {
    Kind::ALL
        .into_iter()
        .zip(tables)
        .flat_map(|(kind, table)| table.list(None).map(move |object| (kind, object)))
}

impl Store {
    /// An empty store in memory.
    #[must_use]
    pub fn in_memory() -> Self {
        Self::from_parts(0, Vec::new(), None, Options::default().history)
    }

    /// A store kept as `options` say, with the objects found there.
    ///
    /// # Errors
    /// When the directory can't be used, is used by another process, or holds data that can't be read.
    pub fn open(options: &Options) -> Result<Self, Error> {
        let Some(dir) = &options.data_dir else {
            return Ok(Self::from_parts(0, Vec::new(), None, options.history));
        };
        let (mut journal, restored) = Journal::open(dir)?;
        let store = Self::from_parts(restored.revision, restored.objects, None, options.history);
        {
            let mut state = store.lock();
            journal.compact(state.revision, live_objects(&state.tables))?;
            state.journal = Some(journal);
        }
        Ok(store)
    }

    fn from_parts(
        revision: u64,
        objects: Vec<(Kind, Arc<Value>)>,
        journal: Option<Journal>,
        history: usize,
    ) -> Self {
        let mut tables: Vec<Table> = Kind::ALL.into_iter().map(|_| Table::new(history, revision)).collect();
        for (kind, object) in objects {
            if let Some(table) = tables.get_mut(kind as usize) {
                table.restore(object);
            }
        }
        let signals = Kind::ALL.into_iter().map(|_| tokio::sync::watch::Sender::new(revision)).collect();
        Self {
            inner: Arc::new(Inner {
                state: Mutex::new(State { revision, tables, journal, closed: false }),
                signals,
            }),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic in a caller's closure leaves the state as it was: changes are made on a copy.
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn signal(&self, kind: Kind, revision: u64) {
        if let Some(signal) = self.inner.signals.get(kind as usize) {
            signal.send_replace(revision);
        }
    }

    /// Revision of the last write.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.lock().revision
    }

    /// The object of that name. `namespace` is empty for kinds that have none.
    ///
    /// # Errors
    /// 404 when there is none.
    pub fn get(&self, kind: Kind, namespace: &str, name: &str) -> Result<Arc<Value>, Status> {
        self.lock().find(kind, namespace, name).cloned()
    }

    /// The objects of a namespace, or of all.
    #[must_use]
    pub fn list(&self, kind: Kind, namespace: Option<&str>) -> Snapshot {
        let state = self.lock();
        let items =
            state.table(kind).map(|table| table.list(namespace).cloned().collect()).unwrap_or_default();
        Snapshot { revision: state.revision, items }
    }

    /// The objects as they stood at an earlier revision.
    ///
    /// # Errors
    /// 410 when the history does not reach back so far.
    pub fn list_at(&self, kind: Kind, namespace: Option<&str>, revision: u64) -> Result<Snapshot, Status> {
        let state = self.lock();
        let table = state.table(kind).ok_or_else(|| Status::internal("no table of that kind"))?;
        Ok(Snapshot { revision, items: table.list_at(namespace, revision)? })
    }

    /// Looks at several kinds at one instant.
    pub fn read<T>(&self, look: impl FnOnce(&View<'_>) -> T) -> T {
        look(&View { state: &self.lock() })
    }

    /// Adds an object. `metadata.name` must be there; `uid` and `creationTimestamp` are set where missing.
    ///
    /// # Errors
    /// 409 when one of that name exists, 500 when it can't be stored.
    pub fn create(&self, kind: Kind, object: Value) -> Result<Arc<Value>, Status> {
        self.create_if(kind, object, |_| Ok(()))
    }

    /// Adds an object if `admit`, which sees the store as it stands at that instant, has no objection.
    ///
    /// # Errors
    /// As [`Store::create`], and whatever `admit` answers.
    pub fn create_if(
        &self,
        kind: Kind,
        object: Value,
        admit: impl FnOnce(&View<'_>) -> Result<(), Status>,
    ) -> Result<Arc<Value>, Status> {
        self.add(kind, object, Mode::Commit, |view, _| admit(view))
    }

    /// The general form of adding an object.
    pub(crate) fn add(
        &self,
        kind: Kind,
        mut object: Value,
        mode: Mode,
        admit: impl FnOnce(&View<'_>, &Value) -> Result<(), Status>,
    ) -> Result<Arc<Value>, Status> {
        object::stamp(&mut object);
        let mut state = self.lock();
        let (namespace, name) = (object::namespace(&object), object::name(&object));
        if state.find(kind, namespace, name).is_ok() {
            return Err(Status::already_exists(kind, name));
        }
        admit(&View { state: &state }, &object)?;
        if mode == Mode::DryRun {
            return Ok(Arc::new(object));
        }
        let created = state.commit(kind, Change::Added, object)?;
        let revision = state.revision;
        drop(state);
        self.signal(kind, revision);
        Ok(created)
    }

    /// Changes an object. A change that changes nothing is not written: the object keeps its `resourceVersion` and
    /// nobody is notified.
    ///
    /// # Errors
    /// 404, 409 when a precondition fails, 500 when it can't be stored, and whatever `change` answers.
    pub fn update(
        &self,
        kind: Kind,
        namespace: &str,
        name: &str,
        preconditions: &Preconditions,
        change: impl FnOnce(&mut Value) -> Result<(), Status>,
    ) -> Result<Arc<Value>, Status> {
        self.modify(kind, namespace, name, Mode::Commit, |_, object| {
            check_update(kind, name, object, preconditions)?;
            change(object)?;
            Ok(Fate::Stays)
        })
        .map(|(object, _)| object)
    }

    /// The general form of a change: `change` sees the store as it stands at that instant, and may decide that the
    /// object goes. Answers the object as it is now (of one that went: its last state).
    pub(crate) fn modify(
        &self,
        kind: Kind,
        namespace: &str,
        name: &str,
        mode: Mode,
        change: impl FnOnce(&View<'_>, &mut Value) -> Result<Fate, Status>,
    ) -> Result<(Arc<Value>, Fate), Status> {
        let mut state = self.lock();
        let current = Arc::clone(state.find(kind, namespace, name)?);
        let mut object = Value::clone(&current);
        let fate = change(&View { state: &state }, &mut object)?;
        object::set_meta(&mut object, "resourceVersion", object::resource_version(&current).into());
        if fate == Fate::Stays && object == *current {
            return Ok((current, fate));
        }
        if mode == Mode::DryRun {
            return Ok((Arc::new(object), fate));
        }
        let change = if fate == Fate::Goes { Change::Deleted } else { Change::Modified };
        let changed = state.commit(kind, change, object)?;
        let revision = state.revision;
        drop(state);
        self.signal(kind, revision);
        Ok((changed, fate))
    }

    /// Changes the `status` of an object; `change` gets it as an object, empty when there was none.
    ///
    /// # Errors
    /// As [`Store::update`].
    pub fn update_status(
        &self,
        kind: Kind,
        namespace: &str,
        name: &str,
        preconditions: &Preconditions,
        change: impl FnOnce(&mut serde_json::Map<String, Value>),
    ) -> Result<Arc<Value>, Status> {
        self.update(kind, namespace, name, preconditions, |object| {
            change(object::child_mut(object, "status"));
            Ok(())
        })
    }

    /// Removes an object for good, whatever its finalizers say. Answers its last state.
    ///
    /// # Errors
    /// 404, 409 when a precondition fails, 500 when it can't be stored.
    pub fn delete(
        &self,
        kind: Kind,
        namespace: &str,
        name: &str,
        preconditions: &Preconditions,
    ) -> Result<Arc<Value>, Status> {
        self.modify(kind, namespace, name, Mode::Commit, |_, object| {
            check_delete(kind, name, object, preconditions)?;
            Ok(Fate::Goes)
        })
        .map(|(object, _)| object)
    }

    /// The changes after revision `from`, as they come. Lagging behind the history ends it with 410.
    ///
    /// # Errors
    /// 410 when the history does not reach back so far.
    pub fn watch(&self, kind: Kind, from: u64) -> Result<Watch, Status> {
        Watch::start(self.clone(), kind, from)
    }

    /// All objects of a kind, and the changes after that.
    ///
    /// # Errors
    /// None in practice: the history always reaches back to the present.
    pub fn list_and_watch(&self, kind: Kind) -> Result<(Snapshot, Watch), Status> {
        let snapshot = self.list(kind, None);
        let watch = self.watch(kind, snapshot.revision)?;
        Ok((snapshot, watch))
    }

    /// Waits until the disk has what was written. Every write is already safe from a crash of this process.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn flush(&self) -> Result<(), Error> {
        self.lock().journal.as_mut().map_or(Ok(()), Journal::flush)
    }

    /// Takes no more writes, brings everything to disk and lets go of the directory.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn close(&self) -> Result<(), Error> {
        let mut state = self.lock();
        state.closed = true;
        state.journal.take().map_or(Ok(()), |mut journal| journal.flush())
    }
}

/// Preconditions of an update, in the words of the storage layer of a real server.
pub(crate) fn check_update(
    kind: Kind,
    name: &str,
    current: &Value,
    expected: &Preconditions,
) -> Result<(), Status> {
    let uid = object::uid(current);
    if let Some(wanted) = expected.uid.as_deref().filter(|wanted| *wanted != uid) {
        let why = format!("Precondition failed: UID in precondition: {wanted}, UID in object meta: {uid}");
        return Err(Status::conflict(kind.resource(), name, why));
    }
    match &expected.resource_version {
        Some(wanted) if wanted != object::resource_version(current) => Err(Status::modified(kind, name)),
        _ => Ok(()),
    }
}

/// Preconditions of a deletion.
pub(crate) fn check_delete(
    kind: Kind,
    name: &str,
    current: &Value,
    expected: &Preconditions,
) -> Result<(), Status> {
    let (uid, version) = (object::uid(current), object::resource_version(current));
    if let Some(wanted) = expected.uid.as_deref().filter(|wanted| *wanted != uid) {
        let why = format!(
            "the UID in the precondition ({wanted}) does not match the UID in record ({uid}). The object might have been deleted and then recreated"
        );
        return Err(Status::conflict(kind.name(), name, why));
    }
    if let Some(wanted) = expected.resource_version.as_deref().filter(|wanted| *wanted != version) {
        let why = format!(
            "the ResourceVersion in the precondition ({wanted}) does not match the ResourceVersion in record ({version}). The object might have been modified"
        );
        return Err(Status::conflict(kind.name(), name, why));
    }
    Ok(())
}
