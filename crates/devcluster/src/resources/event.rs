//! Events.

use serde_json::Value;

use crate::{object, validate::Problems};

/// An event lives where the object lives that it is about; about one without a namespace, in `default`.
pub(super) fn check(event: &Value, problems: &mut Problems) {
    let own = object::namespace(event);
    let involved = object::text_at(event, &["involvedObject", "namespace"]);
    let fits = if involved.is_empty() { own == "default" || own == "kube-system" } else { involved == own };
    if !fits {
        problems.invalid_text("involvedObject.namespace", involved, "does not match event.namespace");
    }
}
