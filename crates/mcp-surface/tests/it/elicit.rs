//! Questions to users, in both eras of the protocol.

use nocrd_devcluster::kind::Kind;
use nocrd_mcp_surface::Options;
use nocrd_model::{Caller, Role};
use rmcp::{
    ClientHandler, ErrorData, RoleClient, ServiceExt,
    model::{
        CallToolRequestParams, CallToolResponse, CallToolResult, ClientCapabilities, ClientConfig,
        ElicitRequestParams, ElicitResult, ElicitationAction, ElicitationCapability, Implementation,
        ProtocolVersion,
    },
    service::{ClientLifecycleMode, RequestContext, RunningService, serve_client_with_lifecycle},
};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};

use crate::{
    dev::DevWorld,
    world::{connect, until},
};

/// What a user does with a question.
#[derive(Debug, Clone)]
enum Does {
    FillsIn(Value),
    Declines,
    Cancels,
    /// The client shows no forms.
    IsNotAsked,
}

/// A message and the names of the fields.
type Asked = (String, Vec<String>);

#[derive(Clone)]
struct User {
    does: Does,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl ClientHandler for User {
    fn get_info(&self) -> ClientConfig {
        let mut capabilities = ClientCapabilities::default();
        if !matches!(self.does, Does::IsNotAsked) {
            capabilities.elicitation = Some(ElicitationCapability::default());
        }
        ClientConfig::new(capabilities, Implementation::new("test", "1"))
    }

    async fn create_elicitation(
        &self,
        request: ElicitRequestParams,
        _context: RequestContext<RoleClient>,
    ) -> Result<ElicitResult, ErrorData> {
        let ElicitRequestParams::FormElicitationParams { message, requested_schema, .. } = request else {
            panic!("no form");
        };
        let fields = requested_schema.properties.keys().cloned().collect();
        self.asked.lock().unwrap().push((message, fields));
        Ok(match &self.does {
            Does::FillsIn(content) => {
                ElicitResult::new(ElicitationAction::Accept).with_content(content.clone())
            }
            Does::Declines => ElicitResult::new(ElicitationAction::Decline),
            Does::Cancels => ElicitResult::new(ElicitationAction::Cancel),
            Does::IsNotAsked => panic!("it was said that there are no forms"),
        })
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Era {
    Sessions,
    Stateless,
}

pub(crate) const ERAS: [Era; 2] = [Era::Sessions, Era::Stateless];

async fn client(world: &DevWorld, era: Era, does: Does) -> RunningService<RoleClient, User> {
    serve(world, era, User { does, asked: Arc::default() }).await
}

/// Connects a client as ada.
pub(crate) async fn serve<C: ClientHandler>(
    world: &DevWorld,
    era: Era,
    user: C,
) -> RunningService<RoleClient, C> {
    let stream = connect(&world.surface, Caller::verified("ada".into(), Role::User));
    match era {
        Era::Sessions => user.serve(stream).await.unwrap(),
        Era::Stateless => {
            let preferred_versions = vec![ProtocolVersion::V_2026_07_28];
            let lifecycle = ClientLifecycleMode::Discover { preferred_versions };
            serve_client_with_lifecycle(user, stream, lifecycle).await.unwrap()
        }
    }
}

pub(crate) fn params(tool: &str, arguments: &Value) -> CallToolRequestParams {
    let mut params = CallToolRequestParams::new(tool.to_owned());
    params.arguments = arguments.as_object().cloned();
    params
}

async fn call(client: &RunningService<RoleClient, User>, tool: &str, arguments: Value) -> CallToolResult {
    client.call_tool(params(tool, &arguments)).await.unwrap()
}

pub(crate) fn error_id(result: &CallToolResult) -> String {
    let id = result.structured_content.as_ref().and_then(|content| content["error"]["id"].as_str());
    id.unwrap_or("none").to_owned()
}

fn pod(name: &str) -> Value {
    json!({"name": name, "containers": [{"name": "a", "image": "busybox"}]})
}

#[tokio::test]
async fn t64_what_destroys_is_done_when_the_user_agrees() {
    let options = Options { confirm_destructive: true, ..Options::default() };
    let world = DevWorld::with(Default::default(), options, |_| {}).await;
    for era in ERAS {
        for (does, id) in [
            (Does::IsNotAsked, "NCR0106"),
            (Does::Declines, "NCR0105"),
            (Does::Cancels, "NCR0105"),
            (Does::FillsIn(json!({"confirm": false})), "NCR0105"),
            (Does::FillsIn(json!({})), "NCR0105"),
            (Does::FillsIn(json!({"confirm": "true"})), "NCR0105"),
            (Does::FillsIn(json!({"confirm": true})), "none"),
        ] {
            let ada = client(&world, era, does.clone()).await;
            // What only adds is not asked about.
            if world.object(Kind::Pod, "p") == Value::Null {
                assert_eq!(error_id(&call(&ada, "create_pod", pod("p")).await), "none");
            }
            let arguments = json!({"name": "p", "gracePeriodSeconds": 0});
            let result = call(&ada, "delete_pod", arguments).await;
            assert_eq!(error_id(&result), id, "{era:?} {does:?}: {result:?}");
            let is_there = world.object(Kind::Pod, "p") != Value::Null;
            assert_eq!(is_there, id != "none", "{era:?} {does:?}");
            let asked = ada.service().asked.lock().unwrap().clone();
            if matches!(does, Does::IsNotAsked) {
                assert!(asked.is_empty());
            } else {
                assert_eq!(
                    asked,
                    [("Delete a pod: name \"p\". Really?".to_owned(), vec!["confirm".to_owned()])]
                );
            }
        }
        until("it is gone", || world.cluster.pods().is_empty()).await;
    }
    world.stop().await;
}

#[tokio::test]
async fn t61_a_question_is_answered_for_the_call_it_was_asked_for() {
    let options = Options { confirm_destructive: true, ..Options::default() };
    let world = DevWorld::with(Default::default(), options, |_| {}).await;
    let ada = client(&world, Era::Stateless, Does::FillsIn(json!({"confirm": true}))).await;
    for name in ["p", "q"] {
        assert_eq!(error_id(&call(&ada, "create_pod", pod(name)).await), "none");
    }
    let CallToolResponse::InputRequired(question) =
        ada.call_tool_once(params("delete_pod", &json!({"name": "p"}))).await.unwrap()
    else {
        panic!("no question");
    };
    let state = question.request_state.unwrap();
    assert!(!state.contains("ada") && question.input_requests.unwrap().contains_key("confirm"));
    let answer = json!({"action": "accept", "content": {"confirm": true}});
    let retry = async |name: &str, state: &str| {
        let params = params("delete_pod", &json!({"name": name}))
            .with_input_responses([("confirm".to_owned(), answer.clone())].into())
            .with_request_state(state);
        ada.call_tool_once(params).await
    };
    for (name, state) in [("q", state.as_str()), ("p", "forged"), ("p", "")] {
        let error = retry(name, state).await.unwrap_err().to_string();
        assert!(error.contains("-32602"), "{name}: {error}");
    }
    assert_eq!(world.objects(Kind::Pod).len(), 2);
    assert!(
        matches!(retry("p", &state).await.unwrap(), CallToolResponse::Complete(result) if result.is_error != Some(true))
    );
    world.stop().await;
}

#[tokio::test]
async fn missing_context_is_asked_for_unless_it_is_secret() {
    let world = DevWorld::new().await;
    let template = |name: &str, plain: &str| {
        world.create(Kind::ConfigMap, &json!({"apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": name, "namespace": "nogoo9", "labels": {"nogoo9/pod-template": "true"},
                "annotations": {"nogoo9/required-context": "REPO,BRANCH,TOKEN", "nogoo9/plain-context": plain}},
            "data": {"spec": "containers: [{name: agent, image: busybox}]"}}));
    };
    template("open", "REPO, BRANCH");
    template("all-open", "REPO,BRANCH,TOKEN");
    until("the templates are known", || world.cluster.template_config_maps().len() == 2).await;
    let filled = json!({"REPO": "r", "BRANCH": "main", "TOKEN": "evil", "OTHER": "evil"});
    for (n, era) in ERAS.into_iter().enumerate() {
        let spawn = async |does: Does, id: &str, template: &str, context: Value| {
            let ada = client(&world, era, does).await;
            let arguments = json!({"id": id, "templateRef": template, "context": context});
            let result = call(&ada, "spawn_workspace", arguments).await;
            let asked = ada.service().asked.lock().unwrap().clone();
            (error_id(&result), asked.into_iter().flat_map(|(_, fields)| fields).collect::<Vec<_>>())
        };
        let fills_in = Does::FillsIn(filled.clone());
        // A secret is among what lacks: no form.
        assert_eq!(spawn(fills_in.clone(), "w", "open", json!({})).await, ("NCR0208".into(), vec![]));
        for (does, id) in [(Does::Declines, "NCR0105"), (Does::IsNotAsked, "NCR0208")] {
            assert_eq!(spawn(does, "w", "open", json!({"TOKEN": "t"})).await.0, id, "{era:?}");
        }
        let half = Does::FillsIn(json!({"REPO": "r"}));
        assert_eq!(spawn(half, "w", "open", json!({"TOKEN": "t"})).await.0, "NCR0208");
        let given = spawn(fills_in, &format!("w{n}"), "open", json!({"TOKEN": "t"})).await;
        assert_eq!(given, ("none".into(), vec!["BRANCH".into(), "REPO".into()]));
        let secret = world.object(Kind::Secret, &format!("ws-w{n}-context"));
        // What was not asked for does not count.
        assert_eq!(secret["data"], json!({"BRANCH": "bWFpbg==", "REPO": "cg==", "TOKEN": "dA=="}));
        let ada = client(&world, era, Does::FillsIn(filled.clone())).await;
        let arguments = json!({"name": format!("p{n}"), "templateRef": "all-open"});
        assert_eq!(error_id(&call(&ada, "create_pod_from_template", arguments).await), "none");
    }
    world.stop().await;
}
