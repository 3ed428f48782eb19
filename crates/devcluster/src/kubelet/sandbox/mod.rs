//! Where a container's processes run: in a sandbox that `bwrap` makes, or plainly on this machine.
//!
//! Neither is a security boundary. The sandbox keeps well-meaning programs out of each other's way and off the files of
//! whoever runs the cluster: it has its own processes, its own root directory with a read-only view of the machine,
//! and volumes at their mount paths. The network is the machine's.

mod bubblewrap;
mod layer;
mod plain;
mod program;
mod view;

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use self::{bubblewrap::Bubblewrap, plain::Plain, view::View};
pub(super) use self::{program::StartError, view::Mount};
use super::{
    paths::Search,
    process::{Launch, Spawner},
};

/// How the cluster keeps containers apart.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Sandbox {
    /// In sandboxes of `bwrap` (bubblewrap) if that is installed and works, else not at all.
    #[default]
    Auto,
    /// In sandboxes of `bwrap`; without it the cluster does not start.
    Bubblewrap,
    /// Not at all: as processes like any other. Volumes appear at their mount paths only where a symbolic link can be
    /// made there, and termination messages only come from logs; processes that leave their process group are not found
    /// again; nothing dies with the cluster's process if that is killed.
    None,
}

/// A way to run containers that works on this machine.
#[derive(Debug)]
pub(super) enum Isolation {
    Bubblewrap(Bubblewrap),
    Plain(Plain),
}

/// What a container needs to see.
#[derive(Debug)]
pub(super) struct Request<'a> {
    /// An empty directory of our own for the container's root filesystem.
    pub(super) dir: &'a Path,
    /// Directories of the kubelet: what lies in them is ours to change.
    pub(super) ours: [&'a Path; 2],
    pub(super) pod_uid: &'a str,
    pub(super) hostname: &'a str,
    /// Lines to add to `/etc/hosts`.
    pub(super) hosts: &'a str,
    pub(super) mounts: Vec<Mount>,
    /// Where the container may leave its last words: path inside, file on this machine.
    pub(super) termination_message: Option<(&'a Path, &'a Path)>,
    /// Files and directories to show although they are in hidden places.
    pub(super) expose: &'a [PathBuf],
    /// Created if it isn't there.
    pub(super) working_dir: &'a Path,
}

impl Isolation {
    /// Finds out what works. An error is why what was asked for does not.
    pub(super) async fn detect(choice: Sandbox, search: &Search, spawner: &Spawner) -> Result<Self, String> {
        if choice == Sandbox::None {
            return Ok(Self::Plain(Plain::new(
                "the cluster was started without a sandbox; start it with one",
            )));
        }
        match Bubblewrap::detect(search, spawner).await {
            Ok(bubblewrap) => Ok(Self::Bubblewrap(bubblewrap)),
            Err(why) if choice == Sandbox::Bubblewrap => Err(why),
            Err(why) => Ok(Self::Plain(Plain::new(&why))),
        }
    }

    /// Why containers are not isolated, and how to change that. `None` if they are.
    pub(super) fn advice(&self) -> Option<&str> {
        match self {
            Self::Bubblewrap(_) => None,
            Self::Plain(plain) => Some(plain.advice()),
        }
    }

    /// Makes the container's surroundings. An error says which mount can't be had, and why.
    pub(super) fn prepare(&self, request: Request<'_>) -> Result<Room, String> {
        match self {
            Self::Bubblewrap(bubblewrap) => bubblewrap.prepare(request),
            Self::Plain(plain) => plain.prepare(request),
        }
    }

    /// The pod is gone: forgets what was made for it outside its own directories.
    pub(super) fn release(&self, pod_uid: &str) {
        if let Self::Plain(plain) = self {
            plain.release(pod_uid);
        }
    }
}

/// The surroundings of one container.
#[derive(Debug)]
pub(super) struct Room {
    kind: RoomKind,
    view: View,
    /// Home directory of the container's user.
    pub(super) home: PathBuf,
}

#[derive(Debug)]
enum RoomKind {
    Bubblewrap { bubblewrap: Bubblewrap, hostname: String },
    Plain,
}

/// A program to start in a room.
#[derive(Debug, Clone)]
pub(super) struct Command {
    /// Program and arguments.
    pub(super) argv: Vec<OsString>,
    pub(super) env: Vec<(OsString, OsString)>,
    /// Absolute path inside.
    pub(super) cwd: PathBuf,
    /// Whether it has an input that somebody writes to.
    pub(super) stdin: bool,
}

impl Room {
    /// How to start the container's own program.
    pub(super) fn launch(&self, command: &Command) -> Result<Launch, StartError> {
        let program = program::find(&self.view, command)?;
        Ok(match &self.kind {
            RoomKind::Bubblewrap { bubblewrap, hostname } => {
                bubblewrap.launch(&self.view, hostname, &program, command)
            }
            RoomKind::Plain => plain::launch(program, command),
        })
    }

    /// How to start another program beside it. `leader` is the first process of the container's PID namespace.
    pub(super) fn launch_beside(
        &self,
        leader: Option<i32>,
        command: &Command,
        on_terminal: bool,
    ) -> Result<Launch, StartError> {
        let program = program::find(&self.view, command)?;
        Ok(match (&self.kind, leader) {
            (RoomKind::Bubblewrap { bubblewrap, hostname }, Some(leader)) if bubblewrap.joins() => {
                bubblewrap.launch_beside(&self.view, hostname, leader, &program, command, on_terminal)
            }
            (RoomKind::Bubblewrap { bubblewrap, hostname }, _) => {
                bubblewrap.launch(&self.view, hostname, &program, command)
            }
            (RoomKind::Plain, _) => plain::launch(program, command),
        })
    }
}
