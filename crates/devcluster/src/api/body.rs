//! Reading what a request carries.

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde_json::Value;

use super::{protobuf, query::FieldValidation};
use crate::{
    kind::Kind,
    object,
    schema::{
        decode::{Decoded, decode},
        duplicates,
    },
    status::Status,
};

/// Largest body that is read, as on a real server.
pub(super) const MAX_BYTES: usize = 3 << 20;

/// Reads a whole body.
///
/// # Errors
/// 413 when it is larger than [`MAX_BYTES`].
pub(super) async fn read(body: Body) -> Result<Bytes, Status> {
    match Limited::new(body, MAX_BYTES).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.downcast_ref::<LengthLimitError>().is_some() => Err(Status::too_large(MAX_BYTES)),
        Err(error) => Err(Status::bad_request(format!("the body can't be read: {error}"))),
    }
}

/// The media type without its parameters; JSON when none is named.
pub(super) fn content_type(headers: &HeaderMap) -> &str {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    value.and_then(|value| value.split(';').next()).map_or("application/json", str::trim)
}

/// A parsed body, and the members that it gives twice.
pub(super) struct Parsed {
    pub(super) value: Value,
    pub(super) duplicates: Vec<String>,
}

/// Parses JSON, YAML or protobuf. The error is the sentence of Go's decoder.
pub(super) fn parse(content_type: &str, body: &[u8]) -> Result<Parsed, String> {
    if content_type == protobuf::MEDIA_TYPE {
        return Ok(Parsed { value: protobuf::decode(body)?, duplicates: Vec::new() });
    }
    if content_type.ends_with("yaml") {
        // YAML that is JSON is read as JSON: kubectl sends apply patches that way.
        if let Ok((value, duplicates)) = duplicates::parse(body) {
            return Ok(Parsed { value, duplicates });
        }
        let text = std::str::from_utf8(body).map_err(|error| error.to_string())?;
        // `defaultMode: 0644` means what it says.
        let options = serde_saphyr::options! { legacy_octal_numbers: true };
        let value = serde_saphyr::from_str_with_options(text, options)
            .map_err(|error| format!("error converting YAML to JSON: {error}"))?;
        return Ok(Parsed { value, duplicates: Vec::new() });
    }
    let (value, duplicates) = duplicates::parse(body).map_err(|error| json_error(&error, body))?;
    Ok(Parsed { value, duplicates })
}

/// What Go says to JSON it can't read.
pub(super) fn json_error(error: &serde_json::Error, body: &[u8]) -> String {
    if error.is_eof() {
        return "unexpected end of JSON input".into();
    }
    let line = body.split(|byte| *byte == b'\n').nth(error.line().saturating_sub(1)).unwrap_or_default();
    let byte = line.get(error.column().saturating_sub(1)).copied().unwrap_or(b' ');
    format!("invalid character {:?} looking for beginning of value", char::from(byte))
}

/// The start of a body, as error messages quote it.
fn quoted(body: &[u8]) -> String {
    const LENGTH: usize = 30;
    let start = body.get(..LENGTH).unwrap_or(body);
    let more = if body.len() > LENGTH { " ..." } else { "" };
    match body.first() {
        None => "<empty>".into(),
        Some(b'{') => format!("{}{more}", String::from_utf8_lossy(start)),
        Some(_) => {
            let hexadecimal: String = start.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("{hexadecimal}{more}")
        }
    }
}

/// An object from a request, with what the caller is to be warned of.
#[derive(Debug)]
pub(super) struct Received {
    pub(super) value: Value,
    pub(super) warnings: Vec<String>,
}

/// Parses the body of a create or update as an object of `kind`, which lives at `api_version`.
///
/// # Errors
/// 400 when it is no such object, 415 when it is in a form that isn't read.
pub(super) fn object(
    kind: &str,
    api_version: &str,
    headers: &HeaderMap,
    body: &[u8],
    validation: FieldValidation,
) -> Result<Received, Status> {
    let content_type = content_type(headers);
    let is_read = match content_type {
        "application/json" | "application/yaml" | "application/x-yaml" | "text/yaml" => true,
        protobuf::MEDIA_TYPE => protobuf::reads(kind),
        _ => false,
    };
    if !is_read {
        let message = "the body of the request was in an unknown format - accepted media types include: application/json, application/yaml";
        return Err(
            Status::new(415, "UnsupportedMediaType", message).with_details(crate::status::Details::default())
        );
    }
    let parsed = parse(content_type, body).map_err(|error| {
        Status::bad_request(format!(
            "the object provided is unrecognized (must be of type {kind}): couldn't get version/kind; json parse error: {error} ({})",
            quoted(body)
        ))
    })?;
    typed(kind, api_version, parsed, validation)
}

/// Checks that a parsed object is of `kind`, and decodes it.
pub(super) fn typed(
    kind: &str,
    api_version: &str,
    parsed: Parsed,
    validation: FieldValidation,
) -> Result<Received, Status> {
    check_type(kind, api_version, &parsed.value)?;
    let refused = |why: &str| {
        let version = api_version.rsplit('/').next().unwrap_or_default();
        Status::bad_request(format!("{kind} in version \"{version}\" cannot be handled as a {kind}: {why}"))
    };
    if !parsed.value.is_object() {
        return Err(refused(&format!(
            "json: cannot unmarshal {} into Go value of type v1.{kind}",
            object::type_name(&parsed.value)
        )));
    }
    let Decoded { mut value, unknown } = decode(kind, parsed.value).map_err(|error| refused(&error))?;
    let mut complaints: Vec<String> =
        unknown.iter().map(|path| format!("unknown field \"{path}\"")).collect();
    complaints.extend(parsed.duplicates.iter().map(|path| format!("duplicate field \"{path}\"")));
    if validation == FieldValidation::Strict && !complaints.is_empty() {
        return Err(refused(&format!("strict decoding error: {}", complaints.join(", "))));
    }
    if validation == FieldValidation::Ignore {
        complaints.clear();
    }
    // Kind and version are where the object is, not what it is.
    let map = object::as_map(&mut value);
    map.shift_remove("apiVersion");
    map.shift_remove("kind");
    Ok(Received { value, warnings: complaints })
}

/// What the object says of its own type must fit; it may say nothing.
fn check_type(kind: &str, api_version: &str, value: &Value) -> Result<(), Status> {
    let said = |field| object::text_at(value, &[field]);
    let (said_kind, said_version) = (said("kind"), said("apiVersion"));
    if !said_version.is_empty() && said_version != api_version {
        return Err(Status::bad_request(format!(
            "the API version in the data ({said_version}) does not match the expected API version ({api_version})"
        )));
    }
    if said_kind.is_empty() || said_kind == kind {
        return Ok(());
    }
    let why = if Kind::from_name(said_kind).is_some() {
        format!(
            "{said_kind} in version \"v1\" cannot be handled as a {kind}: converting (v1.{said_kind}) to (core.{kind}): unknown conversion"
        )
    } else {
        format!(
            "no kind \"{said_kind}\" is registered for version \"{api_version}\" in scheme \"pkg/api/legacyscheme/scheme.go:30\""
        )
    };
    Err(Status::bad_request(why))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn received(body: &str, validation: FieldValidation) -> Result<Received, Status> {
        object("ConfigMap", "v1", &HeaderMap::new(), body.as_bytes(), validation)
    }

    #[test]
    fn json_and_yaml() {
        let expected = json!({ "metadata": { "name": "a" }, "data": { "k": "1" } });
        let sorted = |value: Value| value.to_string().len();
        let json = received(
            r#"{"kind":"ConfigMap","metadata":{"name":"a"},"data":{"k":"1"}}"#,
            FieldValidation::Strict,
        );
        assert_eq!(sorted(json.expect("JSON").value), sorted(expected.clone()));
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, http::HeaderValue::from_static("application/yaml"));
        let yaml = b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n  k: '1'\n";
        let yaml = object("ConfigMap", "v1", &headers, yaml, FieldValidation::Strict).expect("YAML");
        assert_eq!(yaml.value, expected);
    }

    #[test]
    fn members_given_twice_are_complained_about() {
        let body = r#"{"metadata":{"name":"a","name":"b"},"datum":1}"#;
        let warned = received(body, FieldValidation::Warn).expect("accepted");
        assert_eq!(warned.warnings, ["unknown field \"datum\"", "duplicate field \"metadata.name\""]);
        let refused = received(body, FieldValidation::Strict).expect_err("refused").message;
        assert!(
            refused.ends_with(
                "strict decoding error: unknown field \"datum\", duplicate field \"metadata.name\""
            ),
            "{refused}"
        );
    }

    #[test]
    fn malformed_bodies_are_quoted() {
        let message = |body: &str| received(body, FieldValidation::Warn).expect_err("refused").message;
        assert!(message("").ends_with("unexpected end of JSON input (<empty>)"));
        assert!(message("{").ends_with("unexpected end of JSON input ({)"));
        assert!(message("x").ends_with("invalid character 'x' looking for beginning of value (78)"));
        assert!(message("[]").ends_with("cannot be handled as a ConfigMap: json: cannot unmarshal array into Go value of type v1.ConfigMap"));
    }
}
