//! Sandboxes made by `bwrap`.
//!
//! A sandbox has a user namespace in which whoever runs the cluster appears as root, as images expect; a PID namespace,
//! so that nothing outlives the container; and no capabilities outside. A second program, for `exec` and hooks, joins
//! both namespaces and gets the same mounts. Everything the container writes outside its volumes is in directories of
//! ours, so that both see it.

use std::{
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};

use super::{
    Command, Request, Room, RoomKind,
    layer::Layer,
    view::{Mount, View},
};
use crate::kubelet::{
    paths::Search,
    process::{Containment, Launch, Spawner},
};

/// A sandbox takes milliseconds to make.
const PROBE_TIMEOUT: Duration = Duration::from_secs(10);

/// The namespaces of a new sandbox.
const FRESH: [&str; 8] =
    ["--unshare-user", "--uid", "0", "--gid", "0", "--unshare-pid", "--unshare-ipc", "--unshare-uts"];

/// No sandbox outlives the thread that started it, and none has capabilities.
const ALWAYS: [&str; 3] = ["--die-with-parent", "--cap-drop", "ALL"];

/// In the shell that a sandbox begins with: waits until we have seen the sandbox (see [`Containment::Namespace`]).
const GATE: &str = r#"read -r _ || exit 1; exec "$0" "$@" </dev/null"#;

/// The same for a program that has an input; the shell reads no further than the end of the line.
const GATE_WITH_INPUT: &str = r#"read -r _ || exit 1; exec "$0" "$@""#;

/// In the shell that opens the namespaces of a container for `bwrap` to join: `$0` is the process to take them from.
const OPEN_NAMESPACES: &str = r#"exec "$@" 8</proc/$0/ns/user 9</proc/$0/ns/pid"#;

/// `bwrap` keeps the descriptors it was given open; the program shall not have them.
const CLOSE_NAMESPACES: &str = r#"exec 8<&- 9<&-; exec "$0" "$@""#;

/// A `bwrap` that works here.
#[derive(Debug, Clone)]
pub(in super::super) struct Bubblewrap {
    program: PathBuf,
    search: Search,
    /// Whether a second program can join a sandbox. One that is installed setuid root does not allow it; then the
    /// second program gets a sandbox of its own with the same mounts.
    joins: bool,
}

impl Bubblewrap {
    /// Finds `bwrap` and tries it. An error says why it can't be used.
    pub(super) async fn detect(search: &Search, spawner: &Spawner) -> Result<Self, String> {
        if !cfg!(target_os = "linux") {
            return Err("bubblewrap exists for Linux only".into());
        }
        let program = search.find("bwrap").ok_or("bwrap (bubblewrap) is not installed")?;
        let mut bubblewrap = Self { program, search: search.clone(), joins: false };
        match tokio::time::timeout(PROBE_TIMEOUT, bubblewrap.try_out(spawner)).await {
            Ok(Ok(joins)) => bubblewrap.joins = joins,
            Ok(Err(why)) => return Err(format!("bwrap does not work here: {why}")),
            Err(_) => return Err("bwrap does not finish".into()),
        }
        Ok(bubblewrap)
    }

    /// Makes a sandbox that lasts until its input ends, and has a second program join it. An error is what `bwrap`
    /// says; otherwise whether joining works.
    async fn try_out(&self, spawner: &Spawner) -> Result<bool, String> {
        let mut view = View::default();
        for inside in ["/", "/dev", "/proc"] {
            view.add(Mount { inside: inside.into(), host: inside.into(), read_only: true });
        }
        let command = |script: &str| Command {
            argv: ["sh", "-c", script].map(OsString::from).to_vec(),
            env: Vec::new(),
            cwd: "/".into(),
            stdin: true,
        };
        let shell = Path::new("/bin/sh");
        let first = self.launch(&view, "trial", shell, &command("echo ready; read line"));
        let mut first = spawner.spawn(first).await.map_err(|error| error.to_string())?;
        first.settle().await;
        let (output, errors) = first.take_output();
        let mut ready = String::new();
        if let Some(output) = output {
            let _ = BufReader::new(output).read_line(&mut ready).await;
        }
        let Some(leader) = first.namespace_leader().filter(|_| ready.trim() == "ready") else {
            first.end().await;
            let mut words = String::new();
            if let Some(mut errors) = errors {
                let _ = errors.read_to_string(&mut words).await;
            }
            return Err(words.trim().to_owned());
        };
        let second = self.launch_beside(&view, "trial", leader, shell, &command(":"), false);
        let joins = match spawner.spawn(second).await {
            Ok(mut second) => second.wait().await == 0,
            Err(_) => false,
        };
        first.end().await;
        Ok(joins)
    }

    pub(super) fn prepare(&self, request: Request<'_>) -> Result<Room, String> {
        let view = Layer::build(&request, &self.search)?;
        Ok(Room {
            kind: RoomKind::Bubblewrap { bubblewrap: self.clone(), hostname: request.hostname.to_owned() },
            view,
            home: "/root".into(),
        })
    }

    pub(super) fn joins(&self) -> bool {
        self.joins
    }

    pub(super) fn launch(&self, view: &View, hostname: &str, program: &Path, command: &Command) -> Launch {
        let mut args: Vec<OsString> = FRESH.iter().map(OsString::from).collect();
        args.push("--new-session".into());
        self.common(&mut args, view, hostname, command);
        let gate = if command.stdin { GATE_WITH_INPUT } else { GATE };
        args.extend(["/bin/sh", "-c", gate].map(OsString::from));
        args.push(program.into());
        args.extend(command.argv.iter().skip(1).cloned());
        launch(self.program.clone(), args, command, Containment::Namespace)
    }

    pub(super) fn launch_beside(
        &self,
        view: &View,
        hostname: &str,
        leader: i32,
        program: &Path,
        command: &Command,
        on_terminal: bool,
    ) -> Launch {
        let mut args: Vec<OsString> = vec!["-c".into(), OPEN_NAMESPACES.into(), leader.to_string().into()];
        args.push(self.program.clone().into());
        args.extend(["--userns", "8", "--pidns", "9", "--unshare-uts"].map(OsString::from));
        if !on_terminal {
            // A terminal has made a session already, and must stay the controlling one.
            args.push("--new-session".into());
        }
        self.common(&mut args, view, hostname, command);
        args.extend(["/bin/sh", "-c", CLOSE_NAMESPACES].map(OsString::from));
        args.push(program.into());
        args.extend(command.argv.iter().skip(1).cloned());
        launch("/bin/sh".into(), args, command, Containment::Joined)
    }

    /// The arguments up to the program.
    fn common(&self, args: &mut Vec<OsString>, view: &View, hostname: &str, command: &Command) {
        args.extend(ALWAYS.iter().map(OsString::from));
        args.extend(["--hostname".into(), hostname.into()]);
        for mount in view.in_order() {
            if mount.inside == Path::new("/dev") || mount.inside == Path::new("/proc") {
                let kind = if mount.inside == Path::new("/dev") { "--dev" } else { "--proc" };
                args.extend([kind.into(), mount.inside.clone().into()]);
                continue;
            }
            let kind = if mount.read_only { "--ro-bind" } else { "--bind" };
            args.extend([kind.into(), mount.host.clone().into(), mount.inside.clone().into()]);
        }
        for (name, value) in command.env.iter().filter(|(name, _)| concerns_the_loader(name)) {
            args.extend(["--setenv".into(), name.clone(), value.clone()]);
        }
        args.extend(["--chdir".into(), command.cwd.clone().into(), "--".into()]);
    }
}

fn launch(program: PathBuf, args: Vec<OsString>, command: &Command, containment: Containment) -> Launch {
    // The environment travels by inheritance, not as arguments: those anybody on the machine can read.
    let env = command.env.iter().filter(|(name, _)| !concerns_the_loader(name)).cloned().collect();
    Launch { program, args, env, cwd: None, stdin: command.stdin, containment }
}

/// Variables that would change how `bwrap` itself is loaded.
fn concerns_the_loader(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b"LD_")
}
