//! The protocol's methods.

use nocrd_model::Caller;
use rmcp::{
    ErrorData, RoleServer, ServerHandler,
    model::{
        CacheScope, CallToolRequestParams, CallToolResponse, CancelTaskParams, CompleteRequestParams,
        CompleteResult, CustomRequest, CustomResult, ErrorCode, GetPromptRequestParams, GetPromptResponse,
        GetTaskParams, GetTaskResult, Implementation, InitializeRequestParams, InitializeResult,
        ListPromptsResult, ListResourceTemplatesResult, ListResourcesResult, ListToolsResult,
        PaginatedRequestParams, ReadResourceRequestParams, ReadResourceResponse, ServerCapabilities,
        ServerConfig, SubscribeRequestParams, SubscriptionFilter, Tool, UnsubscribeRequestParams,
        UpdateTaskParams,
    },
    service::{RequestContext, SubscriptionContext},
};
use tracing::{Instrument, debug_span};

use crate::{
    Error, Surface,
    arguments::suggest,
    catalogue::{self, Entry},
    completions,
    instructions::INSTRUCTIONS,
    prompts,
    reader::Reader,
    report::Reporting,
    resources, respond,
    subscriptions::listen,
    tasks,
};

impl ServerHandler for Surface {
    fn get_info(&self) -> ServerConfig {
        let mut capabilities = ServerCapabilities::builder()
            .enable_completions()
            .enable_prompts()
            .enable_resources()
            .enable_resources_list_changed()
            .enable_resources_subscribe()
            .enable_tools()
            .enable_tool_list_changed()
            .enable_tasks()
            .build();
        self.extension().declare(&mut capabilities);
        let server = Implementation::new("nogoo9", self.options().version.clone())
            .with_title("no-crd workspaces")
            .with_website_url(env!("CARGO_PKG_REPOSITORY"));
        ServerConfig::new(capabilities).with_server_info(server).with_instructions(INSTRUCTIONS)
    }

    async fn initialize(
        &self,
        request: InitializeRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<InitializeResult, ErrorData> {
        context.peer.set_peer_info(request.clone());
        if let Ok(caller) = self.identify(http_extensions(&context)) {
            self.session().begin(self.detached(), caller, context.peer.clone());
        }
        self.negotiate_initialize(&request)
    }

    async fn ping(&self, context: RequestContext<RoleServer>) -> Result<(), ErrorData> {
        // It is for everybody, and says that the client is there.
        let _ = self.known(&context);
        Ok(())
    }

    async fn list_tools(
        &self,
        _request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let caller = self.known(&context)?;
        let permissions = self.spawner().cluster().permissions();
        let tools = catalogue::listed()
            .iter()
            .filter(|listed| listed.entry.missing(&permissions).is_empty())
            .filter(|listed| self.check(&caller, listed.entry).is_ok())
            .map(|listed| listed.tool.clone())
            .chain(self.extension().tools())
            .collect();
        let mut result = ListToolsResult::with_all_items(tools);
        // What is listed depends on who asks and on what the server may do: no shared cache may keep it.
        result.cache_scope = Some(CacheScope::Private);
        Ok(result)
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        let listed = catalogue::find(name).map(|listed| listed.tool.clone());
        listed.or_else(|| self.extension().tools().into_iter().find(|tool| tool.name == name))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let Some(listed) = catalogue::find(&request.name) else {
            self.known(&context)?;
            return match self.extension().call_tool(&request, &context) {
                Some(answer) => answer.await,
                None => Err(unknown_tool(&request.name)),
            };
        };
        let span = debug_span!("tool", mcp.tool = listed.entry.name);
        let brought = http_extensions(&context);
        let reporting = Reporting::begin(
            self.options().observer.clone(),
            listed.entry,
            self.identify(brought).ok(),
            brought,
            &request.arguments,
        );
        let answer = self.call(listed, request, &context).instrument(span).await;
        reporting.answer(&answer);
        answer
    }

    async fn list_resources(
        &self,
        request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        let caller = self.known(&context)?;
        let cursor = request.and_then(|request| request.cursor);
        let mut result = resources::list(Reader::new(self, &caller), cursor.as_deref())
            .map_err(|error| respond::protocol_error(&error))?;
        if result.next_cursor.is_none() {
            result.resources.extend(self.extension().resources());
        }
        Ok(result)
    }

    async fn list_resource_templates(
        &self,
        _request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        let caller = self.known(&context)?;
        let mut result = resources::kinds(Reader::new(self, &caller));
        result.resource_templates.extend(self.extension().resource_templates());
        Ok(result)
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        let caller = self.known(&context)?;
        resources::read(Reader::new(self, &caller), &request.uri)
            .map(ReadResourceResponse::from)
            .or_else(|error| self.extension().read_resource(&request.uri).ok_or(error))
    }

    async fn subscribe(
        &self,
        request: SubscribeRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        let caller = self.known(&context)?;
        let subscribed = self.session().subscribe(self, &caller, &request.uri);
        subscribed.or_else(|error| self.unless_extended(&request.uri, error))
    }

    async fn unsubscribe(
        &self,
        request: UnsubscribeRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.known(&context)?;
        let ended = self.session().unsubscribe(&request.uri);
        ended.or_else(|error| self.unless_extended(&request.uri, error))
    }

    /// What is none of the requests that are known, and those whose parameters are of another form.
    async fn on_custom_request(
        &self,
        request: CustomRequest,
        _context: RequestContext<RoleServer>,
    ) -> Result<CustomResult, ErrorData> {
        // Those that no revision has dropped.
        const KNOWN: [&str; 6] = [
            "completion/complete",
            "prompts/get",
            "resources/read",
            "tasks/cancel",
            "tasks/get",
            "tools/call",
        ];
        let CustomRequest { method, .. } = request;
        if KNOWN.contains(&method.as_str()) {
            let message =
                format!("the parameters of {method} are missing, or of another form than the protocol's");
            return Err(ErrorData::invalid_params(message, None));
        }
        Err(ErrorData::new(ErrorCode::METHOD_NOT_FOUND, method, None))
    }

    async fn list_prompts(
        &self,
        _request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        let caller = self.known(&context)?;
        let mut result = prompts::list(Reader::new(self, &caller));
        result.prompts.extend(self.extension().prompts());
        Ok(result)
    }

    async fn get_prompt(
        &self,
        request: GetPromptRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<GetPromptResponse, ErrorData> {
        let caller = self.known(&context)?;
        let reader = Reader::new(self, &caller);
        if prompts::find(reader, &request.name).is_none()
            && let Some(added) = self.extension().get_prompt(&request, &context)
        {
            return added;
        }
        prompts::get(reader, request).map(GetPromptResponse::from)
    }

    async fn complete(
        &self,
        request: CompleteRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CompleteResult, ErrorData> {
        let caller = self.known(&context)?;
        completions::complete(Reader::new(self, &caller), &request)
            .or_else(|error| self.extension().complete(&request).ok_or(error))
    }

    #[expect(deprecated, reason = "sessions still have it")]
    async fn set_level(
        &self,
        request: rmcp::model::SetLevelRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.known(&context)?;
        self.extension().set_level(&request, &context)
    }

    async fn get_task(
        &self,
        request: GetTaskParams,
        context: RequestContext<RoleServer>,
    ) -> Result<GetTaskResult, ErrorData> {
        let caller = self.known(&context)?;
        match (self.task(&caller, &request.task_id).await, self.extension().tasks()) {
            (Some(task), _) => Ok(GetTaskResult::new(task)),
            (None, Some(added)) => added.get_task(&request.task_id).map(GetTaskResult::new),
            (None, None) => Err(tasks::unknown()),
        }
    }

    async fn update_task(
        &self,
        request: UpdateTaskParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        let caller = self.known(&context)?;
        match self.extension().tasks() {
            // No task of ours asks anything.
            _ if self.knows_task(&caller, &request.task_id) => Ok(()),
            Some(added) => added.update_task(&request.task_id, request.input_responses),
            None => Err(tasks::unknown()),
        }
    }

    async fn cancel_task(
        &self,
        request: CancelTaskParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        let caller = self.known(&context)?;
        let given_up = self.give_up(&caller, &request.task_id, http_extensions(&context)).await;
        match (given_up, self.extension().tasks()) {
            (Some(outcome), _) => outcome.map_err(|error| respond::protocol_error(&error)),
            (None, Some(added)) => added.cancel_task(&request.task_id),
            (None, None) => Err(tasks::unknown()),
        }
    }

    fn accepted_subscription_filter(&self, requested: &SubscriptionFilter) -> Option<SubscriptionFilter> {
        let mut accepted = listen::accepted(requested);
        self.extension().accept(requested, &mut accepted);
        Some(accepted)
    }

    async fn listen(&self, context: SubscriptionContext) -> Result<(), ErrorData> {
        let caller = self.known(context.request_context())?;
        tokio::select! {
            () = listen::listen(self.detached(), caller, &context) => Ok(()),
            never = self.extension().listen(&context) => match never {},
        }
    }
}

impl Surface {
    /// Who asks; the session remembers it.
    fn known(&self, context: &RequestContext<RoleServer>) -> Result<Caller, ErrorData> {
        let caller = self
            .identify(http_extensions(context))
            .map_err(|error| ErrorData::invalid_request(error.to_string(), None))?;
        self.session().seen(self, &caller);
        Ok(caller)
    }

    /// The error, unless it is about a resource that was added.
    fn unless_extended(&self, uri: &str, error: ErrorData) -> Result<(), ErrorData> {
        if self.extension().is_subscribable(uri) { Ok(()) } else { Err(error) }
    }

    /// Tells the observer of a call that the transport refused.
    pub(crate) fn report_refusal(
        &self,
        entry: &'static Entry,
        caller: &Caller,
        request: &http::Extensions,
        error: Error,
    ) {
        let observer = self.options().observer.clone();
        let reporting = Reporting::begin(observer, entry, Some(caller.clone()), Some(request), &None);
        reporting.end(&respond::error(error.into()));
    }
}

/// What the HTTP layers put into the request, if there is one.
pub(crate) fn http_extensions(context: &RequestContext<RoleServer>) -> Option<&http::Extensions> {
    context.extensions.get::<http::request::Parts>().map(|parts| &parts.extensions)
}

fn unknown_tool(name: &str) -> ErrorData {
    let names = catalogue::listed().iter().map(|listed| listed.entry.name);
    let hint = suggest(name, names).map(|known| format!("; did you mean {known}?")).unwrap_or_default();
    ErrorData::invalid_params(format!("unknown tool {:?}{hint}", crate::text::line(name, 100)), None)
}
