//! What the parts of a pod have in common.

use serde_json::Value;

use crate::{
    object::{self, list_at, text_at},
    status::Status,
};

/// The container a request means: the one it names, or the only one.
///
/// # Errors
/// 400 when it names none that exists, or none where there are several.
pub(super) fn container(pod: &Value, wanted: Option<&str>) -> Result<String, Status> {
    let names = |list| -> Vec<&str> {
        list_at(pod, &["spec", list]).iter().map(|container| text_at(container, &["name"])).collect()
    };
    let (containers, init) = (names("containers"), names("initContainers"));
    let pod_name = object::name(pod);
    match (wanted, containers.as_slice()) {
        (Some(wanted), _) if containers.contains(&wanted) || init.contains(&wanted) => Ok(wanted.to_owned()),
        (Some(wanted), _) => {
            Err(Status::bad_request(format!("container {wanted} is not valid for pod {pod_name}")))
        }
        (None, [only]) => Ok((*only).to_owned()),
        (None, []) => {
            Err(Status::bad_request(format!("a container name must be specified for pod {pod_name}")))
        }
        (None, several) => {
            let mut message = format!(
                "a container name must be specified for pod {pod_name}, choose one of: [{}]",
                several.join(" ")
            );
            if !init.is_empty() {
                message.push_str(&format!(" or one of the init containers: [{}]", init.join(" ")));
            }
            Err(Status::bad_request(message))
        }
    }
}
