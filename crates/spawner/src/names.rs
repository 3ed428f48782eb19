//! Names of the objects that make up a workspace. They depend on its id alone, so that the API server itself refuses a
//! second pod of the same id in one namespace.

use nocrd_model::{PodName, Subject, WorkspaceId, id::MAX_LABEL_LEN, keys};

/// Longest id that stands in a name as it is.
const KEPT: usize = MAX_LABEL_LEN - "ws-sa-".len();
/// Likewise, the longest name of a pod that is no workspace.
const KEPT_OF_POD: usize = 200;

/// What the names of workspaces' pods begin with, and no other pod's that this server creates.
pub(crate) const POD_PREFIX: &str = "ws-";

/// A name made of an id: with the first prefix when it is whole, with the other when it is not. So no short id has the name
/// that a long one is shortened to.
fn name((whole, cut): (&str, &str), id: &WorkspaceId) -> String {
    if id.as_str().len() <= KEPT {
        return format!("{whole}{id}");
    }
    format!("{cut}{}", shortened(id.as_str(), MAX_LABEL_LEN - cut.len()))
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
    name((POD_PREFIX, "ws----"), id)
}

/// The other name that a workspace's pod can have: while one pod takes over from another there are two. It is no other
/// workspace's, since ids begin with a letter or digit.
pub(crate) fn twin(id: &WorkspaceId) -> String {
    name(("ws--", "ws-----"), id)
}

/// The name of the pod that takes over from one called `present`: always the same, so that the API server itself sees to
/// it that there is one at most.
pub(crate) fn successor(id: &WorkspaceId, present: &str) -> String {
    let first = pod(id);
    if present == first { twin(id) } else { first }
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
    let name = name(("ws-sa-", "ws-sa-"), id);
    // The API server cuts a prefix so that its five characters fit.
    let kept = name.get(..MAX_LABEL_LEN - 6).unwrap_or(&name);
    format!("{kept}-")
}

/// The Secret with the context of a pod that is no workspace. Ids of workspaces begin with a letter or digit, so that it is
/// no workspace's, of whichever of its two pods.
pub(crate) fn context_secret_of_pod(pod: &PodName) -> String {
    let text = pod.as_str();
    // A name that is cut is told from one that is whole, as for workspaces.
    let prefix = if text.len() <= KEPT_OF_POD { "ws---" } else { "ws------" };
    format!("{prefix}{}{CONTEXT_SUFFIX}", shortened(text, KEPT_OF_POD))
}

/// What the names of the ServiceAccounts of pods that are no workspaces begin with.
pub(crate) const SERVICE_ACCOUNT_OF_POD: &str = "ws-sa--";

/// Likewise for ServiceAccounts.
pub(crate) fn service_account_prefix_of_pod(pod: &PodName) -> String {
    format!("{SERVICE_ACCOUNT_OF_POD}{}-", shortened(pod.as_str(), KEPT_OF_POD))
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
            for name in [pod(&x), twin(&x), format!("{}abcde", service_account_prefix(&x))] {
                prop_assert!(nocrd_model::id::is_dns_label(&name), "{name}");
            }
            prop_assert_eq!(pod(&x) == pod(&y), x == y);
            prop_assert_eq!(twin(&x) == twin(&y), x == y);
            prop_assert!(twin(&x) != pod(&y));
            prop_assert_eq!(successor(&x, &successor(&x, &pod(&x))), pod(&x));
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
            prop_assert!(is_protected_secret(&secret) && secret != context_secret(&pod(&y)) && secret != context_secret(&twin(&y)));
            prop_assert!(!account.starts_with(&service_account_prefix(&y)), "{account}");
        }
    }

    #[test]
    fn t57_no_name_is_another_s_shortened() {
        let long = WorkspaceId::parse(&"x".repeat(63)).unwrap();
        for name in [pod(&long), twin(&long)] {
            assert!(nocrd_model::id::is_dns_label(&name), "{name}");
            for prefix in ["ws-", "ws--"] {
                let squatter = name.strip_prefix(prefix).and_then(|id| WorkspaceId::parse(id).ok());
                assert_eq!(squatter, None, "{name}");
            }
        }
        let long = PodName::parse(&format!("team-{}", "a".repeat(240))).unwrap();
        let secret = context_secret_of_pod(&long);
        let squatter = secret.strip_prefix("ws---").and_then(|rest| rest.strip_suffix(CONTEXT_SUFFIX));
        assert!(squatter.is_some_and(|name| PodName::parse(name).is_err()), "{secret}");
    }

    #[test]
    fn long_ids_that_differ_at_the_end_stay_apart() {
        let [a, b] = ["a", "b"].map(|end| WorkspaceId::parse(&format!("{}{end}", "x".repeat(62))).unwrap());
        assert_ne!(pod(&a), pod(&b));
        assert_eq!(pod(&WorkspaceId::parse("w1").unwrap()), "ws-w1");
    }
}
