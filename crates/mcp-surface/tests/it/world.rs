//! A server over a scripted cluster, and a client that checks every reply as the strictest official SDK does.

use std::{collections::BTreeMap, time::Duration};

use nocrd_cluster::{Cluster, Config, Scope};
use nocrd_mcp_surface::{Options, Surface};
use nocrd_model::{Caller, Namespace};
use nocrd_spawner::Spawner;
use rmcp::{
    ClientHandler, ErrorData, RoleClient, ServiceError, ServiceExt,
    model::{
        CallToolRequest, CallToolRequestParams, ClientRequest, ProgressNotificationParam, ProtocolVersion,
        ReadResourceRequestParams, ResourceContents, ResourceUpdatedNotificationParam,
    },
    service::{
        ClientLifecycleMode, NotificationContext, PeerRequestOptions, RequestHandle, RunningService,
        serve_client_with_lifecycle,
    },
};
use serde_json::Value;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::api::Api;

/// Long enough never to be the reason of a failure.
const PATIENCE: Duration = Duration::from_secs(600);

pub(crate) struct World {
    pub(crate) api: Api,
    pub(crate) cluster: Cluster,
    pub(crate) surface: Surface,
}

impl AsRef<Surface> for World {
    fn as_ref(&self) -> &Surface {
        &self.surface
    }
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(Api::default(), Options::default()).await
    }

    /// Over an API server that is prepared, or down.
    pub(crate) async fn with(api: Api, options: Options) -> Self {
        Self::within(api, options, None).await
    }

    /// Likewise, and the server keeps to some namespaces besides the default one.
    pub(crate) async fn within(api: Api, options: Options, allowed: Option<&[&str]>) -> Self {
        let mut config = Config::new(Scope::Cluster, Namespace::parse("nogoo9").unwrap());
        config.allowed_namespaces =
            allowed.map(|names| names.iter().map(|name| Namespace::parse(name).unwrap()).collect());
        let cluster = Cluster::start(api.client(), config).await.unwrap();
        let surface =
            Surface::new(Spawner::new(cluster.clone(), Default::default(), Default::default()), options);
        Self { api, cluster, surface }
    }

    /// Waits until what the API server has is known.
    pub(crate) async fn synced(self) -> Self {
        self.cluster.synced().await;
        self
    }

    pub(crate) async fn client(&self) -> Client {
        self.client_of(Caller::local()).await
    }

    pub(crate) async fn client_of(&self, caller: Caller) -> Client {
        client_over(connect(&self.surface, caller)).await
    }

    /// A client that speaks 2026-07-28.
    pub(crate) async fn modern_client_of(&self, caller: Caller) -> Client {
        let (ears, heard) = Client::ears();
        let lifecycle =
            ClientLifecycleMode::Discover { preferred_versions: vec![ProtocolVersion::V_2026_07_28] };
        let mcp = serve_client_with_lifecycle(ears, connect(&self.surface, caller), lifecycle).await.unwrap();
        Client::of(mcp, heard).await
    }
}

/// The client's end of a connection to the server.
pub(crate) fn connect(surface: &Surface, caller: Caller) -> tokio::io::DuplexStream {
    let (ours, theirs) = tokio::io::duplex(1 << 20);
    let (input, output) = tokio::io::split(theirs);
    let serving =
        nocrd_mcp_surface::serve_io(surface.clone(), caller, input, output, CancellationToken::new());
    tokio::spawn(serving);
    ours
}

/// A client at that end.
pub(crate) async fn client_over(stream: tokio::io::DuplexStream) -> Client {
    let (ears, heard) = Client::ears();
    Client::of(ears.serve(stream).await.unwrap(), heard).await
}

/// What the client hears besides answers.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Heard {
    Progress(f64, String),
    ToolsChanged,
    ResourcesChanged,
    Updated(String),
}

pub(crate) struct Ears {
    of_tools: mpsc::UnboundedSender<Heard>,
    of_resources: mpsc::UnboundedSender<Heard>,
}

/// What the ears have heard.
pub(crate) struct HeardSoFar {
    of_tools: mpsc::UnboundedReceiver<Heard>,
    of_resources: mpsc::UnboundedReceiver<Heard>,
}

impl ClientHandler for Ears {
    async fn on_progress(&self, note: ProgressNotificationParam, _context: NotificationContext<RoleClient>) {
        let _ = self.of_tools.send(Heard::Progress(note.progress, note.message.unwrap_or_default()));
    }

    async fn on_tool_list_changed(&self, _context: NotificationContext<RoleClient>) {
        let _ = self.of_tools.send(Heard::ToolsChanged);
    }

    async fn on_resource_list_changed(&self, _context: NotificationContext<RoleClient>) {
        let _ = self.of_resources.send(Heard::ResourcesChanged);
    }

    async fn on_resource_updated(
        &self,
        note: ResourceUpdatedNotificationParam,
        _context: NotificationContext<RoleClient>,
    ) {
        let _ = self.of_resources.send(Heard::Updated(note.uri));
    }
}

pub(crate) struct Client {
    pub(crate) mcp: RunningService<RoleClient, Ears>,
    pub(crate) heard: mpsc::UnboundedReceiver<Heard>,
    pub(crate) resources: mpsc::UnboundedReceiver<Heard>,
    schemas: BTreeMap<String, jsonschema::Validator>,
}

/// A tool's result.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) failed: bool,
    pub(crate) text: String,
    pub(crate) structured: Value,
}

impl Reply {
    /// The id of the error, or why there is none.
    pub(crate) fn error_id(&self) -> String {
        self.structured["error"]["id"]
            .as_str()
            .map_or_else(|| format!("no error: {}", self.text), str::to_owned)
    }
}

impl Client {
    pub(crate) fn ears() -> (Ears, HeardSoFar) {
        let (of_tools, tools) = mpsc::unbounded_channel();
        let (of_resources, resources) = mpsc::unbounded_channel();
        (Ears { of_tools, of_resources }, HeardSoFar { of_tools: tools, of_resources: resources })
    }

    /// Reads the tools' schemas, as clients do before their first call.
    pub(crate) async fn of(mcp: RunningService<RoleClient, Ears>, heard: HeardSoFar) -> Self {
        let mut schemas = BTreeMap::new();
        for tool in mcp.list_all_tools().await.unwrap() {
            let schema = Value::Object((*tool.output_schema.unwrap()).clone());
            schemas.insert(tool.name.to_string(), jsonschema::draft202012::new(&schema).unwrap());
        }
        Self { mcp, heard: heard.of_tools, resources: heard.of_resources, schemas }
    }

    pub(crate) fn tools(&self) -> Vec<&str> {
        self.schemas.keys().map(String::as_str).collect()
    }

    /// Calls a tool. Its reply must fit the output schema, be it an error.
    pub(crate) async fn call(&self, tool: &str, arguments: Value) -> Reply {
        self.try_call(tool, arguments).await.unwrap()
    }

    pub(crate) async fn try_call(&self, tool: &str, arguments: Value) -> Result<Reply, ServiceError> {
        let mut params = CallToolRequestParams::new(tool.to_owned());
        params.arguments = arguments.as_object().cloned();
        let result = tokio::time::timeout(PATIENCE, self.mcp.call_tool(params)).await.expect("an answer")?;
        let reply = Reply {
            failed: result.is_error == Some(true),
            text: result.content.iter().filter_map(|block| Some(block.as_text()?.text.clone())).collect(),
            structured: result.structured_content.expect("structured content"),
        };
        if let Some(schema) = self.schemas.get(tool) {
            let problems: Vec<String> =
                schema.iter_errors(&reply.structured).map(|e| e.to_string()).collect();
            assert!(problems.is_empty(), "{tool}: {problems:?} in {}", reply.structured);
        }
        assert_eq!(reply.failed, reply.structured.get("error").is_some(), "{reply:?}");
        assert!(!reply.text.is_empty());
        Ok(reply)
    }

    /// Calls a tool, and does not wait for the reply.
    pub(crate) async fn begin(&self, tool: &'static str, arguments: Value) -> RequestHandle<RoleClient> {
        let mut params = CallToolRequestParams::new(tool);
        params.arguments = arguments.as_object().cloned();
        let request = ClientRequest::CallToolRequest(CallToolRequest::new(params));
        self.mcp.send_cancellable_request(request, PeerRequestOptions::no_options()).await.unwrap()
    }

    /// The URIs of all resources.
    pub(crate) async fn uris(&self) -> Vec<String> {
        self.mcp.list_all_resources().await.unwrap().into_iter().map(|resource| resource.uri).collect()
    }

    /// A resource's text.
    pub(crate) async fn read(&self, uri: &str) -> Result<String, ErrorData> {
        let read = self.mcp.read_resource(ReadResourceRequestParams::new(uri)).await.map_err(refusal)?;
        match read.contents.as_slice() {
            [ResourceContents::TextResourceContents { uri: read, text, .. }] if read == uri => {
                Ok(text.clone())
            }
            other => panic!("{other:?}"),
        }
    }

    /// The next thing the client hears.
    pub(crate) async fn hears(&mut self) -> Heard {
        tokio::time::timeout(PATIENCE, self.heard.recv()).await.expect("a notification").unwrap()
    }
}

/// The protocol's error in one of the client's.
pub(crate) fn refusal(error: ServiceError) -> ErrorData {
    match error {
        ServiceError::McpError(error) => error,
        other => panic!("{other}"),
    }
}

/// Waits until `condition` holds.
pub(crate) async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let waiting = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("never happened: {what}"));
}
