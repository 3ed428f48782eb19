//! Patches: JSON patch (RFC 6902), merge patch (RFC 7396) and Kubernetes' own strategic merge patch. Server-side apply
//! is in [`crate::apply`].

pub(crate) mod strategic;

#[cfg(test)]
mod tests;

use serde_json::Value;

use crate::{
    object,
    status::{Details, Status},
};

/// A patch that says how it is to be applied.
#[derive(Debug, Clone)]
pub(crate) enum Patch {
    /// A list of operations.
    Json(json_patch::Patch),
    /// Members to set, `null` to remove.
    Merge(Value),
    /// The same, with lists merged by key and directives.
    Strategic(Value),
}

/// What a real server answers to a JSON patch whose test fails or whose path isn't there.
fn unprocessable() -> Status {
    Status::new(422, "Invalid", "the server rejected our request due to an error in our request")
        .with_details(Details::default())
}

impl Patch {
    /// Reads a patch of the media type `content_type`; `None` when that is none of a patch.
    pub(crate) fn parse(content_type: &str, body: Value) -> Option<Result<Self, Status>> {
        let object = |body: Value, patch: fn(Value) -> Self| match body {
            Value::Object(_) => Ok(patch(body)),
            other => Err(Status::bad_request(format!(
                "error decoding patch: json: cannot unmarshal {} into Go value of type map[string]interface {{}}",
                object::type_name(&other)
            ))),
        };
        match content_type {
            "application/json-patch+json" => Some(
                serde_json::from_value(body)
                    .map(Self::Json)
                    .map_err(|error| Status::bad_request(format!("error decoding patch: {error}"))),
            ),
            "application/merge-patch+json" => Some(object(body, Self::Merge)),
            "application/strategic-merge-patch+json" => Some(object(body, Self::Strategic)),
            _ => None,
        }
    }

    /// Applies the patch to an object of type `kind`.
    ///
    /// # Errors
    /// 422 when an operation can't be carried out, 400 when the patch contradicts itself.
    pub(crate) fn apply(&self, kind: &str, target: &mut Value) -> Result<(), Status> {
        match self {
            Self::Json(patch) => json_patch::patch(target, patch).map_err(|_| unprocessable()),
            Self::Merge(patch) => {
                json_patch::merge(target, patch);
                Ok(())
            }
            Self::Strategic(patch) => {
                let original = std::mem::take(target);
                *target = strategic::merge(kind, original, patch.clone())?;
                Ok(())
            }
        }
    }
}
