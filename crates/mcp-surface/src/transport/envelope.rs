//! A first look at a POSTed JSON-RPC message, before the protocol layer parses it whole: is it fit to be parsed, and
//! what kind is it?

use ::http::StatusCode;
use serde::Deserialize;
use serde_json::Value;

use super::refusal::{INVALID_REQUEST, PARSE_ERROR, Refusal};

/// Deepest nesting of a message. Pod specs stay below twenty; parsers are protected by refusing the rest.
const MAX_DEPTH: usize = 100;

/// What matters here of a message.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Envelope {
    /// Absent in notifications.
    #[serde(default)]
    pub(super) id: Option<Value>,
    /// Absent in responses.
    #[serde(default)]
    pub(super) method: Option<String>,
    #[serde(default)]
    params: Option<Params>,
}

#[derive(Debug, Default, Deserialize)]
struct Params {
    #[serde(default, rename = "_meta")]
    meta: Option<Meta>,
    /// Of a tool, where one is called.
    #[serde(default)]
    name: Option<Value>,
}

#[derive(Debug, Default, Deserialize)]
struct Meta {
    #[serde(default, rename = "progressToken")]
    progress_token: Option<Value>,
}

impl Envelope {
    pub(super) fn parse(message: &[u8]) -> Result<Self, Refusal> {
        if depth(message) > MAX_DEPTH {
            let text = format!("the message is nested deeper than {MAX_DEPTH} levels");
            return Err(Refusal::new(StatusCode::BAD_REQUEST, INVALID_REQUEST, text));
        }
        if message.trim_ascii_start().first() == Some(&b'[') {
            let text = "batches are not supported: send one message per request";
            return Err(Refusal::new(StatusCode::BAD_REQUEST, INVALID_REQUEST, text));
        }
        serde_json::from_slice(message).map_err(|error| {
            if error.is_data() {
                // JSON, but with members of the wrong type. The protocol layer knows better what to say.
                return Refusal::new(
                    StatusCode::BAD_REQUEST,
                    INVALID_REQUEST,
                    "not a JSON-RPC message".to_owned(),
                );
            }
            // Of a syntax error the position is told, nothing of the text.
            let text = format!("not JSON: error at line {}, column {}", error.line(), error.column());
            Refusal::new(StatusCode::BAD_REQUEST, PARSE_ERROR, text)
        })
    }

    pub(super) fn is(&self, method: &str) -> bool {
        self.method.as_deref() == Some(method)
    }

    /// The tool that is to be called.
    pub(super) fn tool(&self) -> Option<&str> {
        self.params.as_ref().filter(|_| self.is("tools/call"))?.name.as_ref()?.as_str()
    }

    /// Whether an answer is expected.
    pub(super) fn is_request(&self) -> bool {
        self.method.is_some() && self.id.is_some()
    }

    /// Whether the client asked to be told about progress.
    pub(super) fn wants_progress(&self) -> bool {
        self.params.as_ref().and_then(|params| params.meta.as_ref()?.progress_token.as_ref()).is_some()
    }
}

/// How deep brackets and braces are nested, those in strings left out.
fn depth(json: &[u8]) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    let (mut quoted, mut escaped) = (false, false);
    for byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'[' | b'{' if !quoted => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' if !quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t45_depth_is_bounded() {
        let nested = |levels: usize| {
            format!("{{\"method\":\"m\",\"x\":{}{}}}", "[".repeat(levels), "]".repeat(levels))
        };
        assert!(Envelope::parse(nested(MAX_DEPTH - 1).as_bytes()).is_ok());
        assert!(Envelope::parse(nested(MAX_DEPTH).as_bytes()).is_err());
        assert!(Envelope::parse("[".repeat(1_000_000).as_bytes()).is_err());
        let brackets_in_a_string = format!("{{\"method\":\"\\\"{}\"}}", "[{".repeat(1_000));
        assert!(Envelope::parse(brackets_in_a_string.as_bytes()).is_ok());
    }

    #[test]
    fn kinds_of_messages() {
        let call =
            br#"{"jsonrpc":"2.0","id":0,"method":"tools/call","params":{"_meta":{"progressToken":"t"}}}"#;
        let call = Envelope::parse(call).unwrap();
        assert!(call.is_request() && call.wants_progress() && call.is("tools/call"));
        let note = Envelope::parse(br#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#).unwrap();
        assert!(!note.is_request() && !note.wants_progress());
        assert!(!Envelope::parse(br#"{"jsonrpc":"2.0","id":1,"result":{}}"#).unwrap().is_request());
    }

    #[test]
    fn refusals_do_not_quote() {
        for (bad, code) in [
            ("{\"a\": s3cret}", -32700),
            ("", -32700),
            ("[]", -32600),
            ("\"s3cret\"", -32600),
            ("{\"method\":5}", -32600),
        ] {
            let refusal = Envelope::parse(bad.as_bytes()).unwrap_err();
            assert_eq!(refusal.code, code, "{bad}");
            assert!(!refusal.message.contains("s3cret"), "{}", refusal.message);
        }
    }
}
