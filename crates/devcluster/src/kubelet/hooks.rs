//! What a container has done to it besides running: the actions of hooks and of probes.

use std::{sync::Arc, time::Duration};

use super::{
    container::Running,
    exec,
    pod::Pod,
    probes::Target,
    spec::{Action, Container},
};

/// Carries out a hook. An error says why it failed.
pub(super) async fn run(
    pod: &Arc<Pod>,
    running: &Arc<Running>,
    container: &Container,
    hook: &Action,
) -> Result<(), String> {
    if let Some(exec) = &hook.exec {
        let argv = exec.command.iter().map(Into::into).collect();
        let outcome = exec::run_to_end(&pod.node.spawner, running, argv).await?;
        return match outcome.exit_code {
            0 => Ok(()),
            code => Err(format!(
                "command {:?} exited with {code}: {}",
                exec.command.join(" "),
                outcome.output.trim()
            )),
        };
    }
    if let Some(get) = &hook.http_get {
        let target = Target { container, pod_ip: pod.ip };
        // That there is an answer is enough; unlike with probes its status does not matter.
        return pod.node.prober.get(&target, get, None).await.map(drop);
    }
    if let Some(sleep) = &hook.sleep {
        tokio::time::sleep(Duration::from_secs(sleep.seconds)).await;
    }
    Ok(())
}
