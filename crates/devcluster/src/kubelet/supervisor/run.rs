//! One run of a container, from its configuration to its end.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use tokio::{task::JoinHandle, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{Interrupted, Run, Supervisor, image_of};
use crate::{
    events::Severity,
    kubelet::{
        RETRY,
        container::{Role, Running, State, Termination},
        env::{self, Base, Declared},
        hooks,
        images::Image,
        logs::Log,
        probes,
        process::Process,
        sandbox::{Command, Request, Room, StartError},
        spec,
    },
};

/// Last words longer than this are cut.
const MAX_MESSAGE: usize = 4096;

/// Of a log that serves as last words.
const MAX_LOG_MESSAGE: (u64, usize) = (80, 2048);

/// How long the output of a container that has ended is waited for: only a process that has escaped its container can
/// still hold it open.
const DRAIN: Duration = Duration::from_secs(2);

/// A container that is configured and can be started.
struct Prepared {
    spec: spec::Container,
    room: Room,
    command: Command,
    /// Where the container may leave last words.
    message_file: PathBuf,
}

/// A container that was started.
struct Started {
    process: Process,
    running: Arc<Running>,
    log: Arc<Log>,
    recording: JoinHandle<()>,
    since: Timestamp,
    clock: Instant,
}

impl Supervisor {
    /// Configures and starts the container, and waits for its end.
    pub(super) async fn run_once(&mut self, image: &Image) -> Run {
        let Ok(prepared) = self.prepare(image).await else { return Run::Stopped };
        let id = self.container.begin_run();
        self.event(Severity::Normal, "Created", &format!("Created container: {}", self.container.name));
        let (spec, message_file) = (prepared.spec.clone(), prepared.message_file.clone());
        let started = match self.start(prepared).await {
            Ok(started) => started,
            Err(error) => return self.start_failed(&id, &error),
        };
        self.event(Severity::Normal, "Started", &format!("Started container {}", self.container.name));
        self.container.set_running(Some(started.running.clone()));
        self.watch_over(started, &spec, &id, &message_file).await
    }

    /// Waits for everything the container's configuration refers to.
    async fn prepare(&mut self, image: &Image) -> Result<Prepared, Interrupted> {
        let mut sources = self.pod.node.sources.clone();
        let mut said = String::new();
        loop {
            sources.borrow_and_update();
            let snapshot = self.pod.latest();
            let spec = self.spec(&snapshot);
            let declared = env::declared(&self.pod.node.store, &self.pod.fields(&snapshot), &spec);
            let declared = declared.and_then(|declared| match declared.unusable() {
                Some(name) => Err(format!("the value of environment variable {name} holds a NUL character")),
                None => Ok(declared),
            });
            let why = match declared {
                Ok(declared) => match self.furnish(&spec, image, &declared) {
                    Ok(prepared) => {
                        if !declared.skipped.is_empty() {
                            let message = format!(
                                "Keys [{}] from the EnvFrom sources were skipped since they are considered invalid \
                                 environment variable names.",
                                declared.skipped.join(", ")
                            );
                            self.event(Severity::Warning, "InvalidEnvironmentVariableNames", &message);
                        }
                        return Ok(prepared);
                    }
                    Err(why) => {
                        if said != why {
                            self.event(Severity::Warning, "FailedMount", &why);
                        }
                        self.set_waiting("CreateContainerError", &why);
                        why
                    }
                },
                Err(why) => {
                    if said != why {
                        self.event(Severity::Warning, "Failed", &format!("Error: {why}"));
                    }
                    self.set_waiting("CreateContainerConfigError", &why);
                    why
                }
            };
            said = why;
            let again = async {
                tokio::select! {
                    Ok(()) = sources.changed() => {}
                    () = tokio::time::sleep(RETRY) => {}
                }
            };
            self.unless_stopped(again).await?;
        }
    }

    /// Makes the container's surroundings. An error is a mount that can't be had.
    fn furnish(
        &self,
        spec: &spec::Container,
        image: &Image,
        declared: &Declared,
    ) -> Result<Prepared, String> {
        let pod = &self.pod;
        let dir = pod.dir.join("containers").join(&self.container.name);
        let io = |error: std::io::Error| format!("{}: {error}", dir.display());
        // What an attempt before this one may have left.
        crate::kubelet::rundir::remove_tree(&dir);
        fs::create_dir_all(&dir).map_err(io)?;
        let message_file = dir.join("termination-message");
        fs::write(&message_file, "").map_err(io)?;

        let mut mounts = Vec::new();
        {
            let volumes = pod.volumes.lock().unwrap_or_else(PoisonError::into_inner);
            for mount in &spec.volume_mounts {
                let sub_path = match mount.sub_path_expr.as_str() {
                    "" => mount.sub_path.clone(),
                    expression => declared.expand(expression),
                };
                mounts.push(volumes.mount(mount, &sub_path)?);
            }
        }
        let message_path = Path::new(match spec.termination_message_path.as_str() {
            "" => "/dev/termination-log",
            path => path,
        });
        let cwd = Path::new("/").join(&spec.working_dir);
        let room = pod.node.isolation.prepare(Request {
            dir: &dir,
            ours: [pod.node.run_dir.path(), pod.node.claims.dir()],
            pod_uid: &pod.uid,
            hostname: &pod.hostname,
            hosts: &pod.hosts(),
            mounts,
            termination_message: Some((message_path, &message_file)),
            expose: &image.expose,
            working_dir: &cwd,
        })?;
        let ip = pod.ip.to_string();
        let base =
            Base { path: &pod.node.search.path, home: &room.home, hostname: &pod.hostname, pod_ip: &ip };
        let env = declared.environment(&base, image);
        let command = Command { argv: declared.argv(spec, image), env, cwd, stdin: spec.stdin };
        Ok(Prepared { spec: spec.clone(), room, command, message_file })
    }

    async fn start(&mut self, prepared: Prepared) -> Result<Started, StartError> {
        let Prepared { room, command, .. } = prepared;
        let program = command.argv.first().cloned().unwrap_or_else(OsString::new);
        let fail = |error: std::io::Error| StartError::new(&program, error.to_string());
        let launch = room.launch(&command)?;
        let mut process = self.pod.node.spawner.spawn(launch).await.map_err(fail)?;
        let (since, clock) = (Timestamp::now(), Instant::now());
        let runs = self.container.record.borrow().restarts;
        let dir = self.pod.dir.join("logs").join(&self.container.name).join(runs.to_string());
        let log = Arc::new(Log::create(dir).map_err(fail)?);
        self.container.push_log(log.clone());
        let output = process.take_output();
        let recording = tokio::spawn({
            let log = log.clone();
            async move {
                if let (Some(stdout), Some(stderr)) = output {
                    log.record(stdout, stderr).await;
                }
            }
        });
        process.settle().await;
        let running = Arc::new(Running {
            room,
            env: command.env,
            cwd: command.cwd,
            leader: process.namespace_leader(),
            ended: CancellationToken::new(),
        });
        Ok(Started { process, running, log, recording, since, clock })
    }

    fn start_failed(&self, id: &str, error: &StartError) -> Run {
        let message = format!(
            "failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create \
             failed: unable to start container process: error during container init: {error}: unknown"
        );
        self.event(Severity::Warning, "Failed", &format!("Error: {message}"));
        let termination = Termination {
            exit_code: 128,
            reason: "StartError".into(),
            message: message.clone(),
            started: None,
            finished: Timestamp::now(),
            id: id.to_owned(),
        };
        self.container.record.send_modify(|record| record.state = State::Terminated(termination));
        if self.restarts_after(128) {
            self.set_waiting("RunContainerError", &message);
        }
        self.pod.changed.notify_one();
        Run::Ended { exit_code: 128, ran: Duration::ZERO }
    }

    /// Runs hooks and probes beside the container until it ends or must be ended.
    async fn watch_over(
        &mut self,
        mut started: Started,
        spec: &spec::Container,
        id: &str,
        message_file: &Path,
    ) -> Run {
        enum Event {
            Exited(i32),
            /// Must be killed, with this grace if that is not the pod's.
            Failed(Option<u64>),
            Outdated,
            Stop,
        }
        // Held open for programs that read from it until they are attached to.
        let _stdin = started.process.take_stdin();
        let running = started.running.clone();
        let mut updates = self.pod.latest.subscribe();
        let event = {
            let this = &*self;
            let alongside = async {
                if let Some(hook) = &spec.lifecycle.post_start
                    && let Err(why) = hooks::run(&this.pod, &running, spec, hook).await
                {
                    this.event(
                        Severity::Warning,
                        "FailedPostStartHook",
                        &format!("PostStartHook failed: {why}"),
                    );
                    this.event(Severity::Normal, "Killing", "FailedPostStartHook");
                    return None;
                }
                this.container
                    .record
                    .send_modify(|record| record.state = State::Running { since: started.since });
                this.pod.changed.notify_one();
                probes::run(&this.pod, &this.container, &running, spec).await
            };
            let outdated = async {
                while updates.changed().await.is_ok() {
                    let snapshot = updates.borrow_and_update().clone();
                    if image_of(&snapshot, &spec.name).is_some_and(|image| *image != spec.image) {
                        return;
                    }
                }
                std::future::pending().await
            };
            let mut stop = self.stop.clone();
            tokio::select! {
                biased;
                code = started.process.wait() => Event::Exited(code),
                _ = stop.wait_for(Option::is_some) => Event::Stop,
                grace = alongside => Event::Failed(grace),
                () = outdated => Event::Outdated,
            }
        };
        let default_grace = self.pod.latest().spec.termination_grace_period_seconds.unwrap_or(30);
        let exit_code = match event {
            Event::Exited(code) => {
                started.process.clear().await;
                code
            }
            Event::Stop => {
                self.event(
                    Severity::Normal,
                    "Killing",
                    &format!("Stopping container {}", self.container.name),
                );
                self.stop_process(&mut started.process, &running, spec, None).await
            }
            Event::Failed(grace) => {
                let grace = Duration::from_secs(grace.unwrap_or(default_grace));
                self.stop_process(&mut started.process, &running, spec, Some(grace)).await
            }
            Event::Outdated => {
                let message =
                    format!("Container {} definition changed, will be restarted", self.container.name);
                self.event(Severity::Normal, "Killing", &message);
                self.stop_process(
                    &mut started.process,
                    &running,
                    spec,
                    Some(Duration::from_secs(default_grace)),
                )
                .await
            }
        };
        let ran = started.clock.elapsed();
        self.ended(started, spec, id, message_file, exit_code).await;
        match event {
            _ if self.stop.borrow().is_some() => Run::Stopped,
            Event::Outdated => Run::Outdated,
            _ => Run::Ended { exit_code, ran },
        }
    }

    /// Notes the end of a run.
    async fn ended(
        &self,
        started: Started,
        spec: &spec::Container,
        id: &str,
        message_file: &Path,
        exit_code: i32,
    ) {
        let Started { running, log, mut recording, since, .. } = started;
        self.container.set_running(None);
        running.ended.cancel();
        if tokio::time::timeout(DRAIN, &mut recording).await.is_err() {
            recording.abort();
        }
        log.end();
        let termination = Termination {
            exit_code,
            reason: if exit_code == 0 { "Completed" } else { "Error" }.into(),
            message: last_words(message_file, &log, spec, exit_code).await,
            started: Some(since),
            finished: Timestamp::now(),
            id: id.to_owned(),
        };
        self.container.record.send_modify(|record| {
            record.state = State::Terminated(termination);
            // An init container is for ending well.
            record.ready = exit_code == 0 && self.container.role == Role::Init;
            record.started = false;
        });
        self.pod.changed.notify_one();
        // What the run wrote outside its volumes goes with it.
        if let Some(dir) = message_file.parent().map(Path::to_owned) {
            let _ = tokio::task::spawn_blocking(move || crate::kubelet::rundir::remove_tree(&dir)).await;
        }
    }
}

/// The termination message: what the container wrote to its file, or the end of its log if it asked for that.
async fn last_words(file: &Path, log: &Log, spec: &spec::Container, exit_code: i32) -> String {
    let written = fs::read(file).unwrap_or_default();
    if written.is_empty() && spec.termination_message_policy == "FallbackToLogsOnError" && exit_code != 0 {
        let (lines, bytes) = MAX_LOG_MESSAGE;
        return log.tail_text(lines, bytes).await;
    }
    String::from_utf8_lossy(written.get(..MAX_MESSAGE).unwrap_or(&written)).into_owned()
}
