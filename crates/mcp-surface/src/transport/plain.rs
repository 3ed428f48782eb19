//! Answers without a stream. rmcp answers every request of a session with a stream of events; a client that did not
//! ask for progress is better served with plain JSON, which simple clients understand and proxies do not hold back.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use ::http::{HeaderValue, Response, header};
use bytes::{Bytes, BytesMut};
use http_body::Frame;
use http_body_util::{BodyExt, Full, combinators::BoxBody};
use serde::{Deserialize, de::IgnoredAny};

use super::{gate::Seat, http::Body};

/// Whether it is a stream of events.
pub(super) fn is_stream<B>(response: &Response<B>) -> bool {
    let kind = response.headers().get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    kind.is_some_and(|kind| kind.starts_with(b"text/event-stream"))
}

/// Makes plain JSON of a stream that holds nothing but the answer. Anything that comes before the answer leaves it a
/// stream: another message, and likewise the first keep-alive comment, since whoever waits that long should hear from
/// us meanwhile.
pub(super) async fn collapse(response: Response<BoxBody<Bytes, Infallible>>) -> Response<Body> {
    let (mut parts, mut body) = response.into_parts();
    let mut read = BytesMut::new();
    let mut looked_at = 0;
    loop {
        match body.frame().await {
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    read.extend_from_slice(&data);
                }
            }
            Some(Err(never)) => match never {},
            None => return Response::from_parts(parts, Streamed::after(read.freeze(), body).boxed()),
        }
        while let Some(end) = find(read.get(looked_at..).unwrap_or_default(), b"\n\n") {
            let event = read.get(looked_at..looked_at + end).unwrap_or_default();
            match classify(event) {
                Event::Empty => looked_at += end + 2,
                Event::Answer(json) => {
                    for header in [header::CONTENT_TYPE, header::CACHE_CONTROL] {
                        parts.headers.remove(header);
                    }
                    parts.headers.remove("x-accel-buffering");
                    parts.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
                    parts.headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
                    return Response::from_parts(parts, Full::new(json).boxed());
                }
                Event::Other => {
                    return Response::from_parts(parts, Streamed::after(read.freeze(), body).boxed());
                }
            }
        }
    }
}

enum Event {
    /// Without data: it only tells the client how to reconnect.
    Empty,
    /// The response to the request.
    Answer(Bytes),
    /// A notification, a request to the client, a comment.
    Other,
}

#[derive(Deserialize)]
struct Message {
    #[serde(default)]
    result: Option<IgnoredAny>,
    #[serde(default)]
    error: Option<IgnoredAny>,
}

/// Reads one event of a stream (HTML Living Standard, section 9.2).
fn classify(event: &[u8]) -> Event {
    let mut data: Vec<&[u8]> = Vec::new();
    for line in event.split(|byte| *byte == b'\n') {
        if line.first() == Some(&b':') {
            return Event::Other;
        }
        if let Some(value) = line.strip_prefix(b"data:") {
            data.push(value.strip_prefix(b" ").unwrap_or(value));
        }
    }
    let data = data.join(&b'\n');
    if data.is_empty() {
        return Event::Empty;
    }
    match serde_json::from_slice::<Message>(&data) {
        Ok(Message { result: Some(_), .. } | Message { error: Some(_), .. }) => Event::Answer(data.into()),
        _ => Event::Other,
    }
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len()).position(|window| window == wanted)
}

/// A body of which the beginning was read already, or which counts as a long-lived stream.
pub(super) struct Streamed {
    beginning: Option<Bytes>,
    rest: BoxBody<Bytes, Infallible>,
    _seat: Option<Seat>,
}

impl Streamed {
    fn after(beginning: Bytes, rest: BoxBody<Bytes, Infallible>) -> Self {
        Self { beginning: Some(beginning).filter(|bytes| !bytes.is_empty()), rest, _seat: None }
    }

    pub(super) fn holding(seat: Seat, body: BoxBody<Bytes, Infallible>) -> Self {
        Self { beginning: None, rest: body, _seat: Some(seat) }
    }
}

impl http_body::Body for Streamed {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.beginning.take() {
            Some(bytes) => Poll::Ready(Some(Ok(Frame::data(bytes)))),
            None => Pin::new(&mut self.rest).poll_frame(context),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::stream;
    use http_body_util::StreamBody;

    use super::*;

    async fn collapsed(frames: &[&'static str]) -> (String, String) {
        let frames: Vec<_> = frames
            .iter()
            .map(|frame| Ok::<_, Infallible>(Frame::data(Bytes::from_static(frame.as_bytes()))))
            .collect();
        let mut response = Response::new(BodyExt::boxed(StreamBody::new(stream::iter(frames))));
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
        assert!(is_stream(&response));
        let response = collapse(response).await;
        let kind = response.headers()[header::CONTENT_TYPE].to_str().unwrap().to_owned();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (kind, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn an_answer_alone_becomes_json() {
        let (json, stream) = ("application/json".to_owned(), "text/event-stream".to_owned());
        let answer = "{\"id\":1,\"result\":{}}".to_owned();
        assert_eq!(collapsed(&["data: {\"id\":1,\"result\":{}}\n\n"]).await, (json.clone(), answer.clone()));
        let split = ["id: 0\nretry: 3000\ndata:\n\ndata: {\"id\":1,", "\"result\":{}}\n", "\n"];
        assert_eq!(collapsed(&split).await, (json.clone(), answer));
        let error = "{\"id\":1,\"error\":{}}".to_owned();
        assert_eq!(collapsed(&["data: {\"id\":1,\"error\":{}}\n\n"]).await, (json, error));

        let progress =
            ["data: {\"method\":\"notifications/progress\"}\n\n", "data: {\"id\":1,\"result\":{}}\n\n"];
        assert_eq!(collapsed(&progress).await, (stream.clone(), progress.concat()));
        let slow = [":\n\n", "data: {\"id\":1,\"result\":{}}\n\n"];
        assert_eq!(collapsed(&slow).await, (stream.clone(), slow.concat()));
        assert_eq!(collapsed(&["data:\n\n"]).await, (stream, "data:\n\n".to_owned()));
    }
}
