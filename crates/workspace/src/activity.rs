use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use http::{HeaderMap, header::USER_AGENT};
use jiff::Timestamp;

/// When somebody last used the workspace; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Activity(Arc<AtomicI64>);

/// Paths that programs ask on their own, with nobody watching.
const UNATTENDED: [&str; 3] = ["/healthz", "/stats", "/last_activity"];

impl Activity {
    /// Starting a workspace is the first use of it.
    pub(crate) fn starting_now() -> Self {
        Self(Arc::new(AtomicI64::new(Timestamp::now().as_second())))
    }

    pub(crate) fn note(&self) {
        self.0.fetch_max(Timestamp::now().as_second(), Ordering::Relaxed);
    }

    /// Notes a request, unless a kubelet or a dashboard sent it.
    pub(crate) fn note_request(&self, path: &str, headers: &HeaderMap) {
        if counts(path, headers) {
            self.note();
        }
    }

    /// Unix time in seconds.
    pub(crate) fn last(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

fn counts(path: &str, headers: &HeaderMap) -> bool {
    let probe = headers.get(USER_AGENT).is_some_and(|agent| agent.as_bytes().starts_with(b"kube-probe/"));
    !probe && !UNATTENDED.contains(&path)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn at(seconds: i64) -> Activity {
        Activity(Arc::new(AtomicI64::new(seconds)))
    }

    #[test]
    fn people_count_and_machines_do_not() {
        let nobody = HeaderMap::new();
        let mut probe = HeaderMap::new();
        probe.insert(USER_AGENT, HeaderValue::from_static("kube-probe/1.36"));
        let after = |path: &str, headers: &HeaderMap| {
            let activity = at(0);
            activity.note_request(path, headers);
            activity.last()
        };
        assert!(after("/", &nobody) > 0 && after("/echo", &nobody) > 0 && after("/stats/x", &nobody) > 0);
        for path in UNATTENDED {
            assert_eq!(after(path, &nobody), 0, "{path}");
        }
        assert_eq!(after("/", &probe), 0);
    }

    #[test]
    fn never_goes_back() {
        let activity = at(i64::MAX);
        activity.note();
        assert_eq!(activity.last(), i64::MAX);
    }
}
