//! From a call of a tool to its answer: who may, what the user is asked, and the tool itself.

use std::panic::AssertUnwindSafe;

use futures::FutureExt;
use nocrd_cluster::NEEDS;
use nocrd_model::Caller;
use rmcp::{
    ErrorData, RoleServer,
    model::{CallToolRequestParams, CallToolResponse, CallToolResult},
    service::RequestContext,
};
use tracing::{debug, error};

use crate::{
    Error, Surface,
    call::Call,
    catalogue::Listed,
    elicit::{Asking, Stop, confirm, context as missing_context},
    error::Failure,
    reader::is_blind,
    respond,
    tasks::Follow,
    tool::Arguments,
};

impl Surface {
    /// Answers a call of a tool.
    pub(crate) async fn call(
        &self,
        listed: &'static Listed,
        request: CallToolRequestParams,
        context: &RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let outcome = match self.admit(listed, context) {
            Ok(caller) => self.ask_and_run(listed, caller, request, context).await,
            Err(error) => Err(Stop::Failed(error)),
        };
        match outcome {
            Ok(answer) => {
                debug!("answered");
                Ok(answer)
            }
            Err(Stop::Failed(error)) => {
                debug!(code = error.code().id, "failed");
                Ok(respond::error(error.into()).into())
            }
            Err(Stop::Ask(question)) => Ok((*question).into()),
            Err(Stop::Invalid(error)) => Err(error),
        }
    }

    /// Who calls, if they and the server may do what the tool does.
    fn admit(&self, listed: &Listed, context: &RequestContext<RoleServer>) -> Result<Caller, Error> {
        let caller = self.identify(crate::handler::http_extensions(context))?;
        self.session().seen(self, &caller);
        let tool = listed.entry.name;
        if let Err(lacking) = self.check(&caller, listed.entry) {
            debug!(%lacking, "refused");
            return Err(Error::Denied { tool, lacking });
        }
        let missing = listed.entry.missing(&self.spawner().cluster().permissions());
        if missing.is_empty() { Ok(caller) } else { Err(Error::MissingPermission { tool, missing }) }
    }

    async fn ask_and_run(
        &self,
        listed: &'static Listed,
        caller: Caller,
        request: CallToolRequestParams,
        context: &RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, Stop> {
        let asking = Asking::new(self.keys(), &caller, &request, context);
        if self.options().confirm_destructive && listed.entry.effect.is_destructive() {
            confirm::ask(&asking, listed.entry, &request.arguments).await?;
        }
        let forms = self.options().forms.as_deref();
        let mut outcome = self.run(listed, caller.clone(), request.arguments.clone(), context).await;
        if let Err(failure) = &outcome
            && let Some(lacking) = missing_context::Lacking::of(failure)
        {
            let mut arguments = request.arguments.clone();
            if lacking.ask(&asking, listed.entry, &caller, forms, &mut arguments).await? {
                // Nothing was done yet: what lacks is found out before anything else.
                outcome = self.run(listed, caller.clone(), arguments, context).await;
            }
        }
        match outcome {
            Ok((result, Some(follow))) => {
                let said = result.content.iter().filter_map(|block| Some(block.as_text()?.text.as_str()));
                let task =
                    self.create_task(&caller, follow, &said.collect::<String>()).map_err(Stop::Failed)?;
                Ok(task.into())
            }
            outcome => Ok(respond::result(outcome.map(|(result, _)| result)).into()),
        }
    }

    /// Waits until the cluster's state is known, for tools that go by it: a client that starts the server itself calls at
    /// once.
    async fn settle(&self, listed: &Listed) {
        let cluster = self.spawner().cluster();
        if cluster.health().synced || is_blind(cluster) {
            return;
        }
        let goes_by = |resource: &str| {
            NEEDS
                .iter()
                .filter(|need| need.verb == "list" && need.full_resource() == resource)
                .any(|need| need.tools.iter().chain(need.helps).any(|tool| *tool == listed.entry.name))
        };
        let synced = cluster.synced_of(goes_by("pods"), goes_by("configmaps"));
        let _ = tokio::time::timeout(self.spawner().config().index_wait, synced).await;
    }

    async fn run(
        &self,
        listed: &'static Listed,
        caller: Caller,
        arguments: Arguments,
        context: &RequestContext<RoleServer>,
    ) -> Result<(CallToolResult, Option<Follow>), Failure> {
        self.settle(listed).await;
        let call = Call::new(self.clone(), caller, context);
        // Without an answer the client would wait for ever.
        AssertUnwindSafe(listed.run(call, arguments)).catch_unwind().await.unwrap_or_else(|_| {
            error!("a tool panicked");
            Err(Error::Internal.into())
        })
    }
}
