use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use tokio::time::timeout;

use super::*;
use crate::{
    deletion::{self, Options, Propagation},
    object::{self, list_at, text_at},
    status::Status,
    store::Preconditions,
};

/// A store with a namespace `n` and a node `node`, and the controllers at work.
fn world() -> (Store, Controllers) {
    let store = Store::in_memory();
    let namespace = json!({
        "metadata": { "name": "n" }, "spec": { "finalizers": ["kubernetes"] }, "status": { "phase": "Active" },
    });
    store.create(Kind::Namespace, namespace).expect("created");
    let node =
        json!({ "metadata": { "name": "node", "labels": { "disk": "fast", "cores": "4" } }, "spec": {} });
    store.create(Kind::Node, node).expect("created");
    let controllers = Controllers::start(&store, true);
    (store, controllers)
}

/// Waits until something holds, looking again after every change.
async fn until<T>(store: &Store, what: &str, mut look: impl FnMut(&Store) -> Option<T>) -> T {
    let mut changes = Box::pin(notices(store, &Kind::ALL));
    let found = timeout(Duration::from_secs(20), async {
        loop {
            if let Some(found) = look(store) {
                return found;
            }
            changes.next().await;
        }
    });
    found.await.unwrap_or_else(|_| panic!("{what}"))
}

fn is_gone(store: &Store, kind: Kind, name: &str) -> Option<()> {
    store.get(kind, "n", name).is_err().then_some(())
}

fn pod(name: &str, spec: Value) -> Value {
    let mut spec = spec;
    spec["schedulerName"] = "default-scheduler".into();
    json!({ "metadata": { "name": name, "namespace": "n" }, "spec": spec, "status": { "phase": "Pending" } })
}

fn scheduled<'a>(pod: &'a Value, field: &str) -> &'a str {
    let conditions = list_at(pod, &["status", "conditions"]);
    conditions.iter().find(|c| text_at(c, &["type"]) == "PodScheduled").map_or("", |c| text_at(c, &[field]))
}

fn owned(name: &str, owners: &[(&Value, bool)]) -> Value {
    let owners: Vec<Value> = owners
        .iter()
        .map(|(owner, blocks)| {
            json!({
                "apiVersion": "v1", "kind": "ConfigMap", "name": object::name(owner), "uid": object::uid(owner),
                "blockOwnerDeletion": blocks,
            })
        })
        .collect();
    json!({ "metadata": { "name": name, "namespace": "n", "ownerReferences": owners } })
}

fn config_map(store: &Store, name: &str) -> Arc<Value> {
    store.create(Kind::ConfigMap, json!({ "metadata": { "name": name, "namespace": "n" } })).expect("created")
}

fn delete(store: &Store, name: &str, propagation: Propagation) -> Result<(Arc<Value>, bool), Status> {
    let options = Options { propagation: Some(propagation), ..Options::default() };
    deletion::delete(store, Kind::ConfigMap, "n", name, &options)
}

#[tokio::test]
async fn pods_are_bound_where_they_fit() {
    let (store, controllers) = world();
    let affinity = |operator: &str, key: &str, values: Value| {
        json!({ "affinity": { "nodeAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": { "nodeSelectorTerms": [
            { "matchExpressions": [{ "key": key, "operator": operator, "values": values }] },
        ] } } } })
    };
    let fits = [
        json!({}),
        json!({ "nodeName": "node" }),
        json!({ "nodeSelector": { "disk": "fast" } }),
        affinity("In", "disk", json!(["fast", "slow"])),
        affinity("Gt", "cores", json!(["3"])),
        affinity("DoesNotExist", "gpu", json!([])),
    ];
    for (index, spec) in fits.into_iter().enumerate() {
        let name = format!("fits-{index}");
        store.create(Kind::Pod, pod(&name, spec)).expect("created");
        until(&store, "the pod is bound", |store| {
            let pod = store.get(Kind::Pod, "n", &name).expect("there");
            (text_at(&pod, &["spec", "nodeName"]) == "node" && scheduled(&pod, "status") == "True")
                .then_some(())
        })
        .await;
    }
    let misfits = [
        json!({ "nodeName": "other" }),
        json!({ "nodeSelector": { "disk": "slow" } }),
        affinity("NotIn", "disk", json!(["fast"])),
        affinity("Lt", "cores", json!(["3"])),
        affinity("Exists", "gpu", json!([])),
    ];
    for (index, spec) in misfits.into_iter().enumerate() {
        let name = format!("misfit-{index}");
        store.create(Kind::Pod, pod(&name, spec)).expect("created");
        let pod = until(&store, "the pod is refused", |store| {
            let pod = store.get(Kind::Pod, "n", &name).expect("there");
            (scheduled(&pod, "reason") == "Unschedulable").then_some(pod)
        })
        .await;
        assert!(scheduled(&pod, "message").starts_with("0/1 nodes are available: 1 node(s) didn't match"));
        until(&store, "the refusal is told", |store| {
            let events = store.list(Kind::Event, Some("n")).items;
            let about = |event: &&Arc<Value>| text_at(event, &["involvedObject", "name"]) == name;
            events
                .iter()
                .find(about)
                .filter(|event| text_at(event, &["reason"]) == "FailedScheduling")
                .map(|_| ())
        })
        .await;
    }
    controllers.shutdown().await;
}

#[tokio::test]
async fn a_pod_that_waits_is_bound_when_the_node_changes() {
    let (store, controllers) = world();
    store.create(Kind::Pod, pod("p", json!({ "nodeSelector": { "gpu": "yes" } }))).expect("created");
    let reason = |store: &Store, wanted: &str| {
        let pod = store.get(Kind::Pod, "n", "p").expect("there");
        (scheduled(&pod, "reason") == wanted).then_some(())
    };
    until(&store, "the pod is refused", |store| reason(store, "Unschedulable")).await;
    let label = |node: &mut Value| {
        node["metadata"]["labels"]["gpu"] = "yes".into();
        node["spec"]["taints"] = json!([{ "key": "x", "effect": "NoSchedule" }]);
        Ok(())
    };
    store.update(Kind::Node, "", "node", &Preconditions::none(), label).expect("labelled");
    until(&store, "the taint is what is wrong now", |store| {
        let pod = store.get(Kind::Pod, "n", "p").expect("there");
        scheduled(&pod, "message").contains("untolerated taint").then_some(())
    })
    .await;
    let tolerate = |pod: &mut Value| {
        pod["spec"]["tolerations"] = json!([{ "key": "x", "operator": "Exists" }]);
        Ok(())
    };
    store.update(Kind::Pod, "n", "p", &Preconditions::none(), tolerate).expect("tolerates");
    until(&store, "the pod is bound", |store| reason(store, "")).await;
    controllers.shutdown().await;
}

#[tokio::test]
async fn pods_of_other_schedulers_and_gated_ones_are_left_alone() {
    let (store, controllers) = world();
    let mut foreign = pod("foreign", json!({}));
    foreign["spec"]["schedulerName"] = "mine".into();
    store.create(Kind::Pod, foreign).expect("created");
    store.create(Kind::Pod, pod("gated", json!({ "schedulingGates": [{ "name": "x" }] }))).expect("created");
    store.create(Kind::Pod, pod("last", json!({}))).expect("created");
    until(&store, "the last one is bound", |store| {
        let pod = store.get(Kind::Pod, "n", "last").expect("there");
        (scheduled(&pod, "status") == "True").then_some(())
    })
    .await;
    assert_eq!(scheduled(&store.get(Kind::Pod, "n", "foreign").expect("there"), "status"), "");
    assert_eq!(scheduled(&store.get(Kind::Pod, "n", "gated").expect("there"), "reason"), "SchedulingGated");
    let lift = |pod: &mut Value| {
        pod["spec"]["schedulingGates"] = json!([]);
        Ok(())
    };
    store.update(Kind::Pod, "n", "gated", &Preconditions::none(), lift).expect("lifted");
    until(&store, "the one whose gate is lifted is bound", |store| bound(store, "gated")).await;
    controllers.shutdown().await;
}

fn bound(store: &Store, name: &str) -> Option<()> {
    let pod = store.get(Kind::Pod, "n", name).expect("there");
    (text_at(&pod, &["spec", "nodeName"]) == "node" && scheduled(&pod, "status") == "True").then_some(())
}

/// Waits until a pod is refused; answers why.
async fn refused(store: &Store, name: &str) -> String {
    until(store, "the pod is refused", |store| {
        let pod = store.get(Kind::Pod, "n", name).expect("there");
        (scheduled(&pod, "reason") == "Unschedulable").then(|| scheduled(&pod, "message").to_owned())
    })
    .await
}

const CLAIM: Kind = Kind::PersistentVolumeClaim;

fn claim(store: &Store, name: &str, mode: &str, more: Value) -> Arc<Value> {
    let mut spec = json!({ "accessModes": [mode], "resources": { "requests": { "storage": "1Gi" } } });
    spec.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    store
        .create(CLAIM, json!({ "metadata": { "name": name, "namespace": "n" }, "spec": spec }))
        .expect("created")
}

fn using(name: &str, claim: &str) -> Value {
    pod(name, json!({ "volumes": [{ "name": "v", "persistentVolumeClaim": { "claimName": claim } }] }))
}

#[tokio::test]
async fn claims_get_volumes_and_grow() {
    let (store, controllers) = world();
    let created = claim(&store, "c", "ReadWriteOnce", json!({}));
    let sized = |store: &Store, size: &str| {
        let claim = store.get(CLAIM, "n", "c").expect("there");
        (claim["status"]["capacity"]["storage"] == size).then_some(claim)
    };
    let given = until(&store, "there is a volume", |store| sized(store, "1Gi")).await;
    assert_eq!(given["status"]["phase"], "Bound");
    assert_eq!(given["status"]["accessModes"], json!(["ReadWriteOnce"]));
    assert_eq!(given["spec"]["volumeName"], format!("pvc-{}", object::uid(&created)));
    assert_eq!(given["metadata"]["finalizers"], json!(["kubernetes.io/pvc-protection"]));
    let grow = |claim: &mut Value| {
        claim["spec"]["resources"]["requests"]["storage"] = "2Gi".into();
        Ok(())
    };
    store.update(CLAIM, "n", "c", &Preconditions::none(), grow).expect("asked for more");
    until(&store, "it has grown", |store| sized(store, "2Gi")).await;

    claim(&store, "device", "ReadWriteOnce", json!({ "volumeMode": "Block" }));
    store.create(Kind::Pod, using("p", "device")).expect("created");
    assert_eq!(
        refused(&store, "p").await,
        "0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims. preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling."
    );
    until(&store, "the reason is told", |store| {
        let events = store.list(Kind::Event, Some("n")).items;
        let told = |event: &&Arc<Value>| text_at(event, &["reason"]) == "ProvisioningFailed";
        events.iter().find(told).map(|event| assert_eq!(event["involvedObject"]["name"], "device"))
    })
    .await;
    controllers.shutdown().await;
}

#[tokio::test]
async fn a_pod_waits_for_its_claim() {
    let (store, controllers) = world();
    store.create(Kind::Pod, using("p", "c")).expect("created");
    assert_eq!(
        refused(&store, "p").await,
        "0/1 nodes are available: persistentvolumeclaim \"c\" not found. preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling."
    );
    claim(&store, "c", "ReadWriteOnce", json!({}));
    until(&store, "the pod is bound", |store| bound(store, "p")).await;
    controllers.shutdown().await;
}

#[tokio::test]
async fn a_claim_stays_for_the_pods_that_use_it() {
    let (store, controllers) = world();
    claim(&store, "c", "ReadWriteOnce", json!({}));
    store.create(Kind::Pod, using("p", "c")).expect("created");
    until(&store, "the pod is bound", |store| bound(store, "p")).await;
    let gone =
        |store: &Store| deletion::delete(store, CLAIM, "n", "c", &Options::default()).expect("marked").1;
    assert!(!gone(&store));
    store.create(Kind::Pod, using("late", "c")).expect("created");
    assert!(
        refused(&store, "late").await.contains("persistentvolumeclaim \"c\" is being deleted. preemption:")
    );
    assert!(store.get(CLAIM, "n", "c").is_ok());
    store.delete(Kind::Pod, "n", "p", &Preconditions::none()).expect("deleted");
    until(&store, "the claim goes", |store| is_gone(store, CLAIM, "c")).await;
    until(&store, "there is no claim", |store| {
        let pod = store.get(Kind::Pod, "n", "late").expect("there");
        scheduled(&pod, "message").contains("persistentvolumeclaim \"c\" not found").then_some(())
    })
    .await;
    // Of nobody's use, it goes at once.
    claim(&store, "c", "ReadWriteOnce", json!({}));
    until(&store, "the pod is bound", |store| bound(store, "late")).await;
    claim(&store, "d", "ReadWriteOnce", json!({}));
    until(&store, "it is protected", |store| {
        object::has_finalizers(&store.get(CLAIM, "n", "d").expect("there")).then_some(())
    })
    .await;
    deletion::delete(&store, CLAIM, "n", "d", &Options::default()).expect("marked");
    until(&store, "the claim goes", |store| is_gone(store, CLAIM, "d")).await;
    controllers.shutdown().await;
}

#[tokio::test]
async fn one_pod_at_a_time_has_a_claim_for_itself() {
    let (store, controllers) = world();
    claim(&store, "c", "ReadWriteOncePod", json!({}));
    let taken = "0/1 nodes are available: 1 node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access mode already in-use by another pod. preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod.";
    store.create(Kind::Pod, using("first", "c")).expect("created");
    until(&store, "the first is bound", |store| bound(store, "first")).await;
    store.create(Kind::Pod, using("second", "c")).expect("created");
    assert_eq!(refused(&store, "second").await, taken);
    store.delete(Kind::Pod, "n", "first", &Preconditions::none()).expect("deleted");
    until(&store, "the second is bound", |store| bound(store, "second")).await;
    store.create(Kind::Pod, using("third", "c")).expect("created");
    assert_eq!(refused(&store, "third").await, taken);
    let succeed = |status: &mut serde_json::Map<String, Value>| {
        status.insert("phase".into(), "Succeeded".into());
    };
    store.update_status(Kind::Pod, "n", "second", &Preconditions::none(), succeed).expect("ended");
    until(&store, "the third is bound", |store| bound(store, "third")).await;
    controllers.shutdown().await;
}

#[tokio::test]
async fn objects_go_with_their_last_owner() {
    let (store, controllers) = world();
    let (a, b) = (config_map(&store, "a"), config_map(&store, "b"));
    store.create(Kind::Secret, owned("of-both", &[(&a, false), (&b, false)])).expect("created");
    store.create(Kind::Secret, owned("of-a", &[(&a, false)])).expect("created");
    let ghost = json!({ "metadata": { "name": "ghost", "uid": "0" } });
    store.create(Kind::Secret, owned("of-ghost", &[(&ghost, false)])).expect("created");
    let mut foreign = owned("of-foreign", &[(&ghost, false)]);
    foreign["metadata"]["ownerReferences"][0]["apiVersion"] = "apps/v1".into();
    foreign["metadata"]["ownerReferences"][0]["kind"] = "Deployment".into();
    store.create(Kind::Secret, foreign).expect("created");

    until(&store, "what has no owner goes", |store| is_gone(store, Kind::Secret, "of-ghost")).await;
    delete(&store, "a", Propagation::Background).expect("deleted");
    until(&store, "what a owned goes", |store| is_gone(store, Kind::Secret, "of-a")).await;
    until(&store, "a is struck off", |store| {
        let secret = store.get(Kind::Secret, "n", "of-both").expect("still owned");
        (list_at(&secret, &["metadata", "ownerReferences"]).len() == 1).then_some(())
    })
    .await;
    delete(&store, "b", Propagation::Background).expect("deleted");
    until(&store, "no owner is left", |store| is_gone(store, Kind::Secret, "of-both")).await;
    assert!(store.get(Kind::Secret, "n", "of-foreign").is_ok(), "nothing is known of its owner");
    controllers.shutdown().await;
}

#[tokio::test]
async fn an_owner_of_the_same_name_is_another() {
    let (store, controllers) = world();
    let first = config_map(&store, "a");
    store.create(Kind::Secret, owned("s", &[(&first, false)])).expect("created");
    store.delete(Kind::ConfigMap, "n", "a", &Preconditions::none()).expect("deleted");
    config_map(&store, "a");
    until(&store, "the secret goes", |store| is_gone(store, Kind::Secret, "s")).await;
    controllers.shutdown().await;
}

#[tokio::test]
async fn in_the_foreground_the_owner_goes_last() {
    let (store, controllers) = world();
    let owner = config_map(&store, "a");
    let mut held = owned("s", &[(&owner, true)]);
    held["metadata"]["finalizers"] = json!(["x.io/hold"]);
    store.create(Kind::Secret, held).expect("created");
    assert!(!delete(&store, "a", Propagation::Foreground).expect("marked").1);
    until(&store, "the dependent is marked", |store| {
        object::deletion_timestamp(&store.get(Kind::Secret, "n", "s").expect("there")).map(|_| ())
    })
    .await;
    assert!(store.get(Kind::ConfigMap, "n", "a").is_ok());
    let let_go = store.modify(Kind::Secret, "n", "s", crate::store::Mode::Commit, |_, secret| {
        object::remove_meta(secret, "finalizers");
        Ok(crate::store::Fate::Goes)
    });
    let_go.expect("let go");
    until(&store, "the owner goes", |store| is_gone(store, Kind::ConfigMap, "a")).await;
    controllers.shutdown().await;
}

#[tokio::test]
async fn orphans_stay() {
    let (store, controllers) = world();
    let owner = config_map(&store, "a");
    store.create(Kind::Secret, owned("s", &[(&owner, true)])).expect("created");
    delete(&store, "a", Propagation::Orphan).expect("marked");
    until(&store, "the owner goes", |store| is_gone(store, Kind::ConfigMap, "a")).await;
    let orphan = store.get(Kind::Secret, "n", "s").expect("stays");
    assert!(list_at(&orphan, &["metadata", "ownerReferences"]).is_empty());
    controllers.shutdown().await;
}

#[tokio::test]
async fn a_deleted_namespace_is_emptied() {
    let (store, controllers) = world();
    until(&store, "there is an account", |store| store.get(Kind::ServiceAccount, "n", "default").ok()).await;
    config_map(&store, "a");
    store.create(Kind::Pod, pod("p", json!({ "terminationGracePeriodSeconds": 30 }))).expect("created");
    let pod = until(&store, "the pod is bound", |store| {
        let pod = store.get(Kind::Pod, "n", "p").expect("there");
        (scheduled(&pod, "status") == "True").then_some(pod)
    })
    .await;
    deletion::delete(&store, Kind::Namespace, "", "n", &Options::default()).expect("marked");
    until(&store, "all but the pod goes", |store| {
        is_gone(store, Kind::ConfigMap, "a").and_then(|()| is_gone(store, Kind::ServiceAccount, "default"))
    })
    .await;
    assert!(store.get(Kind::Namespace, "", "n").is_ok(), "the pod is still being stopped");
    deletion::finish(&store, "n", "p", object::uid(&pod)).expect("stopped");
    until(&store, "the namespace goes", |store| store.get(Kind::Namespace, "", "n").is_err().then_some(()))
        .await;
    for kind in Kind::ALL.into_iter().filter(|kind| kind.is_namespaced()) {
        assert!(store.list(kind, Some("n")).items.is_empty(), "{kind}");
    }
    controllers.shutdown().await;
}

#[tokio::test]
async fn every_namespace_keeps_its_account() {
    let (store, controllers) = world();
    let account = |store: &Store| store.get(Kind::ServiceAccount, "n", "default").ok();
    let first = until(&store, "there is an account", account).await;
    store.delete(Kind::ServiceAccount, "n", "default", &Preconditions::none()).expect("deleted");
    let second = until(&store, "there is another", account).await;
    assert_ne!(object::uid(&first), object::uid(&second));
    controllers.shutdown().await;
}

#[tokio::test]
async fn quotas_tell_what_is_used() {
    let (store, controllers) = world();
    let quota = json!({ "metadata": { "name": "q", "namespace": "n" }, "spec": { "hard": { "pods": "2", "count/pods": "5", "cpu": "1" } } });
    store.create(Kind::ResourceQuota, quota).expect("created");
    let used = |store: &Store, wanted: Value| {
        let quota = store.get(Kind::ResourceQuota, "n", "q").expect("there");
        (quota["status"]["used"] == wanted).then_some(())
    };
    store.create(Kind::Pod, pod("a", json!({}))).expect("created");
    store.create(Kind::Pod, pod("b", json!({}))).expect("created");
    until(&store, "two are counted", |store| used(store, json!({ "pods": "2", "count/pods": "2" }))).await;
    let succeed = |status: &mut serde_json::Map<String, Value>| {
        status.insert("phase".into(), "Succeeded".into());
    };
    store.update_status(Kind::Pod, "n", "a", &Preconditions::none(), succeed).expect("ended");
    until(&store, "one has ended", |store| used(store, json!({ "pods": "1", "count/pods": "2" }))).await;
    controllers.shutdown().await;
}

#[test]
fn events_are_forgotten_after_an_hour() {
    let store = Store::in_memory();
    let now = Timestamp::now();
    let ago = |minutes| object::seconds(now - SignedDuration::from_mins(minutes));
    for (name, minutes) in [("old", 61), ("new", 59)] {
        let event = json!({ "metadata": { "name": name, "namespace": "n" }, "lastTimestamp": ago(minutes) });
        store.create(Kind::Event, event).expect("created");
    }
    let unseen = json!({ "metadata": { "name": "unseen", "namespace": "n", "creationTimestamp": ago(61) }, "lastTimestamp": null });
    store.create(Kind::Event, unseen).expect("created");
    events::forget(&store, now);
    let left: Vec<String> =
        store.list(Kind::Event, None).items.iter().map(|event| object::name(event).to_owned()).collect();
    assert_eq!(left, ["new"]);
}
