//! What it means that a pod does not answer. Often it is on its way out: a program that is told to end closes its port at
//! once, and the news of that reaches us a moment later.

use std::time::Duration;

use nocrd_model::WorkspaceId;
use tokio::time::{Instant, sleep};

use crate::{Error, Lookup, NotReady, Target, WorkspaceDirectory};

/// How long the news may take, and how often they are looked for meanwhile.
const NEWS: Duration = Duration::from_millis(250);
const PAUSE: Duration = Duration::from_millis(25);
/// When to ask again for a workspace that has another pod now.
const SOON: Duration = Duration::from_secs(1);

/// Whether the workspace's pod is still the one with this uid. Between the look that found it and a connection to its
/// address time may pass, in which the address can have gone to somebody else's pod.
pub(crate) fn is_current(directory: &dyn WorkspaceDirectory, id: &WorkspaceId, uid: &str) -> bool {
    matches!(directory.lookup(id), Lookup::Found(target) if **target.uid() == *uid)
}

/// What to tell instead of `error`, which kept a request from this pod of workspace `id`: what has become of that pod, if
/// anything. Of a workspace that has the id now and is somebody else's, nothing is told. `repeatable` is whether the request
/// may be sent again even if the pod has got it.
pub(crate) async fn explain(
    directory: &dyn WorkspaceDirectory,
    id: &WorkspaceId,
    pod: &Target,
    error: Error,
    repeatable: bool,
) -> Error {
    let is_absence = match &error {
        Error::Replaced | Error::Refused { .. } | Error::ConnectTimeout => true,
        Error::Broken(_) => repeatable,
        _ => false,
    };
    if !is_absence {
        return error;
    }
    let deadline = Instant::now() + NEWS;
    loop {
        match directory.lookup(id) {
            Lookup::Found(target) if target.uid() == pod.uid() => {}
            Lookup::NotReady { owner, why, .. } if owner == *pod.owner() => {
                return Error::NotReady { id: id.clone(), why };
            }
            Lookup::Found(target) if target.owner() == pod.owner() => {
                let why = NotReady {
                    state: "Starting".to_owned(),
                    message: "its pod has just been replaced".to_owned(),
                    retry_after: SOON,
                    progress: None,
                };
                return Error::NotReady { id: id.clone(), why };
            }
            Lookup::Found(_) | Lookup::NotReady { .. } | Lookup::NotFound => {
                return Error::NotFound(id.clone());
            }
            Lookup::NotSynced => return Error::NotSynced,
        }
        if Instant::now() >= deadline {
            return error;
        }
        sleep(PAUSE).await;
    }
}
