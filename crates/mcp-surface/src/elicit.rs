//! Questions to the user of a client ("elicitation").
//!
//! Up to protocol 2025-11-25 a question is a request to the client, while the call waits. From 2026-07-28 on the call ends
//! with the question (SEP-2322), and the client calls again with the answer and with what it was given to keep:
//! `requestState`, sealed for the caller, the tool and its arguments.
//!
//! What a client may see is asked for by a form that it shows, the rest on a [page](forms::ContextForms) that it only tells
//! the address of.

pub(crate) mod confirm;
pub(crate) mod context;
pub(crate) mod forms;
mod page;

use std::time::{Duration, SystemTime};

use nocrd_authz::keys::{KeyRing, Purpose};
use nocrd_model::Caller;
use rmcp::{
    ErrorData, RoleServer,
    model::{
        CallToolRequestParams, ElicitRequest, ElicitRequestParams, ElicitResult, ElicitationAction,
        ElicitationSchema, InputRequest, InputRequiredResult, ProtocolVersion,
    },
    service::{Peer, RequestContext, ServiceError},
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokio_util::sync::CancellationToken;

use crate::{Error, call::Progress};
use forms::Opened;

/// How long a user may think.
const PATIENCE: Duration = Duration::from_secs(300);

/// What came of a question.
#[derive(Debug, PartialEq)]
pub(crate) enum Answer<T = Map<String, Value>> {
    /// The form, filled in.
    Given(T),
    /// The user would not.
    Refused,
    /// This client has no way to ask.
    CantAsk,
}

/// Why a call does not go on.
pub(crate) enum Stop {
    /// It ends with the question.
    Ask(Box<InputRequiredResult>),
    /// The answer is none to a question of ours.
    Invalid(ErrorData),
    Failed(Error),
}

/// What can be asked in the course of one call.
pub(crate) struct Asking<'a> {
    way: Way<'a>,
    /// Whether the client shows forms.
    forms: bool,
    /// Whether it leads its user to an address.
    urls: bool,
    progress: Option<Progress>,
    /// Cancelled when the client no longer wants the answer.
    cancelled: &'a CancellationToken,
}

enum Way<'a> {
    /// By a request to the client.
    Request(&'a Peer<RoleServer>),
    /// By ending the call.
    Retry(Retry<'a>),
}

struct Retry<'a> {
    keys: &'a KeyRing,
    caller: &'a Caller,
    request: &'a CallToolRequestParams,
}

/// What a client keeps for us.
#[derive(Serialize, Deserialize)]
struct State {
    question: String,
    /// Seconds since 1970 (UTC).
    expires: u64,
    /// The page with the question, if it is not asked by the client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    opened: Option<Opened>,
}

impl<'a> Asking<'a> {
    pub(crate) fn new(
        keys: &'a KeyRing,
        caller: &'a Caller,
        request: &'a CallToolRequestParams,
        context: &'a RequestContext<RoleServer>,
    ) -> Self {
        let ability = context.client_capabilities().and_then(|capabilities| capabilities.elicitation);
        // One that says neither has forms: there was nothing else at first.
        let forms = ability.as_ref().is_some_and(|ability| ability.form.is_some() || ability.url.is_none());
        let urls = ability.is_some_and(|ability| ability.url.is_some());
        let way =
            if context.protocol_version().is_some_and(|version| version >= ProtocolVersion::V_2026_07_28) {
                Way::Retry(Retry { keys, caller, request })
            } else {
                Way::Request(&context.peer)
            };
        Self { way, forms, urls, progress: Progress::of(context), cancelled: &context.ct }
    }

    /// Asks by a form. `question` tells one question of a call from the others.
    pub(crate) async fn form(
        &self,
        question: &str,
        message: String,
        schema: ElicitationSchema,
    ) -> Result<Answer, Stop> {
        if !self.forms {
            return Ok(Answer::CantAsk);
        }
        let asked =
            ElicitRequestParams::FormElicitationParams { meta: None, message, requested_schema: schema };
        let result = match &self.way {
            Way::Request(peer) => self.request(peer, asked).await?,
            Way::Retry(retry) => match retry.answer(question)? {
                Some(result) => Some(result),
                None => return Err(retry.ask(question, asked, None)),
            },
        };
        let Some(result) = result else { return Ok(Answer::CantAsk) };
        Ok(match (result.action, result.content) {
            (ElicitationAction::Accept, Some(Value::Object(content))) => Answer::Given(content),
            (ElicitationAction::Accept, None) => Answer::Given(Map::new()),
            _ => Answer::Refused,
        })
    }

    /// Sends a question to the client; `None` when it turns out that it can't ask.
    async fn request(
        &self,
        peer: &Peer<RoleServer>,
        asked: ElicitRequestParams,
    ) -> Result<Option<ElicitResult>, Stop> {
        let asking = peer.create_elicitation_with_timeout(asked, Some(PATIENCE));
        match self.cancelled.run_until_cancelled(asking).await {
            Some(Ok(result)) => Ok(Some(result)),
            // The client was wrong about what it can.
            Some(Err(ServiceError::McpError(_) | ServiceError::UnexpectedResponse)) => Ok(None),
            Some(Err(ServiceError::Timeout { .. })) => Ok(Some(ElicitResult::new(ElicitationAction::Cancel))),
            Some(Err(_)) | None => Err(Stop::Failed(Error::Cancelled)),
        }
    }
}

impl Retry<'_> {
    /// The answer to a question of ours, if this call brings one.
    fn answer(&self, question: &str) -> Result<Option<ElicitResult>, Stop> {
        let answers = self.request.input_responses.as_ref();
        let Some(answer) = answers.and_then(|answers| answers.get(question)) else { return Ok(None) };
        let state = self.state();
        if !state.is_some_and(|state| state.question == question && state.expires > now()) {
            return Err(invalid(
                "requestState is not of this call, or too old: call the tool anew without it",
            ));
        }
        let answer = serde_json::from_value(answer.clone());
        answer
            .map(Some)
            .map_err(|_| invalid(format!("inputResponses.{question} is no result of an elicitation")))
    }

    /// The page that the answer is about.
    fn opened(&self) -> Option<Opened> {
        self.state()?.opened
    }

    /// What the client kept for us, if this call brings it back as it was given.
    fn state(&self) -> Option<State> {
        let sealed = self.request.request_state.as_deref()?;
        let state = self.keys.open(Purpose::RequestState, &self.binding(), sealed).ok()?;
        serde_json::from_slice(&state).ok()
    }

    fn ask(&self, question: &str, asked: ElicitRequestParams, opened: Option<Opened>) -> Stop {
        let state = State { question: question.to_owned(), expires: now() + PATIENCE.as_secs(), opened };
        let sealed = serde_json::to_vec(&state)
            .ok()
            .and_then(|state| self.keys.seal(Purpose::RequestState, &self.binding(), &state).ok());
        let Some(sealed) = sealed else { return Stop::Failed(Error::Internal) };
        let requests = [(question.to_owned(), InputRequest::Elicitation(ElicitRequest::new(asked)))].into();
        Stop::Ask(Box::new(InputRequiredResult::new(Some(requests), Some(sealed))))
    }

    /// What the question and its answer belong to: who calls what, with which arguments, in whatever order they stand.
    fn binding(&self) -> Vec<u8> {
        let arguments = self.request.arguments.clone().map(|arguments| sorted(Value::Object(arguments)));
        let all = (
            self.caller.trust == nocrd_model::caller::Trust::Local,
            self.caller.subject.as_str(),
            &self.request.name,
            arguments,
        );
        serde_json::to_vec(&all).unwrap_or_default()
    }
}

fn invalid(message: impl Into<std::borrow::Cow<'static, str>>) -> Stop {
    Stop::Invalid(ErrorData::invalid_params(message, None))
}

fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

fn sorted(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            let sorted: std::collections::BTreeMap<String, Value> =
                members.into_iter().map(|(name, value)| (name, sorted(value))).collect();
            Value::Object(sorted.into_iter().collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(sorted).collect()),
        other => other,
    }
}

#[cfg(test)]
mod tests;
