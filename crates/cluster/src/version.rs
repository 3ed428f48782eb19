//! Which object, exactly, a change is meant for.

use serde_json::{Map, Value};

/// An object as somebody looked at it. A change that carries it is refused with [`Error::Conflict`](crate::Error::Conflict)
/// when there is another object of that name by now, or, with a version, when it was changed meanwhile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// The object's uid.
    pub uid: String,
    /// The version that was looked at; `None` takes any of that object.
    pub resource_version: Option<String>,
}

impl Version {
    /// Any version of the object with this uid.
    #[must_use]
    pub fn any_of(uid: &str) -> Self {
        Self { uid: uid.to_owned(), resource_version: None }
    }

    /// As members of an object's metadata, or of the preconditions of a deletion.
    pub(crate) fn members(&self) -> Map<String, Value> {
        let mut members = Map::new();
        members.insert("uid".to_owned(), self.uid.as_str().into());
        members.extend(self.resource_version.as_deref().map(|v| ("resourceVersion".to_owned(), v.into())));
        members
    }
}
