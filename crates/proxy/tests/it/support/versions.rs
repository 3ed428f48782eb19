//! A client of either version of HTTP, as programs use them.

use std::net::SocketAddr;

use bytes::Bytes;
use http_body_util::{BodyExt as _, combinators::UnsyncBoxBody};
use hyper::{
    Request, Response,
    body::{Body, Incoming},
    client::conn::{http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

use super::soon;

type BoxError = Box<dyn std::error::Error + Send + Sync>;
type Sent = UnsyncBoxBody<Bytes, BoxError>;

/// One connection.
pub(crate) enum Client {
    Http1(http1::SendRequest<Sent>),
    Http2(http2::SendRequest<Sent>),
}

impl Client {
    /// One of each version.
    pub(crate) async fn both(to: SocketAddr) -> [Self; 2] {
        [Self::http1(to).await, Self::http2(to).await]
    }

    pub(crate) async fn http1(to: SocketAddr) -> Self {
        let stream = TokioIo::new(TcpStream::connect(to).await.unwrap());
        let (sender, connection) = http1::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        Self::Http1(sender)
    }

    pub(crate) async fn http2(to: SocketAddr) -> Self {
        let stream = TokioIo::new(TcpStream::connect(to).await.unwrap());
        let (sender, connection) = http2::handshake(TokioExecutor::new(), stream).await.unwrap();
        tokio::spawn(connection);
        Self::Http2(sender)
    }

    /// What it is called in messages.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Http1(_) => "HTTP/1.1",
            Self::Http2(_) => "HTTP/2",
        }
    }

    /// Sends a request to a path of the gateway, and waits for the head of its answer.
    pub(crate) async fn send<B>(&mut self, method: &str, path: &str, body: B) -> Response<Incoming>
    where
        B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    {
        let request = Request::builder().method(method).header("te", "trailers").header("trailer", "x-sum");
        let body = body.map_err(Into::into).boxed_unsync();
        let answer = match self {
            Self::Http1(sender) => {
                soon(sender.ready()).await.unwrap();
                let request = request.uri(path).header("host", "gw.example").body(body).unwrap();
                soon(sender.send_request(request)).await
            }
            Self::Http2(sender) => {
                let request = request.uri(format!("http://gw.example{path}")).body(body).unwrap();
                soon(sender.send_request(request)).await
            }
        };
        answer.unwrap_or_else(|error| panic!("{method} {path}: {error:?}"))
    }
}
