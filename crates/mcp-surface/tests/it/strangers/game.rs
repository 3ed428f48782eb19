//! Two worlds in which the same is done: in one of them Bert has things.

use std::num::NonZeroU32;

use nocrd_devcluster::kind::Kind;
use nocrd_mcp_surface::Options;
use nocrd_model::{Caller, Namespace, Role};
use rmcp::model::{GetPromptRequestParams, SubscribeRequestParams};
use serde_json::{Value, json};

use super::{BERT, MARK, SECRET, steps::Step};
use crate::{
    dev::{DevWorld, raw_pod, template, workspace},
    world::{Client, Heard, Reply, until},
};

pub(super) struct Game {
    with: DevWorld,
    without: DevWorld,
    /// What Bert has.
    his: Vec<(Kind, Value)>,
    /// How often it was played. Ada is somebody else each time.
    played: usize,
}

const KINDS: [Kind; 5] =
    [Kind::Pod, Kind::ConfigMap, Kind::Secret, Kind::PersistentVolumeClaim, Kind::ServiceAccount];

impl Game {
    pub(super) async fn new(managed_only: bool) -> Self {
        let (with, without) = tokio::join!(world(managed_only), world(managed_only));
        for world in [&with, &without] {
            // Everybody's, whoever made it.
            world.create(Kind::ConfigMap, &template("b1", BERT, None));
            // Nobody's.
            world.apply("pods", &marked(json!({"metadata": {"name": "foreign"}}), "pods")).await;
        }
        let mut hidden = template("b2", BERT, Some("ml"));
        hidden["data"]["spec"] = json!(format!("containers: [{{name: agent, image: {MARK}}}]"));
        with.create(Kind::ConfigMap, &hidden);
        for name in ["b1", "b2"] {
            for mut pod in [workspace(name, BERT), raw_pod(name, BERT)] {
                pod["spec"]["containers"][0]["image"] = json!(MARK);
                with.apply("pods", &pod).await;
            }
        }
        // A pod of his that this server does not manage.
        let own = json!({"metadata": {"name": "b3", "annotations": {"nogoo9/user-sub": BERT}}});
        with.apply("pods", &marked(own, "pods")).await;
        with.apply("secrets", &marked(json!({"metadata": {"name": SECRET}, "stringData": {"k": MARK}}), ""))
            .await;
        with.apply("secrets", &json!({"metadata": {"name": "ws-b1-context"}, "stringData": {"k": MARK}}))
            .await;
        let claim = json!({"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}});
        let claim = json!({"metadata": {"name": "b1", "labels": {"mark": MARK}}, "spec": claim});
        with.apply("persistentvolumeclaims", &claim).await;
        // The cluster has done what it does to them.
        until("all is in its place", || {
            let is_settled = |pod: &Value| pod["spec"]["nodeName"].is_string();
            let claims = with.objects(Kind::PersistentVolumeClaim);
            with.objects(Kind::Pod).iter().all(is_settled)
                && claims.iter().all(|claim| claim["status"]["phase"] == "Bound")
        })
        .await;
        with.caught_up().await;
        without.caught_up().await;
        let his = his(&with);
        assert!(his.len() >= 10, "{his:?}");
        Self { with, without, his, played: 0 }
    }

    /// Plays: everything that Ada is told and does is as if Bert were not there.
    pub(super) async fn play(&mut self, role: Role, steps: &[Step]) {
        self.played += 1;
        let ada = || Caller::verified(format!("ada-{}", self.played).as_str().into(), role);
        let (mut here, there) = tokio::join!(self.with.client(ada()), self.without.client(ada()));
        for step in steps {
            let arguments = step.arguments(role, self.played);
            let reply = here.call(step.tool, arguments.clone()).await;
            if step.squats() {
                // Where he were not there, this might go well.
                assert!(reply.failed, "{step:?}: {reply:?}");
                assert!(!format!("{reply:?}").contains(MARK), "{step:?}: {reply:?}");
            } else {
                let expected = there.call(step.tool, arguments).await;
                assert_eq!(gist(step.tool, &reply), gist(step.tool, &expected), "{step:?}");
                let (reply, expected) = (format!("{reply:?}"), format!("{expected:?}"));
                assert!(!reply.contains(MARK), "{step:?}: {reply}");
                assert!(!reply.contains(BERT) || expected.contains(BERT), "{step:?}: {reply}");
            }
            let tries = step.creates() && step.wish.steals();
            assert!(!tries || reply.failed, "{step:?}: {reply:?}");
            assert_eq!(his(&self.with), self.his, "{step:?}");
            self.with.caught_up().await;
            self.without.caught_up().await;
        }
        if role != Role::Admin {
            let (seen, expected) = (look_around(&here).await, look_around(&there).await);
            assert_eq!(seen, expected);
            assert!(!seen.contains(MARK), "{seen}");
        }
        while let Ok(heard) = here.resources.try_recv() {
            assert_eq!(heard, Heard::ResourcesChanged);
        }
    }

    pub(super) async fn stop(self) {
        self.with.stop().await;
        self.without.stop().await;
    }
}

async fn world(managed_only: bool) -> DevWorld {
    let limits = nocrd_spawner::Config {
        max_workspaces_per_user: NonZeroU32::new(3),
        allowed_metadata_prefixes: ["example.com".to_owned()].into(),
        managed_only,
        ..Default::default()
    };
    let options = Options { auth_enabled: true, ..Options::default() };
    DevWorld::with(limits, options, |config| {
        config.allowed_namespaces = Some([Namespace::parse("default").unwrap()].into());
    })
    .await
}

/// An object with the mark in it; a pod gets a spec.
fn marked(mut object: Value, resource: &str) -> Value {
    object["metadata"]["labels"] = json!({"mark": MARK});
    if resource == "pods" {
        object["spec"] = json!({"containers": [{"name": "a", "image": MARK}]});
    }
    object
}

/// What is Bert's, or says that it is.
fn his(world: &DevWorld) -> Vec<(Kind, Value)> {
    let objects =
        KINDS.into_iter().flat_map(|kind| world.objects(kind).into_iter().map(move |it| (kind, it)));
    let is_owner = |pairs: &Value| pairs["nogoo9/user-sub"] == BERT;
    let is_his = |(_, object): &(Kind, Value)| {
        let metadata = &object["metadata"];
        is_owner(&metadata["labels"])
            || is_owner(&metadata["annotations"])
            || object.to_string().contains(MARK)
    };
    objects.filter(is_his).collect()
}

/// What a reply says that does not depend on when it was asked for.
fn gist(tool: &str, reply: &Reply) -> Value {
    let structured = &reply.structured;
    if reply.failed {
        return json!([structured["error"]["id"], reply.text]);
    }
    let names = |list: &str, member: &str| {
        let entries = structured[list].as_array().unwrap();
        let names: Vec<_> = entries.iter().map(|entry| entry.get(member).unwrap_or(entry)).collect();
        // As long as it is not known how many there are, nothing is said of it.
        let unmanaged = structured.get("unmanagedCount").and_then(Value::as_u64).unwrap_or_default();
        json!([names, structured["total"], structured["nextCursor"], unmanaged])
    };
    match tool {
        "list_workspaces" => names("workspaces", "id"),
        "list_pods" => names("pods", "name"),
        "list_templates" => names("templates", "name"),
        "list_namespaces" => names("namespaces", ""),
        "list_registry_images" | "current_namespace" | "get_capabilities" | "check_permissions" => {
            structured.clone()
        }
        _ => json!("done"),
    }
}

/// What else there is to see. What can't be seen, can't be subscribed to.
#[expect(deprecated, reason = "clients of today subscribe so")]
async fn look_around(ada: &Client) -> String {
    let mut told = format!("{:?}", ada.uris().await);
    for uri in ["workspace://nogoo9/b1", "workspace://nogoo9/b2", "pod-template://nogoo9/b2"] {
        let error = ada.read(uri).await.unwrap_err();
        assert_eq!(error.code.0, -32002, "{error:?}");
        let refused = ada.mcp.subscribe(SubscribeRequestParams::new(uri)).await.unwrap_err();
        told += &format!("{error:?} {refused:?}");
    }
    for id in ["b1", "b2"] {
        let mut diagnosis = GetPromptRequestParams::new("diagnose-workspace");
        diagnosis.arguments = json!({"id": id}).as_object().cloned();
        told += &format!("{:?}", ada.mcp.get_prompt(diagnosis).await.unwrap());
    }
    for (uri, argument) in [
        ("workspace://{namespace}/{id}", "id"),
        ("workspace://{namespace}/{id}", "namespace"),
        ("pod-template://{namespace}/{name}", "name"),
        ("pod-template://{namespace}/{name}", "namespace"),
    ] {
        told += &format!("{:?}", ada.mcp.complete_resource_simple(uri, argument, "").await.unwrap());
    }
    for (prompt, argument) in [("diagnose-workspace", "id"), ("spawn-workspace", "templateRef")] {
        told += &format!("{:?}", ada.mcp.complete_prompt_simple(prompt, argument, "").await.unwrap());
    }
    told
}
