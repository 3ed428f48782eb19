//! Tools about templates.

pub(crate) mod read;
pub(crate) mod write;
