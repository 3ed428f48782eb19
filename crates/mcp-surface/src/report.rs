//! What becomes of calls, for whoever keeps books: an audit log, metrics.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use nocrd_model::{Caller, Code, WorkspaceId, error as codes};
use rmcp::{
    ErrorData,
    model::{CallToolResponse, CallToolResult},
};
use serde_json::Value;

use crate::{
    Error,
    catalogue::Entry,
    text,
    tool::{Arguments, Effect, Thing},
};

/// Longest name that is told.
const MAX_NAME: usize = 253;

/// Is told of every call of a tool, when it has ended.
pub trait Observer: Send + Sync + fmt::Debug + 'static {
    /// A call has ended. Calls wait for this, so it should be quick.
    fn called(&self, report: &Report<'_>);
}

/// A call that has ended. Of its arguments it tells the names of things, never what a client keeps in them.
#[derive(Debug)]
#[non_exhaustive]
pub struct Report<'a> {
    /// The tool.
    pub tool: &'static str,
    /// What it does to the world.
    pub effect: Effect,
    /// Whether this is no call of the tool but the end that somebody has put to what an earlier one began.
    pub cancels: bool,
    /// Who called; `None` when that was not known, and the call refused.
    pub caller: Option<&'a Caller>,
    /// The extensions of the HTTP request that brought the call; `None` over standard input and output.
    pub request: Option<&'a http::Extensions>,
    /// The workspace that the call names.
    pub workspace: Option<&'a str>,
    /// The pod that the call names.
    pub pod: Option<&'a str>,
    /// The namespace: the one the reply tells, else the one that the call names.
    pub namespace: Option<&'a str>,
    /// The template that the call names.
    pub template: Option<&'a str>,
    /// For whom the call was made, when that is somebody else.
    pub owner: Option<&'a str>,
    /// What became of it.
    pub outcome: Outcome,
    /// How long it took.
    pub took: Duration,
}

/// What became of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It did what it was asked to.
    Done,
    /// It failed.
    Failed(Code),
    /// It asked its user something, and did nothing else: the client calls again with the answer.
    Asked,
    /// The client went away before the end. What was begun may have been done.
    Abandoned,
}

/// A call under way. When it is dropped, with or without a result, the observer is told.
pub(crate) struct Reporting<'a> {
    observer: Option<Arc<dyn Observer>>,
    tool: &'static str,
    effect: Effect,
    cancels: bool,
    caller: Option<Caller>,
    request: Option<&'a http::Extensions>,
    named: Named,
    outcome: Outcome,
    start: Instant,
}

/// The names in a call's arguments.
#[derive(Default)]
struct Named {
    workspace: Option<String>,
    pod: Option<String>,
    namespace: Option<String>,
    template: Option<String>,
    owner: Option<String>,
}

impl Named {
    fn of(entry: &Entry, arguments: &Arguments) -> Self {
        let name = |key: &str| {
            let text = arguments.as_ref()?.get(key)?.as_str()?;
            Some(text::line(text, MAX_NAME)).filter(|text| !text.is_empty())
        };
        Self {
            workspace: name("id"),
            pod: name("name").filter(|_| entry.named == Some(Thing::Pod)),
            namespace: name("namespace"),
            template: name(if entry.named == Some(Thing::Template) { "name" } else { "templateRef" }),
            owner: name("userSub"),
        }
    }
}

impl<'a> Reporting<'a> {
    pub(crate) fn begin(
        observer: Option<Arc<dyn Observer>>,
        entry: &'static Entry,
        caller: Option<Caller>,
        request: Option<&'a http::Extensions>,
        arguments: &Arguments,
    ) -> Self {
        let named = if observer.is_some() { Named::of(entry, arguments) } else { Named::default() };
        Self {
            observer,
            tool: entry.name,
            effect: entry.effect,
            cancels: false,
            caller,
            request,
            named,
            outcome: Outcome::Abandoned,
            start: Instant::now(),
        }
    }

    /// What a call of the tool began for a workspace is cancelled.
    pub(crate) fn cancels(mut self, workspace: &WorkspaceId) -> Self {
        self.cancels = true;
        self.named.workspace = Some(workspace.to_string());
        self
    }

    /// It has come to this.
    pub(crate) fn came_to(mut self, result: &Result<(), Error>) {
        self.outcome = result.as_ref().map_or_else(|error| Outcome::Failed(error.code()), |()| Outcome::Done);
    }

    /// The call has this answer.
    pub(crate) fn answer(mut self, answer: &Result<CallToolResponse, ErrorData>) {
        match answer {
            Ok(CallToolResponse::Complete(result)) => self.end(result),
            // What it was asked to begin has begun.
            Ok(CallToolResponse::Task(_)) => self.outcome = Outcome::Done,
            Ok(_) => self.outcome = Outcome::Asked,
            Err(_) => self.outcome = Outcome::Failed(codes::INVALID_ARGUMENT),
        }
    }

    /// The call has this result.
    pub(crate) fn end(mut self, result: &CallToolResult) {
        let structured = result.structured_content.as_ref();
        self.outcome = if result.is_error == Some(true) { failed(structured) } else { Outcome::Done };
        if let Some(namespace) = structured.and_then(|content| content.get("namespace")?.as_str()) {
            self.named.namespace = Some(namespace.to_owned());
        }
    }
}

impl Drop for Reporting<'_> {
    fn drop(&mut self) {
        let Some(observer) = &self.observer else { return };
        observer.called(&Report {
            tool: self.tool,
            effect: self.effect,
            cancels: self.cancels,
            caller: self.caller.as_ref(),
            request: self.request,
            workspace: self.named.workspace.as_deref(),
            pod: self.named.pod.as_deref(),
            namespace: self.named.namespace.as_deref(),
            template: self.named.template.as_deref(),
            owner: self.named.owner.as_deref(),
            outcome: self.outcome,
            took: self.start.elapsed(),
        });
    }
}

fn failed(structured: Option<&Value>) -> Outcome {
    let id = structured.and_then(|content| content.get("error")?.get("id")?.as_str());
    let code = codes::TABLE.iter().find(|code| Some(code.id) == id).copied();
    Outcome::Failed(code.unwrap_or(codes::INTERNAL))
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use nocrd_model::Subject;
    use serde_json::json;

    use super::*;
    use crate::respond;

    #[derive(Debug, Default)]
    struct Book(Mutex<Vec<String>>);

    impl Observer for Book {
        fn called(&self, report: &Report<'_>) {
            self.0.lock().unwrap().push(format!("{report:?}"));
        }
    }

    fn reported(result: Option<CallToolResult>) -> String {
        let book = Arc::new(Book::default());
        let arguments = json!({
            "id": "w1\u{1b}[2J", "namespace": "", "templateRef": "t", "context": { "KEY": "hunter2" }, "userSub": "bob",
            "spec": { "id": "hunter2" },
        });
        let reporting = Reporting::begin(
            Some(book.clone() as Arc<dyn Observer>),
            crate::catalogue::find("spawn_workspace").unwrap().entry,
            Some(Caller::verified(Subject::new("alice"), nocrd_model::Role::User)),
            None,
            &arguments.as_object().cloned(),
        );
        match result {
            Some(result) => reporting.end(&result),
            None => drop(reporting),
        }
        let lines = book.0.lock().unwrap();
        assert_eq!(lines.len(), 1);
        lines[0].clone()
    }

    #[test]
    fn t54_names_are_told_and_values_are_not() {
        let mut result = CallToolResult::success(Vec::new());
        result.structured_content = Some(json!({ "namespace": "ns", "warnings": ["hunter2"] }));
        let text = reported(Some(result));
        assert!(!text.contains("hunter2") && !text.contains('\u{1b}'), "{text}");
        for part in
            ["spawn_workspace", "alice", "Some(\"w1", "Some(\"ns\")", "Some(\"t\")", "Some(\"bob\")", "Done"]
        {
            assert!(text.contains(part), "{part}: {text}");
        }
    }

    #[test]
    fn failures_and_calls_that_break_off_are_told() {
        let text = reported(Some(respond::error(crate::Error::Unauthenticated.into())));
        assert!(text.contains("Failed(") && text.contains(codes::UNAUTHENTICATED.id), "{text}");
        assert!(reported(None).contains("Abandoned"));
    }
}
