//! From a request to an answer.

mod app;
mod body;
mod guard;
mod pause;
mod request_id;
pub(crate) mod router;

pub(crate) use app::App;
