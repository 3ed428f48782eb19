//! Every `nogoo9/*` label and annotation, in one table with its documentation.
//!
//! No other place in the workspace spells one of these keys out (`cargo xtask tidy` checks that), and the reference in
//! the book is rendered from [`TABLE`].

/// Prefix of all keys.
pub const PREFIX: &str = "nogoo9/";
/// Value of [`MANAGED_BY`] on everything this product creates.
pub const MANAGED_BY_VALUE: &str = "nogoo9-spawner";
/// Value of [`TYPE`] on workspace pods.
pub const TYPE_WORKSPACE: &str = "workspace";
/// Value of [`TEMPLATE_AUTHOR`].
pub const AUTHOR_ADMIN: &str = "admin";
/// Version of a template that names none.
pub const DEFAULT_TEMPLATE_VERSION: &str = "1.0.0";
/// Grace period, in seconds, of a workspace that has a pre-stop command and names no period.
pub const DEFAULT_GRACE_PERIOD_SECONDS: u32 = 60;
/// Port of a workspace that names none when the server has no default either.
pub const DEFAULT_WORKSPACE_PORT: u16 = 3000;
/// Annotation of a ServiceAccount that names its AWS IAM role (EKS, IAM roles for service accounts).
pub const EKS_ROLE_ARN: &str = "eks.amazonaws.com/role-arn";
/// Name of the init container that runs [`INIT_COMMAND`].
pub const INIT_CONTAINER: &str = "spawner-init";
/// Name of the container that runs [`PRE_STOP_COMMAND`] when [`PRE_STOP_SIDECAR_IMAGE`] is given.
pub const SIDECAR_CONTAINER: &str = "spawner-sidecar";
/// Scheduling gate of a pod that waits until the one it replaces is gone.
pub const UPGRADE_GATE: &str = UPGRADE;
/// Container whose logs are meant when none is named.
pub const MAIN_CONTAINER: &str = "agent";

/// Name of the Secret in which replicas share the key of sessions.
pub const SESSION_KEY_SECRET: &str = "nogoo9-session-key";
/// What the names of the Secrets begin with in which replicas share the refresh of a sign-in.
pub const REFRESH_SECRET_PREFIX: &str = "nogoo9-refresh-";
/// Value of [`TYPE`] on those Secrets.
pub const TYPE_REFRESH: &str = "refresh";
/// What the names of the Secrets begin with in which replicas share what users give on the server's pages.
pub const PENDING_CONTEXT_PREFIX: &str = "nogoo9-context-";
/// Value of [`TYPE`] on those Secrets.
pub const TYPE_PENDING_CONTEXT: &str = "pending-context";
/// Name of the ConfigMap in which replicas share which sign-ins were ended.
pub const REVOCATIONS_CONFIG_MAP: &str = "nogoo9-ended-sessions";

/// Where a key stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A label.
    Label,
    /// An annotation.
    Annotation,
    /// Both: the label to select by, the annotation with the exact value.
    Both,
}

/// What the spawner does with a key that stands on a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// Kept by the server itself: nobody else can set it on a pod.
    Reserved,
    /// Tells the spawner what to do; stays on the template.
    Directive,
    /// Reaches the workspace's pod.
    Copied,
}

/// One key and what there is to know of it.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// The key, or a pattern with `<name>` in it.
    pub key: &'static str,
    /// Label or annotation.
    pub kind: Kind,
    /// What it does.
    pub usage: Use,
    /// The form of its value.
    pub value: &'static str,
    /// What holds when it is absent.
    pub default: &'static str,
    /// Meaning, in a sentence or two.
    pub doc: &'static str,
    /// First version with it; empty when it was there from the start.
    pub since: &'static str,
}

macro_rules! keys {
    ($($name:ident = $key:literal, $kind:ident, $usage:ident, $value:literal, $default:literal, $since:literal, $doc:literal;)*) => {
        $(#[doc = $doc] pub const $name: &str = $key;)*

        /// All keys, in the order of the reference.
        pub const TABLE: &[Key] = &[
            $(Key { key: $key, kind: Kind::$kind, usage: Use::$usage, value: $value, default: $default, since: $since, doc: $doc },)*
        ];
    };
}

keys! {
    POD_TEMPLATE = "nogoo9/pod-template", Label, Reserved, "`true`", "", "", "On a ConfigMap: its `spec` key is a pod template.";
    TYPE = "nogoo9/type", Label, Reserved, "`workspace`", "", "", "Marks the pod of a workspace.";
    WORKSPACE_ID = "nogoo9/workspace-id", Label, Reserved, "DNS label", "", "", "The workspace's id.";
    USER_SUB = "nogoo9/user-sub", Both, Reserved, "subject", "", "0.2", "Owner of a workspace or creator of a template. The annotation holds the exact subject and decides; the label is the subject where Kubernetes allows it as a label value, else a prefix of it and a hash.";
    MANAGED_BY = "nogoo9/managed-by", Label, Reserved, "`nogoo9-spawner`", "", "0.5", "Marks everything this server creates.";
    TEMPLATE_AUTHOR = "nogoo9/template-author", Annotation, Reserved, "`admin`", "", "0.18", "On a ConfigMap: an administrator wrote the template's spec. A template with an owner (`nogoo9/user-sub`) and without this may do no more than whoever spawns from it: what it refers to is checked as if they had brought it.";
    TEMPLATE_REF = "nogoo9/template-ref", Annotation, Reserved, "template reference", "", "0.4", "Template the workspace was spawned from.";
    TEMPLATE_VERSION = "nogoo9/template-version", Annotation, Reserved, "text", "`1.0.0`", "0.8", "On a template: its version. On a pod: the version it was spawned from.";
    CONTEXT_SECRET = "nogoo9/context-secret", Annotation, Reserved, "Secret name", "", "0.18", "On a pod: the Secret that holds the context values given when it was spawned.";
    WORKSPACE_NAME = "nogoo9/workspace-name", Annotation, Copied, "text", "the pod's name", "0.4", "Display name of the workspace, as given when it was spawned.";
    LAST_UPGRADE_ERROR = "nogoo9/last-upgrade-error", Annotation, Reserved, "text", "", "0.12", "On a pod: why the last upgrade of the workspace failed.";
    SPAWN_INPUTS = "nogoo9/spawn-inputs", Annotation, Reserved, "JSON", "", "0.18", "On a pod: what was given when the workspace was spawned from its template, of `context` the names only. An upgrade makes the new pod from it. No reply shows it.";
    TEMPLATE_ORIGIN = "nogoo9/template-origin", Annotation, Reserved, "`ConfigMap`, `Directory` or `BuiltIn`; `ConfigMap:` and a user", "", "0.18", "On a pod: where its template came from, and whose it was, if it was a user's. Only a template from there counts as a later version of it, and only one of the same user's, else one that an operator or administrator answers for.";
    UPGRADE = "nogoo9/upgrade", Annotation, Reserved, "JSON", "", "0.18", "On a pod: the upgrade that is about to replace it. Also the scheduling gate of a pod that waits for its predecessor to be gone.";
    UPGRADE_FROM = "nogoo9/upgrade-from", Annotation, Reserved, "JSON", "", "0.18", "On a pod: which pod it replaces, until it has.";
    UPGRADE_ROLLBACK = "nogoo9/upgrade-rollback", Annotation, Reserved, "JSON", "", "0.18", "On a pod: the pod it replaces as it was, to go back to when this one does not start. No reply shows it.";
    DESCRIPTION = "nogoo9/description", Annotation, Copied, "text", "", "", "What the template is for, in a sentence.";
    TEMPLATE_DESCRIPTION = "nogoo9/template-description", Annotation, Copied, "text", "", "", "Older spelling of `nogoo9/description`, read when that is absent.";
    TAG = "nogoo9/tag", Annotation, Copied, "text", "", "", "Groups templates in lists.";
    REQUIRED_CONTEXT = "nogoo9/required-context", Annotation, Directive, "comma-separated names", "", "0.2", "Variables that `context` must give, or nothing is spawned. Every caller may set them, whatever their names.";
    PLAIN_CONTEXT = "nogoo9/plain-context", Annotation, Directive, "comma-separated names", "none", "0.18", "Context variables that are no secrets. Clients may ask their users for these in a form of their own; all others are taken for secrets, which never go through the client.";
    IAM_ROLE_ARN = "nogoo9/iam-role-arn", Annotation, Directive, "AWS role ARN", "", "0.2", "Gives the workspace a ServiceAccount of its own that carries this role (EKS, IAM roles for service accounts).";
    INIT_IMAGE = "nogoo9/init-image", Annotation, Directive, "image", "", "0.2", "Image of an init container `spawner-init`; needs `nogoo9/init-command`.";
    INIT_COMMAND = "nogoo9/init-command", Annotation, Directive, "shell command", "", "0.2", "What that init container runs with `/bin/sh -c`. It sees the context variables.";
    INIT_SHARE_VOLUMES = "nogoo9/init-share-volumes", Annotation, Directive, "`true` or `false`", "`true`", "0.5.5", "Whether the init container has the volume mounts of the first container.";
    PRE_STOP_COMMAND = "nogoo9/pre-stop-command", Annotation, Directive, "shell command", "", "0.2", "Runs with `/bin/sh -c` in the first container before the workspace stops, within the grace period.";
    PRE_STOP_SIDECAR_IMAGE = "nogoo9/pre-stop-sidecar-image", Annotation, Directive, "image", "", "0.2", "Runs the pre-stop command in a container `spawner-sidecar` of this image instead; it has the first container's volume mounts.";
    DEFAULT_GRACE_PERIOD = "nogoo9/default-grace-period", Annotation, Directive, "seconds, 0 to 86400", "the spec's value, else 60 with a pre-stop command", "0.2", "Seconds between the request to stop and the kill: the pod's `terminationGracePeriodSeconds`.";
    ALLOWED_ROLES = "nogoo9/allowed-roles", Annotation, Directive, "comma-separated roles", "everybody", "0.17", "Who may start a pod from the template: holders of one of these roles, and administrators. A list that names none, such as `,`, lets in administrators only.";
    ALLOWED_SCOPES = "nogoo9/allowed-scopes", Annotation, Directive, "comma-separated scopes", "everybody", "0.17", "Likewise by scope, which must stand in the token; with both given, both must hold.";
    WORKSPACE_PORT = "nogoo9/workspace-port", Annotation, Copied, "1 to 65535", "`DEFAULT_WORKSPACE_PORT`, else 3000", "", "Port of the workspace's main page.";
    WORKSPACE_PROTOCOL = "nogoo9/workspace-protocol", Annotation, Copied, "`http` or `h2c`", "`http`", "0.18", "Version of HTTP that the workspace's port speaks. `http`: HTTP/1.1, and HTTP/2 for gRPC. `h2c`: HTTP/2 without TLS (prior knowledge) for everything but WebSockets.";
    WORKSPACE_PATH = "nogoo9/workspace-path", Annotation, Copied, "path", "`nogoo9/preview-path`, else `/`", "", "Where the workspace's main page is.";
    WORKSPACE_TYPE = "nogoo9/workspace-type", Annotation, Copied, "text: `html`, `iframe`, `novnc`, `markdown`", "`nogoo9/preview-type`, else `html`", "", "How a dashboard shows the main page.";
    PREVIEW_PATH = "nogoo9/preview-path", Annotation, Copied, "path", "", "", "Older spelling of `nogoo9/workspace-path`.";
    PREVIEW_TYPE = "nogoo9/preview-type", Annotation, Copied, "text", "", "", "Older spelling of `nogoo9/workspace-type`.";
    WORKSPACE_AUTH_MODE = "nogoo9/workspace-auth-mode", Annotation, Copied, "comma list of `token-api`, `inject-headers`, `no-auth`", "", "0.6", "How the proxy treats authentication for this workspace. `no-auth`: its own port is for everybody, and told nothing of anybody. `token-api`: pages of it may ask for its owner's access token. `inject-headers`: its owner's access token is fetched for `x-workspace-jwt` where a session brings none.";
    AUTH_REQUIRE_TOKEN = "nogoo9/auth-require-token", Annotation, Copied, "`true` or `false`", "`false`", "0.9", "Whether a request without an access token, and whose session can yield none, is refused. `no-auth` has no effect beside it.";
    API_PORT = "nogoo9/api.<name>.port", Annotation, Copied, "1 to 65535", "", "", "Declares an additional HTTP port; without it the other keys of that name count for nothing.";
    API_PATH = "nogoo9/api.<name>.path", Annotation, Copied, "path", "`/`", "", "Path under the workspace's URL that leads to that port.";
    API_DESC = "nogoo9/api.<name>.desc", Annotation, Copied, "text", "", "", "What the API is, for people.";
    API_METHOD = "nogoo9/api.<name>.method", Annotation, Copied, "comma list of HTTP methods, or `*`", "any method", "", "Methods that reach that port.";
    API_REFRESH = "nogoo9/api.<name>.refresh", Annotation, Copied, "`10s`, `1m`, `init`", "", "0.8.1", "How often a dashboard asks it.";
    API_PROTOCOL = "nogoo9/api.<name>.protocol", Annotation, Copied, "`http` or `h2c`", "`http`", "0.18", "Version of HTTP that port speaks, as `nogoo9/workspace-protocol`. APIs that share a port share its version: one that says `h2c` is enough.";
    API_VISIBILITY = "nogoo9/api.<name>.visibility", Annotation, Copied, "`private`, `internal`, `admin`, `scope:<s>`, `role:<r>` or comma-separated subjects", "`private`; `admin` for `stats` and `last_activity`", "0.10", "Who may reach it beside the owner, who always may. Administrators may only by `admin`, or as anybody else; a scope or role must stand in the token itself. What is no keyword is a list of subjects.";
}

/// Keys that mean nothing although tools have written them, and those that were meant.
const LOOK_ALIKES: [(&str, &str); 9] = [
    ("nogoo9/context", REQUIRED_CONTEXT),
    ("nogoo9/grace-period", DEFAULT_GRACE_PERIOD),
    ("nogoo9/init.cmd", INIT_COMMAND),
    ("nogoo9/init.image", INIT_IMAGE),
    ("nogoo9/port", WORKSPACE_PORT),
    ("nogoo9/prestop.cmd", PRE_STOP_COMMAND),
    ("nogoo9/prestop.sidecar", PRE_STOP_SIDECAR_IMAGE),
    ("nogoo9/preview.path", WORKSPACE_PATH),
    ("nogoo9/preview.type", WORKSPACE_TYPE),
];

/// The key that was most likely meant by one that means nothing.
#[must_use]
pub fn meant_by(key: &str) -> Option<&'static str> {
    LOOK_ALIKES.iter().find(|(written, _)| *written == key).map(|(_, meant)| *meant)
}

/// Prefix of the keys that declare an additional port.
pub const API_PREFIX: &str = "nogoo9/api.";

/// Splits `nogoo9/api.<name>.<field>` into name and field. The name has no dot and is not empty; the field is one of
/// the known seven.
#[must_use]
pub fn split_api_key(key: &str) -> Option<(&str, &str)> {
    let (name, field) = key.strip_prefix(API_PREFIX)?.split_once('.')?;
    let known = matches!(field, "port" | "path" | "desc" | "method" | "refresh" | "visibility" | "protocol");
    (!name.is_empty() && known).then_some((name, field))
}

fn find(key: &str) -> Option<&'static Key> {
    TABLE.iter().find(|entry| entry.key == key)
}

/// Tells whether only the server itself may set `key` on a pod.
#[must_use]
pub fn is_reserved(key: &str) -> bool {
    find(key).is_some_and(|entry| entry.usage == Use::Reserved)
}

/// Tells whether only the server itself may set an annotation of this key on a template: of the keys kept for it, the
/// version is the author's.
#[must_use]
pub fn is_reserved_on_template(key: &str) -> bool {
    is_reserved(key) && key != TEMPLATE_VERSION
}

/// Tells whether an annotation of this key, standing on a template, reaches the workspace's pod.
#[must_use]
pub fn is_annotation_copied(key: &str) -> bool {
    split_api_key(key).is_some() || find(key).is_some_and(|entry| entry.usage == Use::Copied)
}

/// Tells whether deployment tools mark what they deploy with a label of this key, and Services and NetworkPolicies
/// select by it: a workspace must not pass for a part of a deployment.
#[must_use]
pub fn is_deployment_label(key: &str) -> bool {
    key.starts_with("app.kubernetes.io/") || key.starts_with("helm.sh/")
}

/// Tells whether the gateway's own Services select pods by this label: nothing else may answer in its place.
#[must_use]
pub fn is_gateway_label(key: &str, value: &str) -> bool {
    key == "app" && matches!(value, "nogoo9-mcp" | "no-crd")
}

/// Tells whether a label of this key, standing on a template, reaches the workspace's pod: all but ours and those with which
/// deployment tools mark the ConfigMap itself.
#[must_use]
pub fn is_label_copied(key: &str) -> bool {
    !key.starts_with(PREFIX) && !is_deployment_label(key)
}

/// Tells whether `key` is one of ours and known: an unknown `nogoo9/` key in a request is most likely a typing error.
#[must_use]
pub fn is_known(key: &str) -> bool {
    split_api_key(key).is_some() || find(key).is_some()
}

/// The label selector of all workspace pods.
#[must_use]
pub fn workspace_selector() -> String {
    format!("{TYPE}={TYPE_WORKSPACE}")
}

/// The label selector of all template ConfigMaps.
#[must_use]
pub fn template_selector() -> String {
    format!("{POD_TEMPLATE}=true")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_unique_and_prefixed() {
        let mut seen = std::collections::BTreeSet::new();
        for entry in TABLE {
            assert!(entry.key.starts_with(PREFIX) && !entry.doc.is_empty(), "{entry:?}");
            assert!(seen.insert(entry.key), "{}", entry.key);
        }
    }

    #[test]
    fn k50_look_alikes_mean_nothing_and_lead_to_what_does() {
        for (written, meant) in LOOK_ALIKES {
            assert!(!is_known(written) && is_known(meant), "{written}");
            assert_eq!(meant_by(written), Some(meant));
        }
        assert_eq!(meant_by(WORKSPACE_PORT), None);
    }

    #[test]
    fn c03_labels_of_the_gateway() {
        assert!(is_gateway_label("app", "no-crd") && is_gateway_label("app", "nogoo9-mcp"));
        assert!(!is_gateway_label("app", "mine") && !is_gateway_label("name", "no-crd"));
    }

    #[test]
    fn t49_k53_reserved_keys() {
        for key in
            [TYPE, WORKSPACE_ID, MANAGED_BY, USER_SUB, TEMPLATE_REF, TEMPLATE_VERSION, LAST_UPGRADE_ERROR]
                .into_iter()
                .chain([SPAWN_INPUTS, TEMPLATE_ORIGIN, UPGRADE, UPGRADE_FROM, UPGRADE_ROLLBACK])
        {
            assert!(is_reserved(key) && !is_annotation_copied(key) && !is_label_copied(key), "{key}");
        }
        assert!(is_annotation_copied("nogoo9/api.terminal.port"));
        assert!(!is_annotation_copied("nogoo9/api.a.b.port") && !is_annotation_copied("nogoo9/api..port"));
        assert!(!is_annotation_copied("kubectl.kubernetes.io/last-applied-configuration"));
        assert!(!is_annotation_copied(INIT_COMMAND) && !is_annotation_copied(ALLOWED_ROLES));
        assert!(
            !is_label_copied("nogoo9/bogus")
                && is_label_copied("team")
                && !is_label_copied("app.kubernetes.io/managed-by")
        );
    }
}
