use serde_json::{Value, json};

use super::*;

/// A pod on a node, with one container unless `spec` says otherwise.
fn status(spec: Value, status: Value) -> Status {
    let mut full = json!({"nodeName": "n1", "containers": [{"name": "agent", "image": "i"}]});
    full.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    let pod = json!({"metadata": {"name": "w"}, "spec": full, "status": status});
    let status = derive(&serde_json::from_value(pod).unwrap());
    let text = status.to_string();
    assert!(!text.contains("undefined") && !text.contains("null") && !text.ends_with([' ', ':']), "{text}");
    status
}

fn container(name: &str, state: Value) -> Value {
    json!({"name": name, "image": "i", "imageID": "", "ready": false, "restartCount": 0, "state": state})
}

fn waiting(reason: &str, message: &str) -> Value {
    json!({"waiting": {"reason": reason, "message": message}})
}

fn one(state: Value) -> Status {
    status(json!({}), json!({"phase": "Pending", "containerStatuses": [container("agent", state)]}))
}

#[test]
fn nothing_is_known_yet() {
    let pod = serde_json::from_value(json!({"metadata": {}})).unwrap();
    let status = derive(&pod);
    assert_eq!((status.state, status.message.as_str()), (State::Pending, "waits for a node"));
}

#[test]
fn unschedulable_is_fatal_and_quotes_the_scheduler() {
    let conditions = json!([{
        "type": "PodScheduled", "status": "False", "reason": "Unschedulable",
        "message": "0/3 nodes are available: 3 Insufficient memory.",
    }]);
    let status = status(json!({"nodeName": null}), json!({"phase": "Pending", "conditions": conditions}));
    assert_eq!((status.state, status.reason.as_str(), status.fatal), (State::Pending, "Unschedulable", true));
    assert_eq!(
        status.to_string(),
        "Pending (Unschedulable): 0/3 nodes are available: 3 Insufficient memory."
    );
}

#[test]
fn a_scheduling_gate_is_not_fatal() {
    let conditions = json!([{"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"}]);
    let status = status(json!({"nodeName": ""}), json!({"phase": "Pending", "conditions": conditions}));
    assert_eq!(
        (status.state, status.reason.as_str(), status.fatal),
        (State::Pending, "SchedulingGated", false)
    );
}

#[test]
fn a_node_that_has_not_begun() {
    let status = status(json!({}), json!({"phase": "Pending"}));
    assert_eq!((status.state, status.fatal), (State::Pending, false));
    assert!(status.message.contains("node"), "{status}");
}

#[test]
fn containers_that_are_created() {
    let status = one(json!({"waiting": {"reason": "ContainerCreating"}}));
    assert_eq!((status.state, status.reason.as_str()), (State::Pulling, "ContainerCreating"));
    assert!(status.message.starts_with("container agent is being created"), "{status}");
    assert_eq!(one(json!({})).state, State::Pulling);
}

#[test]
fn every_known_problem_is_degraded_and_fatal() {
    for reason in [
        "ErrImagePull",
        "ImagePullBackOff",
        "InvalidImageName",
        "ErrImageNeverPull",
        "CreateContainerConfigError",
        "CreateContainerError",
        "RunContainerError",
        "StartError",
        "CrashLoopBackOff",
    ] {
        let status = one(waiting(reason, "it says why"));
        assert_eq!((status.state, status.reason.as_str(), status.fatal), (State::Degraded, reason, true));
        assert_eq!(status.message, "container agent: it says why");
        assert!(one(json!({"waiting": {"reason": reason}})).message.contains("agent"));
    }
}

#[test]
fn a_crash_loop_tells_how_the_last_run_ended() {
    let mut crashing =
        container("agent", waiting("CrashLoopBackOff", "back-off 40s restarting failed container"));
    crashing["restartCount"] = json!(4);
    crashing["lastState"] = json!({"terminated": {
        "exitCode": 1, "reason": "Error", "message": "cannot open /data: permission denied\n",
    }});
    let status = status(json!({}), json!({"phase": "Running", "containerStatuses": [crashing]}));
    assert_eq!(
        status.to_string(),
        "Degraded (CrashLoopBackOff): container agent exited with code 1: cannot open /data: permission denied; 4 restarts"
    );
}

#[test]
fn an_out_of_memory_kill() {
    let killed = json!({"terminated": {"exitCode": 137, "reason": "OOMKilled"}});
    let between = one(killed.clone());
    assert_eq!(
        (between.state, between.reason.as_str(), between.fatal),
        (State::Degraded, "OOMKilled", false)
    );
    assert!(between.message.contains("agent exited with code 137 (OOMKilled)"), "{between}");

    let mut again = container("agent", json!({"running": {}}));
    again["lastState"] = killed;
    let running = status(json!({}), json!({"phase": "Running", "containerStatuses": [again]}));
    assert_eq!(running.state, State::Starting);
    assert!(running.message.contains("OOMKilled"), "{running}");
}

#[test]
fn a_container_that_is_not_started_again_is_fatal() {
    let ended = |code: i32, policy: &str| {
        let statuses = json!([
            container("agent", json!({"terminated": {"exitCode": code}})),
            container("side", json!({"running": {}})),
        ]);
        let containers = json!([{"name": "agent", "image": "i"}, {"name": "side", "image": "i"}]);
        status(
            json!({"restartPolicy": policy, "containers": containers}),
            json!({"phase": "Running", "containerStatuses": statuses}),
        )
    };
    assert!(ended(1, "Never").fatal && ended(0, "Never").fatal && ended(0, "OnFailure").fatal);
    assert!(!ended(1, "OnFailure").fatal && !ended(0, "Always").fatal);
    assert_eq!(ended(0, "Never").reason, "Completed");
}

#[test]
fn the_second_container_is_looked_at_too() {
    let statuses = json!([
        container("agent", json!({"waiting": {"reason": "ContainerCreating"}})),
        container("side", waiting("ImagePullBackOff", "no such image")),
    ]);
    let containers = json!([{"name": "agent", "image": "i"}, {"name": "side", "image": "i"}]);
    let status =
        status(json!({"containers": containers}), json!({"phase": "Pending", "containerStatuses": statuses}));
    assert_eq!(status.to_string(), "Degraded (ImagePullBackOff): container side: no such image");
}

fn with_init(init: [Value; 2]) -> Status {
    let [first, second] = init;
    let spec = json!({"initContainers": [{"name": "one", "image": "i"}, {"name": "two", "image": "i"}]});
    let waits = container("agent", json!({"waiting": {"reason": "PodInitializing"}}));
    status(
        spec,
        json!({
            "phase": "Pending",
            "initContainerStatuses": [container("one", first), container("two", second)],
            "containerStatuses": [waits],
        }),
    )
}

#[test]
fn init_containers_are_counted() {
    let done = json!({"terminated": {"exitCode": 0, "reason": "Completed"}});
    let status = with_init([done.clone(), json!({"running": {}})]);
    // The container that waits for them is no news.
    assert_eq!(status.to_string(), "Initializing: init container two (2 of 2) runs");

    let pulling = with_init([done, json!({"waiting": {"reason": "ContainerCreating"}})]);
    assert_eq!(pulling.state, State::Pulling);
    assert!(pulling.message.contains("init container two"), "{pulling}");
}

#[test]
fn a_failing_init_container_is_named() {
    let waits = json!({"waiting": {"reason": "PodInitializing"}});
    let failed = with_init([json!({"terminated": {"exitCode": 2, "reason": "Error"}}), waits.clone()]);
    assert_eq!((failed.state, failed.fatal), (State::Degraded, false));
    assert!(failed.message.contains("init container one exited with code 2"), "{failed}");
    let looping = with_init([waiting("CrashLoopBackOff", "back-off"), waits]);
    assert_eq!((looping.state, looping.fatal), (State::Degraded, true));
}

#[test]
fn a_restartable_init_container_counts_as_a_container() {
    let spec = json!({"initContainers": [{"name": "proxy", "image": "i", "restartPolicy": "Always"}]});
    let mut proxy = container("proxy", json!({"running": {}}));
    proxy["ready"] = json!(true);
    let agent = container("agent", json!({"running": {}}));
    let status = status(
        spec,
        json!({"phase": "Running", "initContainerStatuses": [proxy], "containerStatuses": [agent]}),
    );
    assert_eq!(status.state, State::Starting);
    assert!(status.message.contains("container agent runs"), "{status}");
}

#[test]
fn running_but_not_ready_says_which_probe() {
    let unready = |spec: Value, started: bool| {
        let mut agent = container("agent", json!({"running": {}}));
        agent["started"] = json!(started);
        let containers =
            json!([{"name": "agent", "image": "i", spec.as_str().unwrap(): {"tcpSocket": {"port": 1}}}]);
        status(json!({"containers": containers}), json!({"phase": "Running", "containerStatuses": [agent]}))
    };
    let readiness = unready(json!("readinessProbe"), true);
    assert_eq!((readiness.state, readiness.fatal), (State::Starting, false));
    assert!(readiness.message.contains("readiness probe"), "{readiness}");
    assert!(unready(json!("startupProbe"), false).message.contains("startup probe"));
}

#[test]
fn a_readiness_gate_is_quoted() {
    let mut agent = container("agent", json!({"running": {}}));
    agent["ready"] = json!(true);
    let conditions = json!([{
        "type": "Ready", "status": "False", "reason": "ReadinessGatesNotReady",
        "message": "corresponding condition of pod readiness gate \"x\" does not exist.",
    }]);
    let status = status(
        json!({}),
        json!({"phase": "Running", "conditions": conditions, "containerStatuses": [agent]}),
    );
    assert_eq!((status.state, status.reason.as_str()), (State::Starting, "ReadinessGatesNotReady"));
    assert!(status.message.contains("readiness gate"), "{status}");
}

#[test]
fn k27_ready_is_running() {
    let conditions = json!([{"type": "Ready", "status": "True"}]);
    let status = status(json!({}), json!({"phase": "Running", "conditions": conditions}));
    assert_eq!(status.to_string(), "Running");
}

#[test]
fn finished_pods() {
    let succeeded = status(json!({}), json!({"phase": "Succeeded"}));
    assert_eq!((succeeded.state, succeeded.fatal), (State::Succeeded, true));

    let evicted = status(
        json!({}),
        json!({"phase": "Failed", "reason": "Evicted", "message": "The node was low on resource: memory."}),
    );
    assert_eq!(evicted.to_string(), "Failed (Evicted): The node was low on resource: memory.");

    let ended = container("agent", json!({"terminated": {"exitCode": 3, "signal": 0, "reason": "Error"}}));
    let failed = status(json!({}), json!({"phase": "Failed", "containerStatuses": [ended]}));
    assert_eq!(failed.to_string(), "Failed (Error): container agent exited with code 3");
    assert!(failed.fatal);

    let silent = status(json!({}), json!({"phase": "Failed"}));
    assert_eq!(silent.state, State::Failed);
    assert!(!silent.message.is_empty());
}

#[test]
fn a_context_that_is_about_to_be_stored_is_no_trouble() {
    let of = |secret: &str, annotated: bool| {
        let waits = waiting("CreateContainerConfigError", &format!("secret \"{secret}\" not found"));
        let annotations = if annotated { json!({keys::CONTEXT_SECRET: "ws-a-context"}) } else { json!({}) };
        let pod = json!({
            "metadata": {"annotations": annotations},
            "spec": {"nodeName": "n", "containers": [{"name": "agent"}]},
            "status": {"phase": "Pending", "containerStatuses": [container("agent", waits)]},
        });
        let status = derive(&serde_json::from_value(pod).unwrap());
        (status.state, status.fatal)
    };
    assert_eq!(of("ws-a-context", true), (State::Pulling, false));
    assert_eq!(of("other", true), (State::Degraded, true));
    assert_eq!(of("ws-a-context", false), (State::Degraded, true));
}

#[test]
fn a_lost_node() {
    let status = status(json!({}), json!({"phase": "Unknown", "reason": "NodeLost"}));
    assert_eq!((status.state, status.reason.as_str(), status.fatal), (State::Degraded, "NodeLost", false));
}

#[test]
fn k46_k60_deletion_comes_before_everything() {
    let pod = json!({
        "metadata": {"deletionTimestamp": "2026-11-22T12:16:03Z"},
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]},
    });
    assert_eq!(derive(&serde_json::from_value(pod).unwrap()).state, State::Terminating);
}

#[test]
fn last_words_are_cut_from_the_front() {
    let words = format!("{}the end ä", "ä".repeat(1000));
    let status = one(json!({"terminated": {"exitCode": 1, "message": words}}));
    assert!(status.message.contains("the end ä;") && status.message.len() < 500, "{status}");
}
