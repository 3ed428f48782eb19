//! Replies and errors as results of `tools/call`. Errors of tools are results, not JSON-RPC errors: clients show the
//! latter to nobody. Of resources, prompts and completions there are only the latter.

use nocrd_model::ErrorKind;
use rmcp::{
    ErrorData,
    model::{CallToolResult, ContentBlock, ErrorCode},
};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::{error::Failure, text, tool::Reply};

/// Longest error message and longest part of one.
const MAX_MESSAGE: usize = 2_000;
const MAX_DETAIL: usize = 500;
/// Most parts of an error that are sent.
const MAX_DETAILS: usize = 20;

/// The result of a call.
pub(crate) fn result(outcome: Result<CallToolResult, Failure>) -> CallToolResult {
    outcome.unwrap_or_else(error)
}

/// The result of a call that succeeded.
pub(crate) fn success<T: Serialize>(reply: Reply<T>) -> CallToolResult {
    let mut result = CallToolResult::success(vec![ContentBlock::text(reply.text)]);
    match serde_json::to_value(reply.structured) {
        Ok(structured) => result.structured_content = Some(structured),
        Err(broken) => {
            tracing::error!(error = %broken, "a tool's output can't be written as JSON");
            return error(crate::Error::Internal.into());
        }
    }
    result
}

/// `structuredContent.error`.
#[derive(Serialize)]
struct ErrorObject<'a> {
    /// An HTTP status.
    code: u16,
    reason: &'static str,
    /// `NCRnnnn`.
    id: &'static str,
    message: &'a str,
    remedy: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    details: Vec<String>,
}

/// The result of a call that failed: `Error: …` and what to do next as text, the same for programs in
/// `structuredContent.error`.
pub(crate) fn error(failure: Failure) -> CallToolResult {
    let Failure { error, note, partial } = failure;
    let code = error.code();
    let mut message = text::block(&error.to_string(), MAX_MESSAGE);
    if let Some(note) = note {
        message = format!("{message}. {note}");
    }
    let details =
        error.details().iter().take(MAX_DETAILS).map(|detail| text::line(detail, MAX_DETAIL)).collect();
    let object = ErrorObject {
        code: code.kind.status(),
        reason: code.reason,
        id: code.id,
        message: &message,
        remedy: code.remedy,
        details,
    };
    let mut structured: Map<String, Value> = partial.unwrap_or_default();
    structured.insert("error".to_owned(), serde_json::to_value(object).unwrap_or_default());
    let stop = if message.ends_with(['.', '?', '!']) { "" } else { "." };
    let shown = format!("Error: {message}{stop}\nNext: {} ({})", code.remedy, code.id);
    let mut result = CallToolResult::error(vec![ContentBlock::text(shown)]);
    result.structured_content = Some(Value::Object(structured));
    result
}

/// An error of what is no tool.
pub(crate) fn protocol_error(error: &crate::Error) -> ErrorData {
    let code = error.code();
    let number = match code.kind {
        ErrorKind::Unauthenticated => ErrorCode::INVALID_REQUEST,
        kind if kind.status() < 500 => ErrorCode::INVALID_PARAMS,
        _ => ErrorCode::INTERNAL_ERROR,
    };
    let data =
        json!({"code": code.kind.status(), "reason": code.reason, "id": code.id, "remedy": code.remedy});
    ErrorData::new(number, text::block(&error.to_string(), MAX_MESSAGE), Some(data))
}

#[cfg(test)]
mod tests {
    use super::*;
    use nocrd_spawner::{Error as Spawner, WorkspaceId};

    #[test]
    fn protocol_errors_say_whose_fault_it_is() {
        let id = WorkspaceId::parse("w1").unwrap();
        for (error, number) in [
            (crate::Error::argument("bad\u{1b}[2J"), -32602),
            (Spawner::NotFound { id }.into(), -32602),
            (crate::Error::Unauthenticated, -32600),
            (Spawner::NotSynced.into(), -32603),
        ] {
            let sent = protocol_error(&error);
            assert_eq!(sent.code.0, number, "{sent:?}");
            assert_eq!(sent.data.unwrap()["id"], error.code().id);
            assert!(!sent.message.contains('\u{1b}'));
        }
    }

    #[test]
    fn errors_say_what_happened_and_what_to_do() {
        let id = WorkspaceId::parse("w1").unwrap();
        let failure = Failure {
            note: Some("It is kept.".to_owned()),
            partial: json!({"id": "w1"}).as_object().cloned(),
            ..crate::Error::from(Spawner::StartFailed { id, diagnosis: vec!["bad\u{1b}[2Jimage".to_owned()] })
                .into()
        };
        let result = error(failure);
        assert_eq!(result.is_error, Some(true));
        let structured = result.structured_content.unwrap();
        assert_eq!(structured["id"], "w1");
        let error = &structured["error"];
        assert_eq!((&error["code"], &error["id"]), (&json!(422), &json!("NCR0305")));
        assert_eq!(error["reason"], "WorkspaceStartFailed");
        assert_eq!(error["details"], json!(["badimage"]));
        assert_eq!(error["message"], "workspace w1 does not start: badimage. It is kept.");
        let text = &result.content[0].as_text().unwrap().text;
        assert!(
            text.starts_with("Error: workspace w1 does not start: badimage. It is kept.\nNext: Read"),
            "{text}"
        );
    }
}
