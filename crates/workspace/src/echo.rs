//! Any request, described as JSON: to see what reaches a workspace, and in which form.

use std::{collections::BTreeMap, time::Duration};

use axum::{
    Json,
    body::Body,
    extract::Request,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use http_body_util::BodyExt;
use serde::Serialize;

use crate::app::failure;

/// Largest body that is read to its end, in bytes. It is counted, not kept.
const MAX_BODY: u64 = 64 * 1024 * 1024;
/// Largest body that is sent back, in bytes.
const MAX_TEXT: usize = 64 * 1024;
/// Longest pause within a body.
const BODY_PAUSE: Duration = Duration::from_secs(30);

#[derive(Debug, Serialize)]
struct Echo {
    method: String,
    path: String,
    /// What stands after the `?`.
    query: Option<String>,
    version: String,
    headers: BTreeMap<String, String>,
    body: Content,
}

/// A request's body.
#[derive(Debug, Serialize)]
struct Content {
    bytes: u64,
    /// The body itself when it is UTF-8 and not large.
    text: Option<String>,
}

/// Describes `request`. Nothing is left out of it, credentials neither: what must not reach a workspace is for the
/// proxy in front of it to remove.
pub(crate) async fn answer(request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = match read(body).await {
        Ok(body) => body,
        Err(refusal) => return refusal,
    };
    Json(Echo {
        method: parts.method.to_string(),
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().map(str::to_owned),
        version: format!("{:?}", parts.version),
        headers: one_text_each(&parts.headers),
        body,
    })
    .into_response()
}

/// Headers by name; several of one name are joined as RFC 9110, section 5.3 allows, cookies as RFC 9113, section 8.2.3
/// does.
fn one_text_each(headers: &HeaderMap) -> BTreeMap<String, String> {
    let mut texts: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in headers {
        let value = String::from_utf8_lossy(value.as_bytes());
        texts
            .entry(name.as_str().to_owned())
            .and_modify(|text| {
                text.push_str(if name == header::COOKIE { "; " } else { ", " });
                text.push_str(&value);
            })
            .or_insert_with(|| value.into_owned());
    }
    texts
}

async fn read(mut body: Body) -> Result<Content, Response> {
    let (mut bytes, mut kept) = (0_u64, Vec::new());
    loop {
        let frame = match tokio::time::timeout(BODY_PAUSE, body.frame()).await {
            Ok(None) => break,
            Ok(Some(Ok(frame))) => frame,
            Ok(Some(Err(_))) => return Err(refuse(StatusCode::BAD_REQUEST, "the body can't be read")),
            Err(_) => return Err(refuse(StatusCode::REQUEST_TIMEOUT, "the body stopped coming")),
        };
        let Ok(data) = frame.into_data() else { continue };
        bytes = bytes.saturating_add(data.len() as u64);
        if bytes > MAX_BODY {
            return Err(refuse(StatusCode::PAYLOAD_TOO_LARGE, "the body is larger than 64 MiB"));
        }
        if bytes <= MAX_TEXT as u64 {
            kept.extend_from_slice(&data);
        } else {
            kept = Vec::new();
        }
    }
    let whole = kept.len() as u64 == bytes;
    Ok(Content { bytes, text: whole.then(|| String::from_utf8(kept).ok()).flatten() })
}

/// A refusal before the body's end: what is left of it can't be told from the next request, so the connection ends.
fn refuse(status: StatusCode, message: &str) -> Response {
    let mut response = failure(status, message);
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_of_one_name_are_joined() {
        let mut headers = HeaderMap::new();
        for (name, value) in [("cookie", "a=1"), ("cookie", "b=2"), ("x-a", "1"), ("x-a", "2")] {
            headers.append(name, HeaderValue::from_static(value));
        }
        headers.append("x-b", HeaderValue::from_bytes(b"\xff").unwrap());
        let texts = one_text_each(&headers);
        assert_eq!((texts["cookie"].as_str(), texts["x-a"].as_str()), ("a=1; b=2", "1, 2"));
        assert_eq!(texts["x-b"], "\u{fffd}");
    }

    #[tokio::test]
    async fn a_body_is_counted_and_sent_back_while_small_and_text() {
        let of = async |bytes: Vec<u8>| read(Body::from(bytes)).await.unwrap();
        let empty = of(Vec::new()).await;
        assert_eq!((empty.bytes, empty.text.as_deref()), (0, Some("")));
        assert_eq!(of("grüß".into()).await.text.as_deref(), Some("grüß"));
        assert_eq!(of(vec![0xff]).await.text, None);
        let most = of(vec![b'a'; MAX_TEXT]).await;
        assert_eq!(most.text.map(|text| text.len()), Some(MAX_TEXT));
        let more = of(vec![b'a'; MAX_TEXT + 1]).await;
        assert_eq!((more.bytes, more.text), (MAX_TEXT as u64 + 1, None));
    }

    #[tokio::test]
    async fn too_much_is_refused_without_being_kept() {
        let chunk = bytes::Bytes::from(vec![0; 1024 * 1024]);
        let endless = futures::stream::repeat_with(move || Ok::<_, std::io::Error>(chunk.clone()));
        let refusal = read(Body::from_stream(endless)).await.unwrap_err();
        assert_eq!(refusal.status(), StatusCode::PAYLOAD_TOO_LARGE);
        assert_eq!(refusal.headers()[header::CONNECTION], "close");
    }
}
