//! What another program adds.

use std::{
    fmt,
    future::ready,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use nocrd_mcp_surface::{
    HttpOptions, Options,
    extension::{Answer, Extension},
};
use reqwest::StatusCode;
use rmcp::{
    ErrorData, RoleServer,
    model::{
        CallToolRequestParams, CallToolResponse, CallToolResult, CompleteRequestParams, CompleteResult,
        ContentBlock, GetPromptRequestParams, GetPromptResponse, GetPromptResult, JsonObject,
        ReadResourceResponse, ReadResourceResult, ResourceContents, ServerCapabilities, TASKS_EXTENSION_ID,
        Tool,
    },
    service::RequestContext,
    task_manager::TaskManager,
};
use serde_json::{Value, json};

use crate::{
    api::Api,
    http::{Server, call, initialize, json_of},
    world::World,
};

/// Has an answer to everything, and counts what it is asked.
#[derive(Debug, Default)]
struct Greedy {
    asked: AtomicUsize,
    tasks: Tasks,
}

/// No task.
#[derive(Default)]
struct Tasks(TaskManager);

impl fmt::Debug for Tasks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tasks")
    }
}

impl Greedy {
    fn count(&self) {
        self.asked.fetch_add(1, Ordering::SeqCst);
    }
}

impl Extension for Greedy {
    fn tools(&self) -> Vec<Tool> {
        self.count();
        vec![Tool::new("added", "Is added.", JsonObject::new())]
    }

    fn call_tool<'a>(
        &'a self,
        _request: &'a CallToolRequestParams,
        _context: &'a RequestContext<RoleServer>,
    ) -> Option<Answer<'a, CallToolResponse>> {
        self.count();
        Some(Box::pin(ready(Ok(CallToolResult::success(vec![ContentBlock::text("greedy")]).into()))))
    }

    fn read_resource(&self, uri: &str) -> Option<ReadResourceResponse> {
        self.count();
        Some(ReadResourceResult::new(vec![ResourceContents::text("greedy", uri)]).into())
    }

    fn is_subscribable(&self, _uri: &str) -> bool {
        self.count();
        true
    }

    fn get_prompt(
        &self,
        _request: &GetPromptRequestParams,
        _context: &RequestContext<RoleServer>,
    ) -> Option<Result<GetPromptResponse, ErrorData>> {
        self.count();
        Some(Ok(GetPromptResult::new(vec![]).with_description("greedy").into()))
    }

    fn complete(&self, _request: &CompleteRequestParams) -> Option<CompleteResult> {
        self.count();
        Some(CompleteResult::default())
    }

    #[expect(deprecated, reason = "sessions still have it")]
    fn set_level(
        &self,
        _request: &rmcp::model::SetLevelRequestParams,
        _context: &RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.count();
        Ok(())
    }

    fn tasks(&self) -> Option<&TaskManager> {
        self.count();
        Some(&self.tasks.0)
    }

    fn declare(&self, capabilities: &mut ServerCapabilities) {
        capabilities.logging = Some(JsonObject::new());
        capabilities.extensions = Some([(TASKS_EXTENSION_ID.to_owned(), JsonObject::new())].into());
    }
}

async fn server(extension: &Arc<Greedy>) -> Server {
    let extension: Arc<dyn Extension> = Arc::<Greedy>::clone(extension);
    let options = Options { auth_enabled: true, extension: Some(extension), ..Options::default() };
    Server::over(World::with(Api::default(), options).await.synced().await, HttpOptions::default()).await
}

fn request(method: &str, params: Value) -> Value {
    json!({"jsonrpc": "2.0", "id": 3, "method": method, "params": params})
}

/// One of each request that an extension may have an answer to.
fn requests(tool: &str, prompt: &str, uri: &str) -> Vec<Value> {
    let completed =
        json!({"ref": {"type": "ref/prompt", "name": prompt}, "argument": {"name": "task", "value": ""}});
    vec![
        request("tools/list", json!({})),
        call(3, tool, json!({})),
        request("resources/list", json!({})),
        request("resources/templates/list", json!({})),
        request("resources/read", json!({"uri": uri})),
        request("resources/subscribe", json!({"uri": uri})),
        request("resources/unsubscribe", json!({"uri": uri})),
        request("prompts/list", json!({})),
        request("prompts/get", json!({"name": prompt, "arguments": {"task": "t"}})),
        request("completion/complete", completed),
        request("logging/setLevel", json!({"level": "info"})),
    ]
}

fn requests_about_tasks() -> [Value; 3] {
    [
        request("tasks/get", json!({"taskId": "t"})),
        request("tasks/update", json!({"taskId": "t", "inputResponses": {}})),
        request("tasks/cancel", json!({"taskId": "t"})),
    ]
}

/// What a session with or without a user answers to a request.
async fn answer(server: &Server, user: Option<&str>, session: &str, message: &Value) -> Value {
    let mut post = server.post(message).header("mcp-session-id", session);
    post = user.into_iter().fold(post, |post, user| post.header("x-test-user", user));
    let response = post.send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK, "{message}");
    json_of(response).await
}

async fn session(server: &Server, user: Option<&str>) -> String {
    let mut hello = initialize("2025-11-25");
    hello["params"]["capabilities"]["extensions"][TASKS_EXTENSION_ID] = json!({});
    let mut post = server.post(&hello);
    post = user.into_iter().fold(post, |post, user| post.header("x-test-user", user));
    post.send().await.unwrap().headers()["mcp-session-id"].to_str().unwrap().to_owned()
}

/// What is wrong with a call is not that there is no such method.
#[tokio::test]
async fn parameters_of_another_form_are_told_from_methods_that_are_not_there() {
    let server = server(&Arc::new(Greedy::default())).await;
    let alice = session(&server, Some("alice")).await;
    for (method, params, code) in [
        ("tools/call", json!({"name": "list_pods", "arguments": [1]}), -32602),
        ("tools/call", json!({"name": "list_pods", "arguments": "x"}), -32602),
        ("tools/call", json!({}), -32602),
        ("prompts/get", json!({}), -32602),
        ("resources/read", json!({"uri": 1}), -32602),
        ("completion/complete", json!({"ref": {"type": "ref/prompt", "name": "x"}}), -32602),
        ("no/such", json!({}), -32601),
    ] {
        let message = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        let refused = answer(&server, Some("alice"), &alice, &message).await;
        assert_eq!(refused["error"]["code"], code, "{message}: {refused}");
        assert!(refused["error"]["message"].as_str().unwrap().contains(method), "{refused}");
    }
}

#[tokio::test]
async fn t50_an_extension_is_asked_only_when_the_caller_is_known() {
    let greedy = Arc::new(Greedy::default());
    let server = server(&greedy).await;
    let (nobody, alice) = (session(&server, None).await, session(&server, Some("alice")).await);
    for message in requests("added", "added", "test://added").into_iter().chain(requests_about_tasks()) {
        let refused = answer(&server, None, &nobody, &message).await;
        assert_eq!(refused["error"]["code"], -32600, "{message}: {refused}");
    }
    assert_eq!(greedy.asked.load(Ordering::SeqCst), 0);
    for message in requests("added", "added", "test://added") {
        let answered = answer(&server, Some("alice"), &alice, &message).await;
        assert!(answered["result"].is_object(), "{message}: {answered}");
    }
    for message in requests_about_tasks() {
        let unknown = answer(&server, Some("alice"), &alice, &message).await;
        assert_eq!(unknown["error"]["code"], -32602, "{message}: {unknown}");
    }
    assert!(greedy.asked.load(Ordering::SeqCst) >= 11);
}

#[tokio::test]
async fn t50_an_extension_replaces_nothing() {
    let greedy = Arc::new(Greedy::default());
    let server = server(&greedy).await;
    let alice = session(&server, Some("alice")).await;
    let template = "pod-template://nogoo9/default-agent-workspace";
    for message in requests("current_namespace", "spawn-workspace", template) {
        let answered = answer(&server, Some("alice"), &alice, &message).await;
        assert!(!answered.to_string().contains("greedy"), "{message}: {answered}");
        assert!(answered["result"].is_object(), "{message}: {answered}");
    }
    let tools = answer(&server, Some("alice"), &alice, &request("tools/list", json!({}))).await;
    let mut names = tools["result"]["tools"].as_array().unwrap().iter().map(|tool| &tool["name"]);
    assert_eq!(names.next_back(), Some(&json!("added")), "{tools}");
}
