//! kubectl on the embedded cluster.

mod program;
mod session;

pub(crate) use program::Kubectl;
