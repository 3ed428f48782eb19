//! The protocol's methods.

use std::panic::AssertUnwindSafe;

use futures::FutureExt;
use nocrd_model::Caller;
use rmcp::{
    ErrorData, RoleServer, ServerHandler,
    model::{
        CacheScope, CallToolRequestParams, CallToolResponse, CallToolResult, Implementation,
        InitializeRequestParams, InitializeResult, ListToolsResult, PaginatedRequestParams,
        ServerCapabilities, ServerConfig, SubscriptionFilter, Tool,
    },
    service::{RequestContext, SubscriptionContext},
};
use tracing::{Instrument, debug, debug_span, error};

use crate::{
    Error, Surface,
    arguments::suggest,
    call::Call,
    catalogue::{self, Entry, Listed},
    instructions::INSTRUCTIONS,
    report::Reporting,
    respond,
    tool::Arguments,
};

impl ServerHandler for Surface {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder().enable_tools().enable_tool_list_changed().build();
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
        self.changes().add_session(context.peer.clone());
        self.negotiate_initialize(&request)
    }

    async fn list_tools(
        &self,
        _request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let caller = self
            .identify(http_extensions(&context))
            .map_err(|error| ErrorData::invalid_request(error.to_string(), None))?;
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
            (listed.entry.name, listed.entry.effect),
            self.identify(brought).ok(),
            brought,
            &request.arguments,
        );
        let result = self.call(listed, request.arguments, &context).instrument(span).await;
        Ok(reporting.end(result).into())
    }

    fn accepted_subscription_filter(&self, requested: &SubscriptionFilter) -> Option<SubscriptionFilter> {
        let mut accepted = SubscriptionFilter::default();
        accepted.tools_list_changed = requested.tools_list_changed;
        Some(accepted)
    }

    async fn listen(&self, context: SubscriptionContext) -> Result<(), ErrorData> {
        let mut changes = self.changes().subscribe();
        loop {
            tokio::select! {
                () = context.cancelled() => return Ok(()),
                changed = changes.changed() => {
                    let wanted = context.accepted().tools_list_changed == Some(true);
                    if changed.is_err() || (wanted && context.sink().notify_tool_list_changed().await.is_err()) {
                        return Ok(());
                    }
                }
            }
        }
    }
}

impl Surface {
    /// Tells the observer of a call that the transport refused.
    pub(crate) fn report_refusal(
        &self,
        entry: &Entry,
        caller: &Caller,
        request: &http::Extensions,
        error: Error,
    ) {
        let observer = self.options().observer.clone();
        let tool = (entry.name, entry.effect);
        let reporting = Reporting::begin(observer, tool, Some(caller.clone()), Some(request), &None);
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
