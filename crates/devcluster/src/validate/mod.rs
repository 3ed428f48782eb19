//! Checking objects: collecting everything that is wrong with one, in the words of a real server.

pub(crate) mod meta;
pub(crate) mod names;

use std::fmt::{Debug, Display};

use serde_json::Value;

use crate::status::Cause;

/// What is wrong with an object, in the order it was found.
#[derive(Debug, Default)]
pub(crate) struct Problems {
    causes: Vec<Cause>,
}

impl Problems {
    fn add(&mut self, reason: &'static str, field: impl Into<String>, what: &str, detail: &str) {
        let message = if detail.is_empty() { what.to_owned() } else { format!("{what}: {detail}") };
        self.causes.push(Cause { reason, message, field: field.into() });
    }

    /// Something that must be there isn't.
    pub(crate) fn required(&mut self, field: impl Into<String>, detail: &str) {
        self.add("FieldValueRequired", field, "Required value", detail);
    }

    /// A text isn't of the right form.
    pub(crate) fn invalid_text(&mut self, field: impl Into<String>, value: &str, detail: &str) {
        self.add("FieldValueInvalid", field, &format!("Invalid value: {value:?}"), detail);
    }

    /// A value isn't of the right form or size.
    pub(crate) fn invalid(&mut self, field: impl Into<String>, value: impl Display, detail: &str) {
        self.add("FieldValueInvalid", field, &format!("Invalid value: {value}"), detail);
    }

    /// A word isn't one of those there are.
    pub(crate) fn unsupported(&mut self, field: impl Into<String>, value: &str, supported: &[&str]) {
        let mut supported: Vec<String> = supported.iter().map(|word| format!("{word:?}")).collect();
        supported.sort();
        let detail = format!("supported values: {}", supported.join(", "));
        self.add("FieldValueNotSupported", field, &format!("Unsupported value: {value:?}"), &detail);
    }

    /// Something is there twice.
    pub(crate) fn duplicate(&mut self, field: impl Into<String>, value: impl Debug) {
        self.add("FieldValueDuplicate", field, &format!("Duplicate value: {value:?}"), "");
    }

    /// Something is referred to that isn't there.
    pub(crate) fn not_found(&mut self, field: impl Into<String>, value: &str) {
        self.add("FieldValueNotFound", field, &format!("Not found: {value:?}"), "");
    }

    /// Something must not be there, or not be changed.
    pub(crate) fn forbidden(&mut self, field: impl Into<String>, detail: &str) {
        self.add("FieldValueForbidden", field, "Forbidden", detail);
    }

    /// Something is longer than allowed.
    pub(crate) fn too_long(&mut self, field: impl Into<String>, limit: usize) {
        self.add("FieldValueTooLong", field, "Too long", &format!("may not be more than {limit} bytes"));
    }

    /// A text for which a check found objections.
    pub(crate) fn objections(&mut self, field: &str, value: &str, objections: Vec<String>) {
        for objection in objections {
            self.invalid_text(field, value, &objection);
        }
    }

    /// All of it.
    pub(crate) fn into_causes(self) -> Vec<Cause> {
        self.causes
    }
}

/// The members of an object member, if it is one.
pub(crate) fn entries(value: Option<&Value>) -> impl Iterator<Item = (&String, &Value)> {
    value.and_then(Value::as_object).into_iter().flatten()
}
