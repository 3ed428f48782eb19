//! How clients reach the server.

mod envelope;
mod gate;
mod http;
mod plain;
mod refusal;
mod stdio;

pub use http::{Body, HttpOptions, HttpService, http_service};
pub use stdio::{serve_io, serve_stdio};
