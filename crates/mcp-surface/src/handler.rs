//! The protocol's methods.

use std::panic::AssertUnwindSafe;

use futures::FutureExt;
use nocrd_model::Caller;
use rmcp::{
    ErrorData, RoleServer, ServerHandler,
    model::{
        CacheScope, CallToolRequestParams, CallToolResponse, CallToolResult, CompleteRequestParams,
        CompleteResult, GetPromptRequestParams, GetPromptResponse, Implementation, InitializeRequestParams,
        InitializeResult, ListPromptsResult, ListResourceTemplatesResult, ListResourcesResult,
        ListToolsResult, PaginatedRequestParams, ReadResourceRequestParams, ReadResourceResponse,
        ServerCapabilities, ServerConfig, SubscribeRequestParams, SubscriptionFilter, Tool,
        UnsubscribeRequestParams,
    },
    service::{RequestContext, SubscriptionContext},
};
use tracing::{Instrument, debug, debug_span, error};

use crate::{
    Error, Surface,
    arguments::suggest,
    call::Call,
    catalogue::{self, Entry, Listed},
    completions,
    instructions::INSTRUCTIONS,
    prompts,
    reader::Reader,
    report::Reporting,
    resources, respond,
    subscriptions::listen,
    tool::Arguments,
};

impl ServerHandler for Surface {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder()
            .enable_completions()
            .enable_prompts()
            .enable_resources()
            .enable_resources_list_changed()
            .enable_resources_subscribe()
            .enable_tools()
            .enable_tool_list_changed()
            .build();
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
            .collect();
        let mut result = ListToolsResult::with_all_items(tools);
        // What is listed depends on who asks and on what the server may do: no shared cache may keep it.
        result.cache_scope = Some(CacheScope::Private);
        Ok(result)
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        catalogue::find(name).map(|listed| listed.tool.clone())
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let Some(listed) = catalogue::find(&request.name) else {
            return Err(unknown_tool(&request.name));
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
        let result = self.call(listed, request.arguments, &context).instrument(span).await;
        Ok(reporting.end(result).into())
    }

    async fn list_resources(
        &self,
        request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        let caller = self.known(&context)?;
        let cursor = request.and_then(|request| request.cursor);
        resources::list(Reader::new(self, &caller), cursor.as_deref())
            .map_err(|error| respond::protocol_error(&error))
    }

    async fn list_resource_templates(
        &self,
        _request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        let caller = self.known(&context)?;
        Ok(resources::kinds(Reader::new(self, &caller)))
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        let caller = self.known(&context)?;
        resources::read(Reader::new(self, &caller), &request.uri).map(ReadResourceResponse::from)
    }

    async fn subscribe(
        &self,
        request: SubscribeRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        let caller = self.known(&context)?;
        self.session().subscribe(self, &caller, &request.uri)
    }

    async fn unsubscribe(
        &self,
        request: UnsubscribeRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.known(&context)?;
        self.session().unsubscribe(&request.uri)
    }

    async fn list_prompts(
        &self,
        _request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        let caller = self.known(&context)?;
        Ok(prompts::list(Reader::new(self, &caller)))
    }

    async fn get_prompt(
        &self,
        request: GetPromptRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<GetPromptResponse, ErrorData> {
        let caller = self.known(&context)?;
        prompts::get(Reader::new(self, &caller), request).map(GetPromptResponse::from)
    }

    async fn complete(
        &self,
        request: CompleteRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CompleteResult, ErrorData> {
        let caller = self.known(&context)?;
        completions::complete(Reader::new(self, &caller), &request)
    }

    fn accepted_subscription_filter(&self, requested: &SubscriptionFilter) -> Option<SubscriptionFilter> {
        Some(listen::accepted(requested))
    }

    async fn listen(&self, context: SubscriptionContext) -> Result<(), ErrorData> {
        let caller = self.known(context.request_context())?;
        listen::listen(self.detached(), caller, &context).await;
        Ok(())
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
        reporting.end(respond::error(error.into()));
    }

    async fn call(
        &self,
        listed: &'static Listed,
        arguments: Arguments,
        context: &RequestContext<RoleServer>,
    ) -> CallToolResult {
        let caller = match self.identify(http_extensions(context)) {
            Ok(caller) => caller,
            Err(error) => return respond::error(error.into()),
        };
        self.session().seen(self, &caller);
        let tool = listed.entry.name;
        if let Err(lacking) = self.check(&caller, listed.entry) {
            debug!(%lacking, "refused");
            return respond::error(Error::Denied { tool, lacking }.into());
        }
        let missing = listed.entry.missing(&self.spawner().cluster().permissions());
        if !missing.is_empty() {
            return respond::error(Error::MissingPermission { tool, missing }.into());
        }
        let call = Call::new(self.clone(), caller, context);
        // Without an answer the client would wait for ever.
        let result =
            AssertUnwindSafe(listed.run(call, arguments)).catch_unwind().await.unwrap_or_else(|_| {
                error!("a tool panicked");
                respond::error(Error::Internal.into())
            });
        debug!(failed = result.is_error, "answered");
        result
    }
}

/// What the HTTP layers put into the request, if there is one.
fn http_extensions(context: &RequestContext<RoleServer>) -> Option<&http::Extensions> {
    context.extensions.get::<http::request::Parts>().map(|parts| &parts.extensions)
}

fn unknown_tool(name: &str) -> ErrorData {
    let names = catalogue::listed().iter().map(|listed| listed.entry.name);
    let hint = suggest(name, names).map(|known| format!("; did you mean {known}?")).unwrap_or_default();
    ErrorData::invalid_params(format!("unknown tool {:?}{hint}", crate::text::line(name, 100)), None)
}
