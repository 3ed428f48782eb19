//! What kinds of errors there are, and the stable code of each error the product reports.
//!
//! A crate's error enum maps each variant to a [`Code`] of [`TABLE`]; two places, the HTTP server and the MCP surface,
//! map a [`Code`]'s kind to a status. The page of each code under `docs/errors/` is rendered from the table.

use serde::{Deserialize, Serialize};

/// Errors by what the caller can do about them. The numbers are HTTP status codes (RFC 9110, RFC 6585).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The request can't be understood: correct it. 400
    Invalid,
    /// Sign in. 401
    Unauthenticated,
    /// Not allowed: ask for the right. 403
    Forbidden,
    /// Not there, or not the caller's. 404
    NotFound,
    /// The thing is there, and this can't be done with it: use another method. 405
    MethodNotAllowed,
    /// Begun, but not finished in time: send it faster. 408
    Slow,
    /// Clashes with what is there. 409
    Conflict,
    /// Too large. 413
    TooLarge,
    /// Understood, but its content can't be carried out. 422
    Unprocessable,
    /// Too many, or too often: stop something, or wait. 429
    TooMany,
    /// Our own fault. 500
    Internal,
    /// What we asked answered nonsense. 502
    BadGateway,
    /// Not now: try again. 503
    Unavailable,
    /// What we asked didn't answer in time. 504
    Timeout,
}

impl ErrorKind {
    /// The HTTP status code.
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            Self::Invalid => 400,
            Self::Unauthenticated => 401,
            Self::Forbidden => 403,
            Self::NotFound => 404,
            Self::MethodNotAllowed => 405,
            Self::Slow => 408,
            Self::Conflict => 409,
            Self::TooLarge => 413,
            Self::Unprocessable => 422,
            Self::TooMany => 429,
            Self::Internal => 500,
            Self::BadGateway => 502,
            Self::Unavailable => 503,
            Self::Timeout => 504,
        }
    }
}

/// A stable error code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Code {
    /// `NCRnnnn`: never reused, never renumbered.
    pub id: &'static str,
    /// The same as a word, for programs: `InvalidWorkspaceId`.
    pub reason: &'static str,
    /// What the caller can do about it.
    pub kind: ErrorKind,
    /// When it happens.
    pub when: &'static str,
    /// What to do next.
    pub remedy: &'static str,
}

macro_rules! codes {
    ($($name:ident = $id:literal, $reason:literal, $kind:ident, $when:literal, $remedy:literal;)*) => {
        $(#[doc = $when] pub const $name: Code =
            Code { id: $id, reason: $reason, kind: ErrorKind::$kind, when: $when, remedy: $remedy };)*

        /// All codes, by number.
        pub const TABLE: &[Code] = &[$($name,)*];
    };
}

codes! {
    // 01: requests
    INVALID_WORKSPACE_ID = "NCR0101", "InvalidWorkspaceId", Invalid, "A workspace id is not a DNS label.", "Use 1 to 63 lower-case letters, digits or '-', beginning and ending with a letter or digit.";
    INVALID_ARGUMENT = "NCR0102", "InvalidArgument", Invalid, "An argument is missing, unknown, or of the wrong form.", "Correct the argument the message names.";
    INVALID_NAMESPACE = "NCR0103", "InvalidNamespace", Invalid, "A namespace is not a DNS label.", "Name an existing namespace, or leave the argument out.";
    INVALID_PATH = "NCR0104", "InvalidPath", Invalid, "A path could be read in more than one way: as written or decoded, it holds a dot segment, a backslash, a control character or a malformed escape, or somebody who reads it leniently would take it for that of another API.", "Ask for the plain path.";
    DECLINED = "NCR0105", "Declined", Forbidden, "The user was asked, and did not agree.", "Nothing was done. Ask the user what they want instead.";
    CONFIRMATION_NEEDED = "NCR0106", "ConfirmationNeeded", Forbidden, "The server wants its user to confirm what destroys or changes something, and the client can't ask them.", "Use a client that supports elicitation by forms, or ask the operator to set CONFIRM_DESTRUCTIVE=false.";
    // 02: templates and specs
    TEMPLATE_NOT_FOUND = "NCR0201", "TemplateNotFound", NotFound, "No template of that name exists in any source.", "List the templates and use one of their references.";
    TEMPLATE_MALFORMED = "NCR0202", "TemplateMalformed", Unprocessable, "A template's text can't be read as a pod spec.", "Correct the template; the message says where it breaks.";
    INVALID_POD_SPEC = "NCR0203", "InvalidPodSpec", Unprocessable, "A pod spec does not fit the Kubernetes schema.", "Correct the field the message names.";
    SPEC_TOO_LARGE = "NCR0204", "SpecTooLarge", TooLarge, "A pod spec is larger or deeper than the server accepts.", "Move data out of the spec, into a ConfigMap or an image.";
    POLICY_VIOLATION = "NCR0205", "PolicyViolation", Forbidden, "A pod asks for more than the server's pod policy allows.", "Remove the fields the message names, or ask the operator to relax POD_SECURITY.";
    INVALID_ANNOTATION = "NCR0206", "InvalidAnnotation", Unprocessable, "An annotation that the server acts on has an unusable value.", "Correct the annotation the message names.";
    RESERVED_KEY = "NCR0207", "ReservedKey", Forbidden, "A request sets a label or annotation that is not the caller's to set.", "Leave the key out. Keys of the server's own are never yours to set; others need a prefix that the operator lists in ALLOWED_METADATA_PREFIXES.";
    MISSING_CONTEXT = "NCR0208", "MissingContext", Unprocessable, "The template requires context variables that were not given.", "Give every variable the message names in `context`.";
    INVALID_TEMPLATE_REF = "NCR0209", "InvalidTemplateRef", Invalid, "A template reference has none of the three forms.", "Write `name`, `namespace/name` or `pod-template://namespace/name`.";
    NO_SOURCE = "NCR0210", "NoPodSource", Invalid, "Neither a template nor a pod spec was given.", "Give `templateRef` or `spec`.";
    TEMPLATE_EXISTS = "NCR0211", "TemplateExists", Conflict, "A template of that name exists already.", "Choose another name, or change that template with `update_template`.";
    TEMPLATE_IMMUTABLE = "NCR0212", "TemplateImmutable", Forbidden, "The template comes with the server, or from its directory of templates, and no tool changes it.", "Create a template of another name; the operator can change the directory.";
    // 03: workspaces
    WORKSPACE_NOT_FOUND = "NCR0301", "WorkspaceNotFound", NotFound, "No workspace of that id exists, or it is not yours.", "List your workspaces and use one of their ids.";
    WORKSPACE_EXISTS = "NCR0302", "WorkspaceExists", Conflict, "A workspace of that id exists already.", "Choose another id, or stop the workspace first.";
    QUOTA_EXCEEDED = "NCR0303", "QuotaExceeded", TooMany, "The owner has as many workspaces and pods as the server allows.", "Stop a workspace or delete a pod, or ask the operator to raise MAX_WORKSPACES_PER_USER.";
    WORKSPACE_NOT_READY = "NCR0304", "WorkspaceNotReady", Unavailable, "The workspace exists but can't serve requests yet.", "Wait; its status and events tell what it is doing.";
    START_FAILED = "NCR0305", "WorkspaceStartFailed", Unprocessable, "The workspace was created but does not start.", "Read the diagnosis; then stop the workspace, correct the cause and spawn again.";
    START_TIMEOUT = "NCR0306", "WorkspaceStartTimeout", Timeout, "The workspace was created but was not ready within the time limit.", "Ask for its status and events; it may still become ready.";
    WORKSPACE_STOPPING = "NCR0307", "WorkspaceStopping", Conflict, "The workspace of that id is still stopping.", "Wait until it is gone, or choose another id.";
    POD_NOT_FOUND = "NCR0308", "PodNotFound", NotFound, "No pod of that name exists, it is not yours, or it is none that the server manages.", "List the pods and use one of their names.";
    POD_EXISTS = "NCR0309", "PodExists", Conflict, "A pod of that name exists already.", "Choose another name, or delete the pod first.";
    UPGRADE_FAILED = "NCR0310", "UpgradeFailed", Unprocessable, "A workspace can't be upgraded, or an upgrade of it has failed. It is as it was before.", "Read the cause, correct it in the template, and upgrade again.";
    UPGRADE_UNDER_WAY = "NCR0311", "UpgradeUnderWay", Conflict, "The workspace is being upgraded already, to another version.", "Wait until that upgrade has ended; the workspace's status tells.";
    // 04: access
    NAMESPACE_NOT_ALLOWED = "NCR0401", "NamespaceNotAllowed", Forbidden, "The server does not work in that namespace.", "Use the server's namespace; `current_namespace` names it.";
    SERVICE_ACCOUNT_NOT_ALLOWED = "NCR0402", "ServiceAccountNotAllowed", Forbidden, "A pod names a ServiceAccount that is not on the server's list.", "Leave `serviceAccountName` out, or ask the operator to add it to ALLOWED_SERVICE_ACCOUNTS.";
    FORBIDDEN = "NCR0403", "Forbidden", Forbidden, "The caller may not do this.", "Ask the operator for the role the message names.";
    UNAUTHENTICATED = "NCR0404", "Unauthenticated", Unauthenticated, "The request carries no valid credentials.", "Sign in, or send a valid bearer token.";
    HOST_NOT_ALLOWED = "NCR0405", "HostNotAllowed", Forbidden, "The request's Host or Origin header names a site this server does not serve.", "Use the server's own address, or ask the operator to set PUBLIC_URL.";
    IDENTITY_PROVIDER_UNAVAILABLE = "NCR0406", "IdentityProviderUnavailable", Unavailable, "The identity provider can't be reached, or does not work with the server.", "Try again; if it persists, ask the operator to look at the identity provider and the server's OAuth settings.";
    INSUFFICIENT_SCOPE = "NCR0407", "InsufficientScope", Forbidden, "The caller's token lacks a scope that this needs.", "Sign in again and ask for the scope the message names.";
    SESSION_KEY_UNKNOWN = "NCR0408", "SessionKeyUnknown", Unavailable, "The session was made a moment ago with a key that this server does not have.", "Try again in a minute; if it persists, tell the operator that all replicas need the same session key.";
    // 05: Kubernetes
    CLUSTER_UNREACHABLE = "NCR0501", "ClusterUnreachable", Unavailable, "The Kubernetes API server can't be reached.", "Check KUBECONFIG and the network; without a cluster, run `nocrd-all dev`.";
    CLUSTER_FORBIDDEN = "NCR0502", "ClusterForbidden", Forbidden, "The Kubernetes API refused the server's own identity.", "Grant the server the RBAC permission the message names.";
    CLUSTER_REFUSED = "NCR0503", "ClusterRefused", Unprocessable, "The Kubernetes API refused the object.", "Correct what the API server's message names.";
    CLUSTER_QUOTA = "NCR0504", "ClusterQuota", TooMany, "A ResourceQuota of the namespace is used up.", "Stop something in the namespace, or ask its administrator for more.";
    CLUSTER_CONFLICT = "NCR0505", "ClusterConflict", Conflict, "The object was changed by somebody else meanwhile.", "Read it again and retry.";
    NOT_SYNCED = "NCR0506", "NotSynced", Unavailable, "The server has not read the cluster's state yet.", "Try again in a moment.";
    CLUSTER_ERROR = "NCR0507", "ClusterError", BadGateway, "The Kubernetes API failed in an unexpected way.", "Try again; if it persists, look at the API server.";
    CLUSTER_NOT_FOUND = "NCR0508", "ClusterNotFound", NotFound, "The Kubernetes API knows no object of that name.", "Check the name and the namespace.";
    CLUSTER_EXISTS = "NCR0509", "ClusterExists", Conflict, "The Kubernetes API has an object of that name already.", "Choose another name, or delete the object first.";
    // 06: proxy
    ROUTE_NOT_FOUND = "NCR0601", "RouteNotFound", NotFound, "Nothing is served at this path.", "Check the URL.";
    UPSTREAM_REFUSED = "NCR0602", "UpstreamRefused", BadGateway, "The workspace does not accept connections on that port, or broke the connection.", "Check that the program in the workspace listens on the port its annotations name, on the pod's address.";
    UPSTREAM_TIMEOUT = "NCR0603", "UpstreamTimeout", Timeout, "The workspace did not answer in time.", "Try again, or raise PROXY_TIMEOUT.";
    UPSTREAM_INVALID = "NCR0604", "UpstreamInvalid", BadGateway, "The workspace answered something that is not HTTP.", "Check what listens on that port.";
    ADDRESS_REFUSED = "NCR0605", "AddressRefused", BadGateway, "The workspace's address is not one the server connects to.", "Set POD_CIDRS to the cluster's pod address ranges.";
    BODY_TOO_LARGE = "NCR0606", "BodyTooLarge", TooLarge, "The request's body is larger than the server accepts.", "Send less.";
    METHOD_NOT_ALLOWED = "NCR0607", "MethodNotAllowed", MethodNotAllowed, "The path does not support this method.", "Use a method the answer's Allow header names.";
    UPGRADE_REFUSED = "NCR0608", "UpgradeRefused", Invalid, "An upgrade other than a well-formed WebSocket handshake was asked for.", "Use a WebSocket client (RFC 6455).";
    DRAINING = "NCR0609", "Draining", Unavailable, "The server is shutting down.", "Try again: another replica, or this one after its restart, answers.";
    REQUEST_MALFORMED = "NCR0610", "RequestMalformed", Invalid, "A request's headers or body contradict HTTP, or each other.", "Use an HTTP client that follows RFC 9112; the message says what is wrong.";
    REQUEST_TIMEOUT = "NCR0611", "RequestTimeout", Slow, "The client stopped sending the request's body.", "Send the body without long pauses.";
    TUNNEL_LIMIT = "NCR0612", "TunnelLimit", Unavailable, "As many WebSockets are open as the server allows.", "Close some, or try again later.";
    RATE_LIMITED = "NCR0613", "RateLimited", TooMany, "The caller has sent more requests than the server takes in a while.", "Wait as long as the Retry-After header says.";
    WORKSPACE_BUSY = "NCR0614", "WorkspaceBusy", Unavailable, "As many requests to the workspace are under way as the server allows.", "Wait until some are answered, and try again.";
    // 07: the embedded development cluster
    DEV_CLUSTER_DATA = "NCR0701", "DevClusterData", Internal, "The embedded cluster's data directory can't be used: another process uses it, its file is damaged, or the disk refuses.", "Do what the message says, or name another directory with --data-dir.";
    DEV_CLUSTER_START = "NCR0702", "DevClusterStart", Internal, "The embedded cluster can't start.", "Do what the message says.";
    // 08: the image registry
    REGISTRY_UNREACHABLE = "NCR0801", "RegistryUnreachable", Unavailable, "The image registry, or the server that it has its tokens from, can't be reached.", "Try again; if it persists, ask the operator to check REGISTRY_URL and the network.";
    REGISTRY_FAILED = "NCR0802", "RegistryFailed", BadGateway, "The image registry does not tell which repositories it has: it refuses access, has no catalogue, or answers nonsense.", "Ask the operator to check REGISTRY_URL, and REGISTRY_USERNAME and REGISTRY_PASSWORD where the registry asks for them. Public registries such as Docker Hub have no catalogue that could be listed.";
    // 09: the server itself
    INTERNAL = "NCR0901", "Internal", Internal, "Something failed that should not.", "Report it with the request id.";
    CANCELLED = "NCR0902", "Cancelled", Conflict, "The caller cancelled the request.", "Nothing; what was created is named in the message.";
    INVALID_SETTING = "NCR0903", "InvalidSetting", Invalid, "A flag or an environment variable has a value the server can't use.", "Correct every setting the message names; `--help` tells what is allowed.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_reasons_are_unique_and_ordered() {
        for pair in TABLE.windows(2) {
            assert!(pair[0].id < pair[1].id, "{} {}", pair[0].id, pair[1].id);
        }
        let reasons: std::collections::BTreeSet<_> = TABLE.iter().map(|c| c.reason).collect();
        assert_eq!(reasons.len(), TABLE.len());
    }

    #[test]
    fn texts_are_sentences() {
        for code in TABLE {
            assert!(code.when.ends_with('.') && code.remedy.ends_with('.'), "{}", code.id);
        }
    }
}
