//! From a request to an answer.

mod app;
mod body;
pub(crate) mod guard;
mod pause;
mod request_id;
pub(crate) mod router;

pub(crate) use app::App;
pub(crate) use request_id::RequestId;
