//! Nothing that one person does with the tools tells them of another's workspaces, or touches these.

use std::num::NonZeroU32;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use nocrd_cluster::{Cluster, Config, Scope};
use nocrd_mcp_surface::{Options, Surface};
use nocrd_model::{Caller, Namespace, Role};
use nocrd_spawner::Spawner;
use proptest::prelude::*;
use rmcp::model::GetPromptRequestParams;
use serde_json::{Value, json};

use crate::{
    api::{Api, pod, waiting},
    world::{Client, World},
};

/// What everything of Bert's contains.
const MARK: &str = "xbertx";
const LIMIT: u32 = 3;

#[derive(Debug, Clone)]
struct Step {
    tool: usize,
    id: &'static str,
    namespace: Option<&'static str>,
    for_bert: bool,
    pretends: bool,
    cursor: bool,
    include_pod: bool,
}

const TOOLS: [&str; 12] = [
    "list_templates",
    "get_template",
    "current_namespace",
    "get_capabilities",
    "check_permissions",
    "list_namespaces",
    "list_registry_images",
    "list_workspaces",
    "get_workspace",
    "stop_workspace",
    "spawn_workspace",
    "get_workspace_events",
];

fn step() -> impl Strategy<Value = Step> {
    // The tools that could do something come up more often.
    let tool = prop_oneof![1 => 0..7_usize, 6 => 7..12_usize];
    let id = prop::sample::select(vec!["b1", "b2", "a1", "a2", "a3", "a4", "a5"]);
    let namespace = prop::sample::select(vec![None, Some("nogoo9"), Some("default")]);
    (tool, id, namespace, any::<[bool; 4]>()).prop_map(|(tool, id, namespace, flags)| {
        let [for_bert, pretends, cursor, include_pod] = flags;
        Step { tool, id, namespace, for_bert, pretends, cursor, include_pod }
    })
}

fn arguments(step: &Step, role: Role) -> Value {
    let mut arguments = json!({});
    if let Some(namespace) = step.namespace {
        arguments["namespace"] = json!(namespace);
    }
    match TOOLS[step.tool] {
        "get_template" => arguments["name"] = json!("default-agent-workspace"),
        "current_namespace"
        | "get_capabilities"
        | "check_permissions"
        | "list_namespaces"
        | "list_registry_images" => {
            arguments = json!({});
        }
        "list_workspaces" if step.cursor => {
            arguments["cursor"] = json!(URL_SAFE_NO_PAD.encode(format!("workspaces:{}", step.id)));
        }
        "list_templates" | "list_workspaces" => {}
        "spawn_workspace" => {
            arguments["id"] = json!(step.id);
            if role == Role::Viewer {
                arguments["templateRef"] = json!("default-agent-workspace");
            } else {
                arguments["spec"] = json!({"containers": [{"name": "agent", "image": "i"}]});
            }
            if step.for_bert {
                arguments["userSub"] = json!(MARK);
            }
        }
        other => {
            arguments["id"] = json!(step.id);
            if other == "get_workspace" {
                arguments["includePod"] = json!(step.include_pod);
            }
        }
    }
    if step.pretends {
        arguments["jwtPayload"] = json!({"sub": "mallory", "realm_access": {"roles": ["admin"]}});
    }
    arguments
}

/// Bert's: one that runs, and one that can't start.
fn berts() -> Vec<Value> {
    let mut second = pod("b2", MARK);
    second["status"] = waiting("ImagePullBackOff", &format!("no image {MARK}"));
    vec![pod("b1", MARK), second]
}

async fn world() -> World {
    let api = Api::default();
    for pod in berts() {
        api.put("pods", pod);
    }
    let namespace = |name| Namespace::parse(name).unwrap();
    let mut config = Config::new(Scope::Cluster, namespace("nogoo9"));
    config.allowed_namespaces = Some([namespace("default")].into());
    let cluster = Cluster::start(api.client(), config).await.unwrap();
    let limits =
        nocrd_spawner::Config { max_workspaces_per_user: NonZeroU32::new(LIMIT), ..Default::default() };
    let spawner = Spawner::new(cluster.clone(), Default::default(), limits);
    let surface = Surface::new(spawner, Options { auth_enabled: true, ..Options::default() });
    World { api, cluster, surface }.synced().await
}

fn of_bert(world: &World) -> Vec<Value> {
    let all = world.api.objects("pods").into_iter();
    all.filter(|pod| pod["metadata"]["annotations"]["nogoo9/user-sub"] == MARK).collect()
}

async fn play(role: Role, steps: &[Step]) {
    let world = world().await;
    let before = of_bert(&world);
    let ada = world.client_of(Caller::verified("ada".into(), role)).await;
    let mut spawned = 0;
    for step in steps {
        let tool = TOOLS[step.tool];
        let reply = ada.call(tool, arguments(step, role)).await;
        let told = format!("{} {}", reply.text, reply.structured);
        assert!(!told.contains(MARK), "{step:?}: {told}");
        let code = &reply.structured["error"]["code"];
        match tool {
            "list_workspaces" => {
                let listed = reply.structured["workspaces"].as_array().unwrap();
                assert!(listed.iter().all(|entry| entry["id"].as_str().unwrap().starts_with('a')), "{told}");
                assert!(step.cursor || reply.structured["total"] == listed.len(), "{told}");
            }
            "spawn_workspace" if step.for_bert => assert_eq!(code, 403, "{told}"),
            "spawn_workspace" if reply.failed => {
                // Bert's do not count.
                assert!(code == 409 || (code == 429 && spawned >= LIMIT), "{step:?}: {told}");
            }
            "spawn_workspace" => {
                assert!(step.id.starts_with('a'), "{told}");
                spawned += 1;
            }
            "get_workspace" | "stop_workspace" | "get_workspace_events" if step.id.starts_with('b') => {
                assert_eq!(code, 404, "{told}");
            }
            _ => {}
        }
        assert_eq!(of_bert(&world), before, "{step:?}");
        if role != Role::Admin {
            look_around(&ada).await;
        }
    }
}

/// Resources, prompts and completions tell nothing of Bert's either.
async fn look_around(ada: &Client) {
    let mut told = format!("{:?}", ada.mcp.list_all_resources().await.unwrap());
    for id in ["b1", "b2"] {
        let error = ada.read(&format!("workspace://nogoo9/{id}")).await.unwrap_err();
        assert_eq!(error.code.0, -32002, "{error:?}");
        let mut diagnosis = GetPromptRequestParams::new("diagnose-workspace");
        diagnosis.arguments = json!({"id": id}).as_object().cloned();
        told += &format!("{error:?} {:?}", ada.mcp.get_prompt(diagnosis).await.unwrap());
    }
    let ids = ada.mcp.complete_resource_simple("workspace://{namespace}/{id}", "id", "").await.unwrap();
    assert!(ids.iter().all(|id| id.starts_with('a')), "{ids:?}");
    assert!(!told.contains(MARK), "{told}");
}

fn run(role: Role, steps: &[Step]) {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    runtime.block_on(play(role, steps));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn t50_no_sequence_of_calls_reaches_another_s_workspaces(
        role in prop::sample::select(vec![Role::Viewer, Role::User]),
        steps in prop::collection::vec(step(), 1..16),
    ) {
        run(role, &steps);
    }
}

/// The game notices what an administrator may do, hence would notice if everybody might.
#[test]
fn whoever_reaches_another_s_workspaces_is_noticed() {
    for (tool, id) in [
        ("list_workspaces", "b1"),
        ("get_workspace", "b2"),
        ("stop_workspace", "b1"),
        ("spawn_workspace", "a1"),
    ] {
        let tool = TOOLS.iter().position(|known| *known == tool).unwrap();
        let step = Step {
            tool,
            id,
            namespace: None,
            for_bert: true,
            pretends: false,
            cursor: false,
            include_pod: true,
        };
        let noticed = std::panic::catch_unwind(|| run(Role::Admin, &[step]));
        assert!(noticed.is_err(), "{} {id}", TOOLS[tool]);
    }
}

#[test]
fn all_tools_are_played_with() {
    let all: Vec<&str> = nocrd_mcp_surface::catalogue::TOOLS.iter().map(|tool| tool.name).collect();
    let mut played = TOOLS.to_vec();
    played.sort_unstable_by_key(|name| all.iter().position(|known| known == name));
    assert_eq!(played, all);
}
