//! Commands beside a container's own program.

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::world::*;
use crate::{
    kubelet::Sandbox,
    runtime::{ExecRequest, Exit, Runtime, TerminalSize},
};

#[tokio::test]
async fn commands_have_their_own_streams_and_exit_codes() {
    for sandbox in [Sandbox::Auto, Sandbox::None] {
        let world = World::with(sandbox).await;
        let path = world.mount_path("v");
        world.run(
            "p",
            &format!("echo main > {path}/file; sleep 1000"),
            json!({
                "container": {
                    "env": [{ "name": "X", "value": "1" }], "workingDir": path,
                    "volumeMounts": [{ "name": "v", "mountPath": path }],
                },
                "pod": { "volumes": [{ "name": "v", "emptyDir": {} }] },
            }),
        );
        world.until_ready("p").await;
        let script = "echo $X $HOSTNAME; cat file; cat; echo oops >&2; exit 7";
        let (exit, out, err) = world.exec("p", &["sh", "-c", script], "typed").await;
        assert_eq!((exit, out.as_str(), err.as_str()), (Exit::Code(7), "1 p\nmain\ntyped", "oops\n"));
        let (exit, ..) = world.exec("p", &["sh", "-c", "kill -9 $$"], "").await;
        assert_eq!(exit, Exit::Code(137));
        let (exit, ..) = world.exec("p", &["no-such-program"], "").await;
        let Exit::Failed(why) = exit else { panic!("{exit:?}") };
        assert!(why.ends_with(r#"exec: "no-such-program": executable file not found in $PATH"#), "{why}");
        let descriptors = world.exec("p", &["ls", "-l", "/proc/self/fd"], "").await.1;
        // What the sandbox was joined by is no business of the command.
        assert!(!descriptors.contains("user:[") && !descriptors.contains("pid:["), "{descriptors}");
        world.kubelet.shutdown().await;
    }
}

#[tokio::test]
async fn a_command_sees_the_containers_processes_and_files() {
    let world = World::new().await;
    if !world.is_isolated() {
        return world.kubelet.shutdown().await;
    }
    world.run("p", "echo private > /tmp/file; trap 'exit 5' USR1; while :; do sleep 0.05; done", json!({
        "pod": { "restartPolicy": "Never" }, "container": { "readinessProbe": { "exec": { "command": ["test", "-s", "/tmp/file"] } } },
    }));
    world.until_ready("p").await;
    assert_eq!(world.exec("p", &["cat", "/tmp/file"], "").await.1, "private\n");
    // The container's program is the second process of its namespace, after the sandbox's own.
    let (exit, _, err) = world.exec("p", &["sh", "-c", "kill -USR1 2"], "").await;
    assert_eq!((exit, err.as_str()), (Exit::Code(0), ""));
    let pod = world.until_phase("p", "Failed").await;
    assert_eq!(container(&pod)["state"]["terminated"]["exitCode"], 5);
    let refused = world.kubelet.exec(world.pod("p").unwrap(), request(&["true"])).await.err().unwrap();
    assert_eq!(refused.code, 400);
    world.kubelet.shutdown().await;
}

#[tokio::test]
async fn a_command_ends_with_its_client_or_its_container() {
    for sandbox in [Sandbox::Auto, Sandbox::None] {
        let world = World::with(sandbox).await;
        world.run("p", "sleep 1000", json!({}));
        world.until_ready("p").await;
        let marker = marker();
        let script = format!(": {marker}; echo started; sleep 1000; :");
        let start = || async {
            let mut session =
                world.kubelet.exec(world.pod("p").unwrap(), request(&["sh", "-c", &script])).await.unwrap();
            let mut line = [0; 8];
            patiently("output", session.stdout.as_mut().unwrap().read_exact(&mut line)).await.unwrap();
            assert_eq!(&line, b"started\n");
            session
        };
        let mut first = start().await;
        let mut stdout = first.stdout.take().unwrap();
        drop(first);
        // The pipe closes when the last process that could write to it is gone.
        patiently("an end", stdout.read_to_end(&mut Vec::new())).await.unwrap();

        let second = start().await;
        world.delete("p", Some(0));
        assert_eq!(patiently("an exit", second.exit).await, Exit::Code(137));
        world.kubelet.shutdown().await;
        assert_eq!(processes_with(&marker), Vec::<String>::new());
    }
}

#[tokio::test]
async fn a_terminal_is_a_terminal() {
    for sandbox in [Sandbox::Auto, Sandbox::None] {
        let world = World::with(sandbox).await;
        world.run("p", "sleep 1000", json!({}));
        world.until_ready("p").await;
        let script = "stty -echo; test -t 0 && test -t 1 && test -t 2 && echo ready; read x; stty size; echo got $x; exit 3";
        let request = ExecRequest { tty: true, ..request(&["sh", "-c", script]) };
        let mut session = world.kubelet.exec(world.pod("p").unwrap(), request).await.unwrap();
        let (mut stdin, mut stdout) = (session.stdin.take().unwrap(), session.stdout.take().unwrap());
        assert!(session.stderr.is_none());
        let mut seen = String::new();
        let mut read_until = async |word: &str| {
            while !seen.contains(word) {
                let mut buffer = [0; 256];
                let count = patiently(word, stdout.read(&mut buffer)).await.unwrap();
                assert!(count > 0, "{seen}");
                seen.push_str(&String::from_utf8_lossy(&buffer[..count]));
            }
            seen.clone()
        };
        read_until("ready").await;
        session.resize.as_ref().unwrap().send(TerminalSize { width: 123, height: 45 }).await.unwrap();
        // The size is set by the time the queue takes two more: it is processed in order.
        for _ in 0..6 {
            session.resize.as_ref().unwrap().send(TerminalSize { width: 123, height: 45 }).await.unwrap();
        }
        stdin.write_all(b"words\n").await.unwrap();
        let seen = read_until("got words").await;
        assert!(seen.contains("45 123"), "{seen:?}");
        assert_eq!(patiently("an exit", session.exit).await, Exit::Code(3));
        world.kubelet.shutdown().await;
    }
}
