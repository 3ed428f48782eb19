//! What the API asks of a kubelet: logs and exec.

use std::sync::Arc;

use async_trait::async_trait;
use futures::StreamExt;
use serde_json::Value;

use super::{
    Kubelet,
    container::{Container, State},
    exec, logs,
};
use crate::{
    object,
    runtime::{ExecRequest, ExecSession, LogOptions, LogStream, Runtime},
    status::Status,
};

#[async_trait]
impl Runtime for Kubelet {
    async fn logs(&self, pod: Arc<Value>, options: LogOptions) -> Result<LogStream, Status> {
        let name = object::name(&pod);
        let container = self.find(&pod, &options.container)?;
        let missing = || {
            let container = &options.container;
            Status::bad_request(format!(
                "previous terminated container {container:?} in pod {name:?} not found"
            ))
        };
        let log = if options.previous {
            // Between two runs the last one is the previous one as well.
            match container.record().state {
                State::Waiting { .. } => container.log(),
                _ => container.previous_log(),
            }
            .ok_or_else(missing)?
        } else {
            container.log().ok_or_else(|| waiting(&container, name))?
        };
        let LogOptions { follow, timestamps, tail_lines: tail, since, limit_bytes: limit, .. } = options;
        Ok(logs::read(log, logs::Selection { follow, timestamps, tail, since, limit }).boxed())
    }

    async fn exec(&self, pod: Arc<Value>, request: ExecRequest) -> Result<ExecSession, Status> {
        let container = self.find(&pod, &request.container)?;
        let Some(running) = container.running() else {
            let container = &request.container;
            return Err(Status::bad_request(format!("container {container:?} is not running")));
        };
        Ok(exec::session(&self.node.spawner, running, &request).await)
    }
}

impl Kubelet {
    fn find(&self, pod: &Value, container: &str) -> Result<Arc<Container>, Status> {
        let run = self.node.pods().get(object::uid(pod)).and_then(|run| run.container(container).cloned());
        run.ok_or_else(|| {
            let name = object::name(pod);
            Status::bad_request(match object::text_at(pod, &["status", "phase"]) {
                // It will be found in a moment.
                "Pending" => format!("container {container:?} in pod {name:?} is waiting to start: ContainerCreating"),
                _ => format!("container {container:?} in pod {name:?} ran before the cluster was started; its log is gone"),
            })
        })
    }
}

/// Why there is no log yet.
fn waiting(container: &Container, pod: &str) -> Status {
    let reason = match container.record().state {
        State::Waiting { reason, .. } => reason,
        _ => "ContainerCreating".into(),
    };
    let why = match reason.as_str() {
        "ErrImagePull" => "image can't be pulled",
        "ImagePullBackOff" => "trying and failing to pull image",
        reason => reason,
    };
    Status::bad_request(format!("container {:?} in pod {pod:?} is waiting to start: {why}", container.name))
}
