//! Selecting objects by label and by field.

mod field;
mod label;

pub(crate) use self::{field::FieldSelector, label::LabelSelector};
