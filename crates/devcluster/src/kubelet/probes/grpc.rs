//! The gRPC health checking protocol, `grpc.health.v1.Health/Check`: one small message each way, written by hand.

use bytes::{BufMut, Bytes, BytesMut};
use http::{Request, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

use super::plain;

/// `HealthCheckResponse.ServingStatus`.
const STATUSES: [&str; 4] = ["UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"];
const SERVING: u64 = 1;

/// Asks whether a service is healthy. An error is a sentence.
pub(super) async fn check(host: &str, port: u16, service: &str) -> Result<(), String> {
    let address = format!("{host}:{port}");
    let broken = |error: hyper::Error| format!("error: health rpc to {address:?} failed: {error}");
    let stream = TcpStream::connect((host, port))
        .await
        .map_err(|error| format!("error: failed to connect service {address:?}: {}", plain(&error)))?;
    let (mut sender, connection) =
        http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.map_err(broken)?;
    let asking = async {
        let request = Request::post(format!("http://{address}/grpc.health.v1.Health/Check"))
            .header(header::CONTENT_TYPE, "application/grpc")
            .header(header::TE, "trailers")
            .body(Full::new(request(service)))
            .map_err(|error| error.to_string())?;
        let answer = sender.send_request(request).await.map_err(broken)?;
        let (head, body) = answer.into_parts();
        let body = body.collect().await.map_err(broken)?;
        let field = |name: &str| {
            let trailer = body.trailers().and_then(|trailers| trailers.get(name));
            trailer
                .or_else(|| head.headers.get(name))
                .and_then(|value| value.to_str().ok())
                .map(str::to_owned)
        };
        match field("grpc-status").as_deref() {
            Some("0") => {}
            Some("12") => {
                return Err(format!(
                    "error: this server at {address:?} does not implement the grpc health protocol (grpc.health.v1.Health)"
                ));
            }
            code => {
                let code = code.unwrap_or("missing");
                let message = field("grpc-message").unwrap_or_default();
                return Err(format!("error: health rpc failed with status {code}: {message}"));
            }
        }
        match serving_status(&body.to_bytes()) {
            Some(SERVING) => Ok(()),
            status => {
                let name = status
                    .and_then(|status| STATUSES.get(usize::try_from(status).ok()?))
                    .unwrap_or(&"UNKNOWN");
                Err(format!("service unhealthy (responded with {name:?})"))
            }
        }
    };
    tokio::select! {
        outcome = asking => outcome,
        Err(error) = connection => Err(broken(error)),
    }
}

/// A length-prefixed `HealthCheckRequest { service = 1 }`.
fn request(service: &str) -> Bytes {
    let mut message = BytesMut::new();
    if !service.is_empty() {
        message.put_u8(0x0a);
        let mut length = service.len();
        while length >= 0x80 {
            message.put_u8((length & 0x7f) as u8 | 0x80);
            length >>= 7;
        }
        message.put_u8((length & 0x7f) as u8);
        message.put_slice(service.as_bytes());
    }
    let mut frame = BytesMut::with_capacity(message.len() + 5);
    frame.put_u8(0);
    frame.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    frame.put_slice(&message);
    frame.freeze()
}

/// The status in a length-prefixed `HealthCheckResponse { status = 1 }`; left out, it is 0.
fn serving_status(frame: &[u8]) -> Option<u64> {
    let message = frame.get(5..)?;
    let Some((tag, rest)) = message.split_first() else { return Some(0) };
    // Enumerations are varints; those of this one fit a byte.
    (*tag == 0x08).then(|| rest.first().map(|byte| u64::from(*byte)))?
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use http::{HeaderMap, Response};
    use http_body_util::StreamBody;
    use hyper::{body::Frame, server, service::service_fn};
    use tokio::net::TcpListener;

    use super::*;

    async fn answer(status: u8, grpc_status: &'static str, asked: &'static str) -> Result<(), String> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let serving = async {
            let (stream, _) = listener.accept().await.unwrap();
            let service = service_fn(move |request: Request<hyper::body::Incoming>| async move {
                assert_eq!(request.uri().path(), "/grpc.health.v1.Health/Check");
                let body = request.into_body().collect().await.unwrap().to_bytes();
                assert_eq!(body, super::request(asked));
                let mut trailers = HeaderMap::new();
                trailers.insert("grpc-status", grpc_status.parse().unwrap());
                let message = Bytes::from(vec![0, 0, 0, 0, 2, 0x08, status]);
                let frames = [Ok::<_, Infallible>(Frame::data(message)), Ok(Frame::trailers(trailers))];
                Ok::<_, Infallible>(Response::new(StreamBody::new(futures::stream::iter(frames))))
            });
            let _ = server::conn::http2::Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(stream), service)
                .await;
        };
        tokio::select! {
            outcome = check("127.0.0.1", port, asked) => outcome,
            () = serving => panic!("the server ended first"),
        }
    }

    #[tokio::test]
    async fn a_service_says_how_it_is() {
        assert_eq!(answer(1, "0", "").await, Ok(()));
        assert_eq!(answer(1, "0", "a.service.with.a.name").await, Ok(()));
        assert!(answer(2, "0", "").await.unwrap_err().contains("NOT_SERVING"));
        assert!(answer(1, "12", "").await.unwrap_err().contains("does not implement"));
        assert!(answer(1, "5", "").await.unwrap_err().contains("status 5"));
    }

    #[test]
    fn long_names_have_long_lengths() {
        let frame = request(&"x".repeat(300));
        assert_eq!(&frame[..8], [0, 0, 0, 1, 47, 0x0a, 0xac, 0x02]);
    }
}
