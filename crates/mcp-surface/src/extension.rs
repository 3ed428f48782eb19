//! What another program adds to the server: fixtures that a test suite asks for, say, which the product has no use for.

use std::{convert::Infallible, fmt, future};

use futures::future::BoxFuture;
use rmcp::{
    ErrorData, RoleServer,
    model::{
        CallToolRequestParams, CallToolResponse, CompleteRequestParams, CompleteResult,
        GetPromptRequestParams, GetPromptResponse, Prompt, ReadResourceResponse, Resource, ResourceTemplate,
        ServerCapabilities, SetLevelRequestMethod, SubscriptionFilter, Tool,
    },
    service::{RequestContext, SubscriptionContext},
    task_manager::TaskManager,
};

/// An answer that takes some time.
pub type Answer<'a, T> = BoxFuture<'a, Result<T, ErrorData>>;

/// Adds to what a [`Surface`](crate::Surface) serves, over the same transports and behind the same authentication.
///
/// It is asked when it is known who the caller is, and only of what the product itself has no answer to: what it lists is
/// listed after the product's own, and nothing of the product's can be replaced. Whom it answers is then its own affair:
/// the product's policy and its observer know nothing of its tools. `None` says that it has no answer either.
pub trait Extension: fmt::Debug + Send + Sync + 'static {
    /// Adds to what clients are told that the server can do.
    fn declare(&self, _capabilities: &mut ServerCapabilities) {}

    /// Its tools.
    fn tools(&self) -> Vec<Tool> {
        Vec::new()
    }

    /// Runs one of its tools.
    fn call_tool<'a>(
        &'a self,
        _request: &'a CallToolRequestParams,
        _context: &'a RequestContext<RoleServer>,
    ) -> Option<Answer<'a, CallToolResponse>> {
        None
    }

    /// Its resources, on the last page of the product's.
    fn resources(&self) -> Vec<Resource> {
        Vec::new()
    }

    /// Its kinds of resources.
    fn resource_templates(&self) -> Vec<ResourceTemplate> {
        Vec::new()
    }

    /// Reads one of its resources.
    fn read_resource(&self, _uri: &str) -> Option<ReadResourceResponse> {
        None
    }

    /// Whether sessions may subscribe to a resource, and give it up again.
    fn is_subscribable(&self, _uri: &str) -> bool {
        false
    }

    /// Its prompts.
    fn prompts(&self) -> Vec<Prompt> {
        Vec::new()
    }

    /// Fills in one of its prompts.
    fn get_prompt(
        &self,
        _request: &GetPromptRequestParams,
        _context: &RequestContext<RoleServer>,
    ) -> Option<Result<GetPromptResponse, ErrorData>> {
        None
    }

    /// Completes an argument of its prompts or a part of the URIs of its resources.
    fn complete(&self, _request: &CompleteRequestParams) -> Option<CompleteResult> {
        None
    }

    /// Sets from which level on messages are sent to the client.
    ///
    /// # Errors
    /// By default always: the product sends none.
    #[expect(deprecated, reason = "sessions still have it")]
    fn set_level(
        &self,
        _request: &rmcp::model::SetLevelRequestParams,
        _context: &RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        Err(ErrorData::method_not_found::<SetLevelRequestMethod>())
    }

    /// The tasks that its tools have begun. Whoever knows a task's id has the task.
    fn tasks(&self) -> Option<&TaskManager> {
        None
    }

    /// Adds to what of a client's wishes is granted when it opens a stream of changes.
    fn accept(&self, _requested: &SubscriptionFilter, _accepted: &mut SubscriptionFilter) {}

    /// Tells the client behind such a stream of changes. It is dropped when the stream ends.
    fn listen<'a>(&'a self, _context: &'a SubscriptionContext) -> BoxFuture<'a, Infallible> {
        Box::pin(future::pending())
    }
}

/// Adds nothing.
#[derive(Debug)]
pub(crate) struct Nothing;

impl Extension for Nothing {}
