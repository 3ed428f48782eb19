//! Who did what: the events of the audit log, and what the metrics know of them.

use std::sync::Arc;

use ::http::{header, request::Parts};
use nocrd_mcp_surface::{Observer, Outcome as CallOutcome, Report, catalogue::Effect};
use nocrd_model::{Caller, Code, ErrorKind, Role, Subject};

use crate::{auth::Refusal, context_form, metrics::Metrics, visit::Visit};

/// What became of an act.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It was done.
    Done,
    /// It was not allowed, or not sensible.
    Refused(Code),
    /// It went wrong.
    Failed(Code),
    /// Whoever asked for it went away before its end.
    Abandoned,
}

impl Outcome {
    /// What an error makes of an act.
    pub(crate) fn of(code: Code) -> Self {
        let ours = code.kind.status() >= 500 || matches!(code.kind, ErrorKind::Slow);
        if ours { Self::Failed(code) } else { Self::Refused(code) }
    }

    /// As the logs and metrics say it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Refused(_) => "refused",
            Self::Failed(_) => "failed",
            Self::Abandoned => "abandoned",
        }
    }

    fn code(self) -> Option<&'static str> {
        match self {
            Self::Refused(code) | Self::Failed(code) => Some(code.id),
            Self::Done | Self::Abandoned => None,
        }
    }
}

/// An act. What it tells are names of things and people: never a token, a cookie, or what somebody keeps in a workspace.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Act<'a> {
    pub(crate) action: &'a str,
    pub(crate) outcome: Outcome,
    /// Who acts; `None` is who sent the request, as far as that is known.
    pub(crate) who: Option<Who<'a>>,
    /// The request that led to it; `None` where there is none.
    pub(crate) visit: Option<&'a Visit>,
    pub(crate) about: About<'a>,
}

/// Somebody.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Who<'a> {
    pub(crate) subject: &'a Subject,
    pub(crate) role: Option<Role>,
}

impl<'a> From<&'a Caller> for Who<'a> {
    fn from(caller: &'a Caller) -> Self {
        Self { subject: &caller.subject, role: Some(caller.role) }
    }
}

/// What an act is about.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct About<'a> {
    pub(crate) workspace: Option<&'a str>,
    pub(crate) pod: Option<&'a str>,
    pub(crate) namespace: Option<&'a str>,
    pub(crate) template: Option<&'a str>,
    /// Whose it is, when that is not who acts.
    pub(crate) owner: Option<&'a str>,
    /// The path of an endpoint.
    pub(crate) path: Option<&'a str>,
    /// What was wrong, where that is more than the outcome says.
    pub(crate) reason: Option<&'a str>,
}

impl Act<'_> {
    /// Writes it down.
    pub(crate) fn record(&self) {
        let who = self.who.or_else(|| self.visit?.caller().map(Who::from));
        let About { workspace, pod, namespace, template, owner, path, reason } = self.about;
        tracing::info!(
            target: nocrd_telemetry::audit::TARGET,
            action = self.action,
            outcome = self.outcome.word(),
            code = self.outcome.code(),
            subject = who.map(|who| who.subject.as_str()),
            role = who.and_then(|who| who.role).map(Role::as_str),
            owner,
            workspace,
            pod,
            namespace,
            template,
            path,
            reason,
            client = self.visit.map(|visit| tracing::field::display(visit.client)),
            request_id = self.visit.map(|visit| tracing::field::display(visit.id)),
        );
    }
}

/// Notes that somebody was not let in, when that is worth a line: everybody comes without credentials before they sign in,
/// and with an old session when they come back; and whoever asks too often must not fill the log.
pub(crate) fn not_let_in(request: &Parts, refusal: &Refusal) {
    let code = refusal.code();
    let routine = match code.kind {
        ErrorKind::Unauthenticated => !request.headers.contains_key(header::AUTHORIZATION),
        ErrorKind::TooMany | ErrorKind::Unavailable | ErrorKind::Internal => true,
        _ => false,
    };
    if routine {
        return;
    }
    let visit = Visit::of(&request.extensions).map(AsRef::as_ref);
    let reason = refusal.reason().map(|reason| reason.to_string());
    let path = context_form::unnamed(request.uri.path());
    let about = About { path: Some(&path), reason: reason.as_deref(), ..About::default() };
    Act { action: "access", outcome: Outcome::of(code), who: None, visit, about }.record();
}

/// Keeps the books about calls of tools.
#[derive(Debug)]
pub(crate) struct Books {
    metrics: Option<Arc<Metrics>>,
}

impl Books {
    pub(crate) fn new(metrics: Option<Arc<Metrics>>) -> Self {
        Self { metrics }
    }
}

impl Observer for Books {
    fn called(&self, report: &Report<'_>) {
        let outcome = match report.outcome {
            CallOutcome::Done => Outcome::Done,
            CallOutcome::Failed(code) => Outcome::of(code),
            CallOutcome::Abandoned => Outcome::Abandoned,
            // The call that brings the answer is the act.
            CallOutcome::Asked => return,
        };
        if let Some(metrics) = &self.metrics
            && !report.cancels
        {
            metrics.called(report.tool, outcome, report.took);
        }
        if report.effect == Effect::Read {
            return;
        }
        let about = About {
            workspace: report.workspace,
            pod: report.pod,
            namespace: report.namespace,
            template: report.template,
            owner: report.owner,
            ..About::default()
        };
        let visit = report.request.and_then(Visit::of).map(AsRef::as_ref);
        let action = if report.cancels { "task.cancel" } else { report.tool };
        Act { action, outcome, who: report.caller.map(Who::from), visit, about }.record();
    }
}

#[cfg(test)]
mod tests {
    use nocrd_model::error as codes;

    use super::*;

    #[test]
    fn a_refusal_is_no_failure() {
        assert_eq!(Outcome::of(codes::FORBIDDEN).word(), "refused");
        assert_eq!(Outcome::of(codes::QUOTA_EXCEEDED).word(), "refused");
        assert_eq!(Outcome::of(codes::CLUSTER_UNREACHABLE).word(), "failed");
        assert_eq!(Outcome::of(codes::INTERNAL).code(), Some("NCR0901"));
    }
}
