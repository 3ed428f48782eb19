//! What the suite's scenarios ask for by name. The descriptions of the scenarios say what each must do and answer.
//!
//! | module | what lives there |
//! |---|---|
//! | `content` | tools that only answer |
//! | `session` | tools that talk with the client while they run, which ended with 2026-07-28 |
//! | `rounds` | tools and a prompt that ask for input and are called again with it, which began with 2026-07-28 |
//! | `stateless` | other tools for 2026-07-28: abilities of clients, headers, messages, changes |
//! | `tasks` | tools that go on when their call is answered |
//! | `prompts`, `resources` | prompts and resources |

mod content;
mod prompts;
mod resources;
mod rounds;
mod session;
mod state;
mod stateless;
mod tasks;

use std::{convert::Infallible, fmt, sync::Mutex};

use futures::future::BoxFuture;
use nocrd_mcp_surface::extension::{Answer, Extension};
use rmcp::{
    ErrorData, RoleServer,
    model::{
        CallToolRequestParams, CallToolResponse, CallToolResult, CompleteRequestParams, CompleteResult,
        ContentBlock, GetPromptRequestParams, GetPromptResponse, JsonObject, Prompt, ReadResourceResponse,
        Resource, ResourceTemplate, ServerCapabilities, SubscriptionFilter, TASKS_EXTENSION_ID, Tool,
    },
    service::{RequestContext, SubscriptionContext},
    task_manager::TaskManager,
};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::broadcast;

use state::States;

/// The fixtures, and what they remember.
pub(crate) struct Fixtures {
    /// From which level on messages are sent. There is one for all sessions: the suite has them one after the other.
    threshold: Mutex<session::Threshold>,
    changes: broadcast::Sender<Change>,
    states: States,
    tasks: TaskManager,
}

/// A list that pretends to have changed.
#[derive(Debug, Clone, Copy)]
enum Change {
    Tools,
    Prompts,
}

/// A tool.
struct Fixture {
    name: &'static str,
    description: &'static str,
    /// Its arguments, as a schema.
    input: fn() -> Value,
    run: for<'a> fn(Call<'a>) -> Answer<'a, CallToolResponse>,
}

/// A call of a tool.
#[derive(Clone, Copy)]
struct Call<'a> {
    fixtures: &'a Fixtures,
    request: &'a CallToolRequestParams,
    context: &'a RequestContext<RoleServer>,
}

/// All tools.
fn all() -> impl Iterator<Item = &'static Fixture> {
    [content::TOOLS, session::TOOLS, rounds::TOOLS, stateless::TOOLS, tasks::TOOLS].into_iter().flatten()
}

impl Fixtures {
    /// # Errors
    /// When the key for states can't be used.
    pub(crate) fn new() -> Result<Self, rmcp::model::RequestStateError> {
        Ok(Self {
            threshold: Mutex::default(),
            changes: broadcast::Sender::new(16),
            states: States::new()?,
            tasks: TaskManager::new(),
        })
    }
}

impl fmt::Debug for Fixtures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fixtures").finish_non_exhaustive()
    }
}

impl Extension for Fixtures {
    fn declare(&self, capabilities: &mut ServerCapabilities) {
        capabilities.logging = Some(JsonObject::new());
        let extensions = capabilities.extensions.get_or_insert_default();
        extensions.insert(TASKS_EXTENSION_ID.to_owned(), JsonObject::new());
        if let Some(prompts) = &mut capabilities.prompts {
            prompts.list_changed = Some(true);
        }
    }

    fn tools(&self) -> Vec<Tool> {
        all().filter_map(Fixture::listed).collect()
    }

    fn call_tool<'a>(
        &'a self,
        request: &'a CallToolRequestParams,
        context: &'a RequestContext<RoleServer>,
    ) -> Option<Answer<'a, CallToolResponse>> {
        let fixture = all().find(|fixture| fixture.name == request.name)?;
        Some((fixture.run)(Call { fixtures: self, request, context }))
    }

    fn resources(&self) -> Vec<Resource> {
        resources::list()
    }

    fn resource_templates(&self) -> Vec<ResourceTemplate> {
        resources::templates()
    }

    fn read_resource(&self, uri: &str) -> Option<ReadResourceResponse> {
        resources::read(uri)
    }

    fn is_subscribable(&self, uri: &str) -> bool {
        uri == resources::WATCHED
    }

    fn prompts(&self) -> Vec<Prompt> {
        prompts::list()
    }

    fn get_prompt(
        &self,
        request: &GetPromptRequestParams,
        _context: &RequestContext<RoleServer>,
    ) -> Option<Result<GetPromptResponse, ErrorData>> {
        prompts::get(request)
    }

    fn complete(&self, request: &CompleteRequestParams) -> Option<CompleteResult> {
        prompts::complete(request)
    }

    #[expect(deprecated, reason = "sessions still have it")]
    fn set_level(
        &self,
        request: &rmcp::model::SetLevelRequestParams,
        context: &RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        session::set_level(self, request, context)
    }

    fn tasks(&self) -> Option<&TaskManager> {
        Some(&self.tasks)
    }

    fn accept(&self, requested: &SubscriptionFilter, accepted: &mut SubscriptionFilter) {
        accepted.prompts_list_changed = requested.prompts_list_changed;
    }

    fn listen<'a>(&'a self, context: &'a SubscriptionContext) -> BoxFuture<'a, Infallible> {
        Box::pin(stateless::tell_changes(self.changes.subscribe(), context))
    }
}

impl Fixture {
    fn listed(&self) -> Option<Tool> {
        let Value::Object(input) = (self.input)() else { return None };
        Some(Tool::new(self.name, self.description, input))
    }
}

impl<'a> Call<'a> {
    /// An argument that is text; missing ones are empty.
    fn argument(self, name: &str) -> &'a str {
        let arguments = self.request.arguments.as_ref();
        arguments.and_then(|arguments| arguments.get(name)?.as_str()).unwrap_or_default()
    }
}

/// Whether a request is of a version of the protocol with sessions.
fn has_session(context: &RequestContext<RoleServer>) -> bool {
    context.protocol_version().is_some_and(|version| version.has_initialize())
}

/// What such a tool answers.
fn text(text: impl Into<String>) -> CallToolResponse {
    CallToolResult::success(vec![ContentBlock::text(text)]).into()
}

/// Reads a part of the protocol that is easier to read as JSON.
fn from_json<T: DeserializeOwned>(json: Value) -> Result<T, ErrorData> {
    serde_json::from_value(json).map_err(|error| ErrorData::internal_error(error.to_string(), None))
}
