//! What form of an answer the caller wants.

use http::{HeaderMap, header};

use crate::status::Status;

/// The form of objects in an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// As they are.
    Object,
    /// Their metadata only.
    Metadata,
    /// As rows of a table, for people.
    Table,
}

/// The form of discovery documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Discovery {
    /// One document for each group version.
    Plain,
    /// One for all, of this version of its format.
    Aggregated(&'static str),
}

struct MediaRange<'a> {
    name: &'a str,
    parameters: Vec<(&'a str, &'a str)>,
}

impl MediaRange<'_> {
    fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(other, _)| *other == name).map(|(_, value)| *value)
    }

    fn is_json(&self) -> bool {
        matches!(self.name, "application/json" | "application/*" | "*/*")
    }
}

fn ranges(accept: &str) -> impl Iterator<Item = MediaRange<'_>> {
    accept.split(',').map(|range| {
        let mut parts = range.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        MediaRange { name, parameters: parts.filter_map(|part| part.split_once('=')).collect() }
    })
}

fn accept(headers: &HeaderMap) -> String {
    let values: Vec<&str> =
        headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok()).collect();
    if values.is_empty() { "*/*".into() } else { values.join(",") }
}

/// The first of the caller's wishes that can be met.
///
/// # Errors
/// 406 when none can.
pub(super) fn form(headers: &HeaderMap) -> Result<Form, Status> {
    let accept = accept(headers);
    ranges(&accept)
        .filter(MediaRange::is_json)
        .find_map(|range| match (range.parameter("as"), range.parameter("g"), range.parameter("v")) {
            (None, _, _) => Some(Form::Object),
            (Some("Table"), Some("meta.k8s.io"), Some("v1")) => Some(Form::Table),
            (
                Some("PartialObjectMetadata" | "PartialObjectMetadataList"),
                Some("meta.k8s.io"),
                Some("v1"),
            ) => Some(Form::Metadata),
            _ => None,
        })
        .ok_or_else(not_acceptable)
}

/// The same for discovery.
pub(super) fn discovery(headers: &HeaderMap) -> Discovery {
    let accept = accept(headers);
    ranges(&accept)
        .filter(MediaRange::is_json)
        .find_map(|range| match (range.parameter("as"), range.parameter("g"), range.parameter("v")) {
            (None, _, _) => Some(Discovery::Plain),
            (Some("APIGroupDiscoveryList"), Some("apidiscovery.k8s.io"), Some("v2")) => {
                Some(Discovery::Aggregated("v2"))
            }
            (Some("APIGroupDiscoveryList"), Some("apidiscovery.k8s.io"), Some("v2beta1")) => {
                Some(Discovery::Aggregated("v2beta1"))
            }
            _ => None,
        })
        .unwrap_or(Discovery::Plain)
}

fn not_acceptable() -> Status {
    Status::new(406, "NotAcceptable", "only the following media types are accepted: application/json")
        .with_details(crate::status::Details::default())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(accept: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static(accept))])
    }

    #[test]
    fn the_first_wish_that_can_be_met_counts() {
        for (accept, expected) in [
            ("application/json", Form::Object),
            ("application/vnd.kubernetes.protobuf,application/json", Form::Object),
            ("application/json;as=Table;v=v1;g=meta.k8s.io,application/json", Form::Table),
            ("application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json", Form::Object),
            ("application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io", Form::Metadata),
            ("*/*", Form::Object),
        ] {
            assert_eq!(form(&headers(accept)).expect(accept), expected);
        }
        assert_eq!(form(&HeaderMap::new()).expect("anything goes"), Form::Object);
        assert_eq!(form(&headers("application/vnd.kubernetes.protobuf")).expect_err("binary").code, 406);
        let aggregated =
            "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json";
        assert_eq!(discovery(&headers(aggregated)), Discovery::Aggregated("v2"));
    }
}
