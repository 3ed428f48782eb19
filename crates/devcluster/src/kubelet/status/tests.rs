use super::*;

fn spec(value: Value) -> PodSpec {
    serde_json::from_value(value).unwrap()
}

fn running() -> Record {
    let mut record = Record::waiting("ContainerCreating");
    record.state = State::Running { since: Timestamp::UNIX_EPOCH };
    (record.id, record.ready, record.started) = ("nocrd://1".into(), true, true);
    record
}

fn ended(exit_code: i32) -> Record {
    let mut record = running();
    (record.ready, record.started) = (false, false);
    record.state = State::Terminated(Termination {
        exit_code,
        reason: if exit_code == 0 { "Completed" } else { "Error" }.into(),
        message: String::new(),
        started: Some(Timestamp::UNIX_EPOCH),
        finished: Timestamp::UNIX_EPOCH,
        id: record.id.clone(),
    });
    record
}

fn backing_off() -> Record {
    let mut record = ended(1);
    record.last = record.termination().cloned();
    record.state = State::Waiting { reason: "CrashLoopBackOff".into(), message: "back-off".into() };
    record
}

fn report(spec: &PodSpec, init: Vec<Record>, main: Vec<Record>) -> Report<'_> {
    Report {
        spec,
        generation: None,
        init,
        main,
        ip: HOST,
        started: Timestamp::UNIX_EPOCH,
        stage: Stage::Initializing,
        verdict: None,
    }
}

fn condition(status: &Map<String, Value>, name: &str) -> Value {
    let conditions = status["conditions"].as_array().unwrap();
    conditions.iter().find(|condition| condition["type"] == name).unwrap().clone()
}

#[test]
fn phases_follow_the_restart_policy() {
    let waiting = || Record::waiting("ContainerCreating");
    for (policy, main, is_over, phase) in [
        ("Always", vec![waiting()], false, "Pending"),
        ("Always", vec![running(), waiting()], false, "Pending"),
        ("Always", vec![running(), ended(1)], false, "Running"),
        ("Always", vec![ended(0)], false, "Running"),
        ("Always", vec![backing_off()], false, "Running"),
        ("Always", vec![ended(0)], true, "Succeeded"),
        ("Always", vec![ended(0), ended(143)], true, "Failed"),
        ("OnFailure", vec![ended(0), ended(0)], false, "Succeeded"),
        ("OnFailure", vec![ended(0), ended(1)], false, "Running"),
        ("Never", vec![ended(0), ended(1)], false, "Failed"),
        ("Never", vec![ended(0)], false, "Succeeded"),
        ("Never", vec![ended(0), running()], false, "Running"),
    ] {
        let containers: Vec<Value> =
            main.iter().map(|_| json!({ "name": "c", "image": "busybox" })).collect();
        let spec = spec(json!({ "restartPolicy": policy, "containers": containers }));
        let mut report = report(&spec, Vec::new(), main);
        report.stage = if is_over { Stage::Over } else { Stage::Running };
        assert_eq!(report.phase(), phase, "{policy} {:?}", report.main);
    }
}

#[test]
fn init_containers_hold_the_pod_back() {
    let spec = spec(json!({
        "restartPolicy": "Never",
        "initContainers": [
            { "name": "i", "image": "busybox" },
            { "name": "s", "image": "busybox", "restartPolicy": "Always" },
        ],
        "containers": [{ "name": "c", "image": "busybox" }],
    }));
    let waiting = || Record::waiting("PodInitializing");
    let mut first = running();
    first.ready = false;
    let mut status = Map::new();
    write(&mut status, &report(&spec, vec![first, waiting()], vec![waiting()]));
    assert_eq!(status["phase"], "Pending");
    let initialized = condition(&status, "Initialized");
    assert_eq!(initialized["reason"], "ContainersNotInitialized");
    assert_eq!(initialized["message"], "containers with incomplete status: [i s]");
    assert_eq!(status["initContainerStatuses"][1]["state"]["waiting"]["reason"], "PodInitializing");

    write(&mut status, &report(&spec, vec![ended(0), running()], vec![running()]));
    assert_eq!(
        (&status["phase"], &condition(&status, "Ready")["status"]),
        (&"Running".into(), &"True".into())
    );
    // A sidecar that ends later does not make the pod uninitialized again, only unready.
    let mut later = report(&spec, vec![ended(0), backing_off()], vec![running()]);
    later.stage = Stage::Running;
    write(&mut status, &later);
    assert_eq!(condition(&status, "Initialized")["status"], "True");
    assert_eq!(condition(&status, "Ready")["message"], "containers with unready status: [s]");

    write(&mut status, &report(&spec, vec![ended(3), waiting()], vec![waiting()]));
    assert_eq!(status["phase"], "Failed");
}

#[test]
fn statuses_have_the_shape_clients_expect() {
    let spec = spec(json!({ "containers": [{
        "name": "c", "image": "busybox:1.36", "volumeMounts": [{ "name": "v", "mountPath": "/v", "readOnly": true }],
    }]}));
    let mut status = Map::new();
    write(&mut status, &report(&spec, Vec::new(), vec![Record::waiting("ContainerCreating")]));
    let container = &status["containerStatuses"][0];
    assert_eq!(container["state"], json!({ "waiting": { "reason": "ContainerCreating" } }));
    assert_eq!((&container["imageID"], &container["image"]), (&"".into(), &"busybox:1.36".into()));
    assert!(container.get("containerID").is_none());

    write(&mut status, &report(&spec, Vec::new(), vec![backing_off()]));
    let container = &status["containerStatuses"][0];
    assert_eq!(container["state"]["waiting"]["reason"], "CrashLoopBackOff");
    assert_eq!(
        container["lastState"]["terminated"],
        json!({
            "exitCode": 1, "reason": "Error", "startedAt": "1970-01-01T00:00:00Z",
            "finishedAt": "1970-01-01T00:00:00Z", "containerID": "nocrd://1",
        })
    );
    assert_eq!(container["image"], "docker.io/library/busybox:1.36");
    assert_eq!(container["volumeMounts"][0]["recursiveReadOnly"], "Disabled");
}

#[test]
fn conditions_keep_their_transition_time_and_others_stay() {
    let spec = spec(json!({
        "containers": [{ "name": "c", "image": "busybox" }], "readinessGates": [{ "conditionType": "x/y" }],
    }));
    let mut status = Map::new();
    let old = "2020-01-01T00:00:00Z";
    status.insert(
        "conditions".into(),
        json!([
            { "type": "PodScheduled", "status": "True", "lastTransitionTime": old },
            { "type": "Ready", "status": "True", "lastTransitionTime": old },
            { "type": "x/y", "status": "False" },
        ]),
    );
    write(&mut status, &report(&spec, Vec::new(), vec![running()]));
    let conditions = status["conditions"].as_array().unwrap();
    let names: Vec<_> = conditions.iter().map(|condition| condition["type"].as_str().unwrap()).collect();
    assert_eq!(
        names,
        ["PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled", "x/y"]
    );
    assert_eq!(condition(&status, "PodScheduled")["lastTransitionTime"], old);
    assert_ne!(condition(&status, "Ready")["lastTransitionTime"], old);
    assert_eq!(condition(&status, "Ready")["reason"], "ReadinessGatesNotReady");
}

#[test]
fn a_verdict_fails_the_pod() {
    let spec = spec(json!({ "containers": [{ "name": "c", "image": "busybox" }] }));
    let mut report = report(&spec, Vec::new(), vec![ended(137)]);
    report.verdict = Some(("DeadlineExceeded", "too long".into()));
    let mut status = Map::new();
    write(&mut status, &report);
    assert_eq!((&status["phase"], &status["reason"]), (&"Failed".into(), &"DeadlineExceeded".into()));
    assert_eq!(condition(&status, "Ready")["reason"], "PodFailed");
}
