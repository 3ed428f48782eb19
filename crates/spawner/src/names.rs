//! Names of the objects that make up a workspace. They depend on its id alone, so that the API server itself refuses a
//! second pod of the same id in one namespace.

use nocrd_model::{PodName, Subject, WorkspaceId, id::MAX_LABEL_LEN, keys};

/// Longest id that stands in a name as it is.
const KEPT: usize = MAX_LABEL_LEN - "ws-sa-".len();

/// What the names of workspaces' pods begin with, and no other pod's that this server creates.
pub(crate) const POD_PREFIX: &str = "ws-";

fn name(prefix: &str, id: &WorkspaceId) -> String {
    format!("{prefix}{}", shortened(id.as_str(), KEPT))
}

/// A text of at most `limit` bytes: a longer one is cut, and ends in a hash of the whole.
fn shortened(text: &str, limit: usize) -> String {
    if text.len() <= limit {
        return text.to_owned();
    }
    // A subject's label form ends in 32 hexadecimal digits of a hash; eight keep two long names apart.
    let hash: String = Subject::new(format!("{text}\0")).label_value().chars().rev().take(8).collect();
    let kept = text.get(..limit - 9).unwrap_or(text).trim_end_matches(['-', '.']);
    format!("{kept}-{hash}")
}

/// The pod: `ws-<id>`, at most 63 characters so that its host name is not cut.
pub(crate) fn pod(id: &WorkspaceId) -> String {
    name(POD_PREFIX, id)
}

/// Tells whether the pod of a workspace could have this name.
pub(crate) fn is_workspaces_pod(name: &str) -> bool {
    name.starts_with(POD_PREFIX)
}

/// The Secret with its context: `<pod>-context`.
pub(crate) fn context_secret(pod: &str) -> String {
    format!("{pod}{CONTEXT_SUFFIX}")
}

/// What the names of the ServiceAccounts generated for a workspace begin with; the API server adds the rest, so that no
/// two attempts at one id share an account, and with it a role.
pub(crate) fn service_account_prefix(id: &WorkspaceId) -> String {
    let name = name("ws-sa-", id);
    // The API server cuts a prefix so that its five characters fit.
    let kept = name.get(..MAX_LABEL_LEN - 6).unwrap_or(&name);
    format!("{kept}-")
}

/// The Secret with the context of a pod that is no workspace. Ids of workspaces begin with a letter or digit, so that it is
/// no workspace's.
pub(crate) fn context_secret_of_pod(pod: &PodName) -> String {
    format!("{POD_PREFIX}-{}{CONTEXT_SUFFIX}", shortened(pod.as_str(), 200))
}

/// Likewise for ServiceAccounts.
pub(crate) fn service_account_prefix_of_pod(pod: &PodName) -> String {
    format!("ws-sa--{}-", shortened(pod.as_str(), 200))
}

const CONTEXT_SUFFIX: &str = "-context";

/// Tells whether a Secret of this name belongs to the server or to a workspace, so that no pod spec may refer to it.
pub(crate) fn is_protected_secret(name: &str) -> bool {
    name == keys::SESSION_KEY_SECRET
        || name.starts_with(keys::REFRESH_SECRET_PREFIX)
        || name.starts_with(keys::PENDING_CONTEXT_PREFIX)
        || (name.starts_with(POD_PREFIX) && name.ends_with(CONTEXT_SUFFIX))
}

/// Likewise for a ConfigMap.
pub(crate) fn is_protected_config_map(name: &str) -> bool {
    name == keys::REVOCATIONS_CONFIG_MAP
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn are_dns_labels_and_distinct(a in "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", b in "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?") {
            let (x, y) = (WorkspaceId::parse(&a).unwrap(), WorkspaceId::parse(&b).unwrap());
            for name in [pod(&x), format!("{}abcde", service_account_prefix(&x))] {
                prop_assert!(nocrd_model::id::is_dns_label(&name), "{name}");
            }
            prop_assert_eq!(pod(&x) == pod(&y), x == y);
            prop_assert!(is_protected_secret(&context_secret(&pod(&x))));
        }
    }

    proptest! {
        #[test]
        fn objects_of_pods_are_no_workspaces(a in "[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?", b in "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?") {
            let Ok(x) = PodName::parse(&a) else { return Ok(()) };
            let y = WorkspaceId::parse(&b).unwrap();
            let secret = context_secret_of_pod(&x);
            let account = format!("{}abcde", service_account_prefix_of_pod(&x));
            for name in [&secret, &account] {
                prop_assert!(nocrd_model::id::is_dns_subdomain(name), "{name}");
            }
            prop_assert!(is_protected_secret(&secret) && secret != context_secret(&pod(&y)));
            prop_assert!(!account.starts_with(&service_account_prefix(&y)), "{account}");
        }
    }

    #[test]
    fn long_ids_that_differ_at_the_end_stay_apart() {
        let [a, b] = ["a", "b"].map(|end| WorkspaceId::parse(&format!("{}{end}", "x".repeat(62))).unwrap());
        assert_ne!(pod(&a), pod(&b));
        assert_eq!(pod(&WorkspaceId::parse("w1").unwrap()), "ws-w1");
    }
}
