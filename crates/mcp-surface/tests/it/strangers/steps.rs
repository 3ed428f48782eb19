//! What somebody may try.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use nocrd_mcp_surface::catalogue;
use nocrd_model::Role;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{BERT, SECRET};

/// One call of a tool.
#[derive(Debug, Clone)]
pub(super) struct Step {
    pub(super) tool: &'static str,
    pub(super) name: &'static str,
    pub(super) namespace: Option<&'static str>,
    pub(super) template: &'static str,
    pub(super) wish: Wish,
    pub(super) pretends: bool,
}

/// What is tried besides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wish {
    Nothing,
    /// To read Bert's Secret, volume or template from within a pod.
    Secret,
    Claim,
    ConfigMap,
    /// To act in Bert's name.
    Bert,
    /// To leave a list's beginning out, to the advantage of what comes after something of Bert's.
    Cursor,
    /// To see whatever belongs to Bert.
    Selected,
    /// To see more of it.
    More,
}

impl Wish {
    const ALL: [Self; 8] = [
        Self::Nothing,
        Self::Secret,
        Self::Claim,
        Self::ConfigMap,
        Self::Bert,
        Self::Cursor,
        Self::Selected,
        Self::More,
    ];

    /// Whether it is to get at what is Bert's from within a pod.
    pub(super) fn steals(self) -> bool {
        matches!(self, Self::Secret | Self::Claim | Self::ConfigMap)
    }
}

/// What Ada's and Bert's things are called: workspaces, pods and templates alike; two are names of workspaces' pods.
pub(super) const NAMES: [&str; 7] = ["a1", "a2", "a3", "b1", "b2", "ws-a1", "ws-b1"];

pub(super) fn step() -> impl Strategy<Value = Step> {
    let tools: Vec<&'static str> = catalogue::TOOLS.iter().map(|tool| tool.name).collect();
    let tool = prop_oneof![
        1 => prop::sample::select(tools.clone()),
        // Those that could do something come up more often.
        3 => prop::sample::select(tools.into_iter().filter(|tool| !is_about_the_server(tool)).collect::<Vec<_>>()),
    ];
    let wish = prop_oneof![2 => Just(Wish::Nothing), 3 => prop::sample::select(Wish::ALL.to_vec())];
    let template = prop::sample::select(vec!["default-agent-workspace", "b1", "b2", "a1"]);
    let namespace = prop::sample::select(vec![None, None, None, Some("nogoo9"), Some("default")]);
    (tool, prop::sample::select(NAMES.to_vec()), namespace, template, wish, any::<bool>()).prop_map(
        |(tool, name, namespace, template, wish, pretends)| Step {
            tool,
            name,
            namespace,
            template,
            wish,
            pretends,
        },
    )
}

fn is_about_the_server(tool: &str) -> bool {
    matches!(tool, "current_namespace" | "get_capabilities" | "check_permissions")
}

impl Step {
    pub(super) fn new(tool: &'static str, name: &'static str, wish: Wish) -> Self {
        Self { tool, name, namespace: None, template: "default-agent-workspace", wish, pretends: false }
    }

    /// Whether it would make something that is called as Bert's things are.
    pub(super) fn squats(&self) -> bool {
        self.creates() && self.name.starts_with('b')
    }

    pub(super) fn creates(&self) -> bool {
        matches!(self.tool, "spawn_workspace" | "create_pod" | "create_pod_from_template" | "create_template")
    }

    /// The arguments, in the `game`-th game: Ada's things are called differently in each.
    pub(super) fn arguments(&self, role: Role, game: usize) -> Value {
        let own = |name: &str| if name.contains('a') { format!("{name}-{game}") } else { name.to_owned() };
        let (name, template) = (own(self.name), &self.template.replace("a1", &own("a1")));
        let mut arguments = match self.tool {
            "list_templates"
            | "list_workspaces"
            | "list_namespaces"
            | "list_registry_images"
            | "list_pods" => self.list(&name),
            "current_namespace" | "get_capabilities" | "check_permissions" => json!({}),
            "get_workspace" => json!({"id": name, "includePod": self.wish == Wish::More}),
            "get_workspace_events" | "stop_workspace" => json!({"id": name}),
            "upgrade_workspace" => json!({"id": name, "force": self.wish == Wish::More}),
            "upgrade_all_workspaces" => json!({}),
            "get_template" | "delete_template" | "get_pod" | "get_pod_logs" => json!({"name": name}),
            "delete_pod" => json!({"name": name, "gracePeriodSeconds": 0}),
            "patch_pod" => json!({"name": name, "patch": {"metadata": {"labels": self.labels()}}}),
            "update_template" if self.wish == Wish::More => json!({"name": name, "tag": "new"}),
            "update_template" | "create_template" => {
                json!({"name": name, "spec": self.spec(), "labels": self.labels()})
            }
            "create_pod" => {
                let mut pod = self.spec();
                pod["name"] = json!(name);
                pod["labels"] = self.labels();
                pod
            }
            "create_pod_from_template" => {
                json!({"name": name, "templateRef": template, "topLevelOverrides": self.overrides()})
            }
            "spawn_workspace" if role == Role::Viewer || self.wish == Wish::More => {
                json!({"id": name, "templateRef": template, "topLevelOverrides": self.overrides()})
            }
            "spawn_workspace" => json!({"id": name, "spec": self.spec(), "labels": self.labels()}),
            other => panic!("what could be done to Bert by {other}?"),
        };
        if self.tool == "spawn_workspace" && self.wish == Wish::Bert {
            arguments["userSub"] = json!(BERT);
        }
        if let Some(namespace) = self.namespace
            && !is_about_the_server(self.tool)
            // In another namespace a pod or template may be called as his is; an id is one everywhere.
            && (!self.squats() || self.tool == "spawn_workspace")
            && !matches!(self.tool, "list_namespaces" | "list_registry_images")
        {
            arguments["namespace"] = json!(namespace);
        }
        if self.pretends {
            arguments["jwtPayload"] = json!({"sub": BERT, "realm_access": {"roles": ["admin"]}});
        }
        arguments
    }

    fn list(&self, name: &str) -> Value {
        let list = match self.tool {
            "list_registry_images" => "images",
            tool => tool.trim_start_matches("list_"),
        };
        match (self.wish, self.tool) {
            (Wish::Cursor, _) => json!({"cursor": URL_SAFE_NO_PAD.encode(format!("{list}:{name}"))}),
            (Wish::Selected, "list_pods") => json!({"labelSelector": format!("nogoo9/user-sub={BERT}")}),
            (Wish::Bert, "list_pods") => json!({"fieldSelector": "metadata.name=b1"}),
            (Wish::More, _) => json!({"limit": 1}),
            _ => json!({}),
        }
    }

    fn labels(&self) -> Value {
        match self.wish {
            Wish::Bert => json!({"nogoo9/user-sub": BERT}),
            _ => json!({"example.com/team": "a"}),
        }
    }

    fn spec(&self) -> Value {
        let mut spec = json!({"containers": [{"name": "agent", "image": "i"}]});
        if let Some(volume) = self.volume() {
            spec["volumes"] = json!([volume]);
        }
        spec
    }

    fn overrides(&self) -> Value {
        self.volume().map_or(json!({}), |volume| json!({"volumes": [volume]}))
    }

    fn volume(&self) -> Option<Value> {
        let source = match self.wish {
            Wish::Secret => json!({"secret": {"secretName": SECRET}}),
            Wish::Claim => json!({"persistentVolumeClaim": {"claimName": "b1"}}),
            Wish::ConfigMap => json!({"configMap": {"name": "b2"}}),
            _ => return None,
        };
        let mut volume = source;
        volume["name"] = json!("v");
        Some(volume)
    }
}
