//! How many tunnels may be open: of everybody together, of each user, and to each workspace.

use std::{
    collections::{HashMap, hash_map::Entry},
    hash::Hash,
    sync::{Arc, Mutex, PoisonError},
};

use nocrd_model::{Subject, WorkspaceId};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{Config, Error, proxy::others_share};

/// The places for tunnels; clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Seats {
    all: Arc<Semaphore>,
    users: Counts<Subject>,
    /// Those of strangers, by whose workspace they visit.
    strangers: Counts<Subject>,
    workspaces: Counts<WorkspaceId>,
}

/// One place, until it is dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    _of_all: OwnedSemaphorePermit,
    _of_user: Option<Counted<Subject>>,
    _of_owner: Option<Counted<Subject>>,
    _of_workspace: Counted<WorkspaceId>,
}

impl Seats {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            all: Arc::new(Semaphore::new(config.max_tunnels.min(Semaphore::MAX_PERMITS))),
            users: Counts::new(config.max_tunnels_per_user),
            strangers: Counts::new(config.max_tunnels_per_user),
            workspaces: Counts::new(config.max_tunnels_per_workspace),
        }
    }

    /// Takes a place; a `user` of `None` is somebody who can't be told from others. Strangers are counted for the owner of the
    /// workspace that is open to them, `stranger_at`. A `guest` leaves room for the workspace's owner.
    ///
    /// # Errors
    /// [`Error::TunnelLimit`], [`Error::OwnTunnelLimit`] or [`Error::WorkspaceTunnelLimit`] when there is none.
    pub(crate) fn take(
        &self,
        user: Option<&Subject>,
        stranger_at: Option<&Subject>,
        workspace: &WorkspaceId,
        guest: bool,
    ) -> Result<Seat, Error> {
        let of_user = user.map(|user| self.users.take(user).ok_or(Error::OwnTunnelLimit)).transpose()?;
        let of_owner = stranger_at
            .map(|owner| self.strangers.take(owner).ok_or(Error::WorkspaceTunnelLimit))
            .transpose()?;
        let most = self.workspaces.most;
        let of_workspace = self
            .workspaces
            .take_of(workspace, if guest { others_share(most) } else { most })
            .ok_or(Error::WorkspaceTunnelLimit)?;
        let of_all = Arc::clone(&self.all).try_acquire_owned().map_err(|_| Error::TunnelLimit)?;
        Ok(Seat { _of_all: of_all, _of_user: of_user, _of_owner: of_owner, _of_workspace: of_workspace })
    }
}

/// How many there are of each; what has none is not remembered.
#[derive(Debug, Clone)]
struct Counts<K> {
    most: usize,
    open: Arc<Mutex<HashMap<K, usize>>>,
}

/// One of them, until it is dropped.
#[derive(Debug)]
struct Counted<K: Hash + Eq> {
    key: Option<K>,
    open: Arc<Mutex<HashMap<K, usize>>>,
}

impl<K: Hash + Eq + Clone> Counts<K> {
    fn new(most: usize) -> Self {
        Self { most, open: Arc::default() }
    }

    fn take(&self, key: &K) -> Option<Counted<K>> {
        self.take_of(key, self.most)
    }

    fn take_of(&self, key: &K, most: usize) -> Option<Counted<K>> {
        let mut counts = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let open = counts.get(key).copied().unwrap_or(0);
        if open >= most {
            return None;
        }
        counts.insert(key.clone(), open + 1);
        Some(Counted { key: Some(key.clone()), open: Arc::clone(&self.open) })
    }
}

impl<K: Hash + Eq> Drop for Counted<K> {
    fn drop(&mut self) {
        let Some(key) = self.key.take() else { return };
        let mut counts = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Entry::Occupied(mut open) = counts.entry(key) {
            if *open.get() > 1 {
                *open.get_mut() -= 1;
            } else {
                open.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t42_each_user_each_workspace_and_all_together_are_limited() {
        let (alice, bob) = (Subject::from("alice"), Subject::from("bob"));
        let [one, two] = ["one", "two"].map(|id| id.parse::<WorkspaceId>().unwrap());
        let config = Config {
            max_tunnels: 4,
            max_tunnels_per_user: 2,
            max_tunnels_per_workspace: 3,
            ..Config::default()
        };
        let seats = Seats::new(&config);
        let first = seats.take(Some(&alice), None, &one, false).unwrap();
        let second = seats.take(Some(&alice), None, &one, false).unwrap();
        assert!(matches!(seats.take(Some(&alice), None, &two, false), Err(Error::OwnTunnelLimit)));
        let third = seats.take(Some(&bob), None, &one, false).unwrap();
        assert!(matches!(seats.take(Some(&bob), None, &one, false), Err(Error::WorkspaceTunnelLimit)));
        drop(first);
        let fourth = seats.take(Some(&alice), None, &two, false).unwrap();
        let fifth = seats.take(None, None, &two, false).unwrap();
        assert!(matches!(seats.take(None, None, &two, false), Err(Error::TunnelLimit)));
        assert!(matches!(seats.take(Some(&bob), None, &two, false), Err(Error::TunnelLimit)));
        drop((second, third, fourth, fifth));
        // Guests leave a place for the owner, and strangers count for whose workspace is open to them.
        let guests = [(); 2].map(|()| seats.take(Some(&bob), None, &one, true).unwrap());
        assert!(matches!(seats.take(None, Some(&alice), &one, true), Err(Error::WorkspaceTunnelLimit)));
        drop((guests, seats.take(Some(&alice), None, &one, false).unwrap()));
        let strangers = [(); 2].map(|()| seats.take(None, Some(&alice), &two, true).unwrap());
        assert!(matches!(seats.take(None, Some(&alice), &one, true), Err(Error::WorkspaceTunnelLimit)));
        drop(strangers);
        assert!(seats.strangers.open.lock().unwrap().is_empty());
        assert!(seats.users.open.lock().unwrap().is_empty(), "nobody is remembered who has none");
        assert!(seats.workspaces.open.lock().unwrap().is_empty());
        assert_eq!(seats.all.available_permits(), 4);
    }
}
