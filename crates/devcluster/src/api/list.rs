//! Reading one object, or all of them.

use std::sync::Arc;

use axum::response::Response;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use http::StatusCode;
use serde_json::{Value, json};

use super::{
    Call,
    accept::Form,
    body::json_error,
    query::Query,
    render::{self, Bare, List, ListMeta, MetadataOnly},
    table::{self, Include},
};
use crate::{
    kind::Kind,
    object,
    selector::{FieldSelector, LabelSelector},
    status::{Cause, Details, Status},
};

/// Which objects of a kind.
#[derive(Debug, Clone, Default)]
pub(super) struct Selection {
    labels: LabelSelector,
    fields: FieldSelector,
    /// Empty for all.
    namespace: String,
}

impl Selection {
    pub(super) fn parse(kind: Kind, namespace: &str, query: &Query) -> Result<Self, Status> {
        let labels = query.get("labelSelector").unwrap_or_default();
        let fields = query.get("fieldSelector").unwrap_or_default();
        Ok(Self {
            labels: LabelSelector::parse(labels).map_err(Status::bad_request)?,
            fields: FieldSelector::parse(kind, fields).map_err(Status::bad_request)?,
            namespace: namespace.to_owned(),
        })
    }

    pub(super) fn matches(&self, object: &Value) -> bool {
        (self.namespace.is_empty() || self.namespace == object::namespace(object))
            && self.fields.matches(object)
            && self.labels.matches(object)
    }

    /// The namespace to look in.
    pub(super) fn namespace(&self) -> Option<&str> {
        Some(self.namespace.as_str()).filter(|namespace| !namespace.is_empty())
    }

    fn is_everything(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }
}

/// Which state of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    /// The newest there is.
    Latest,
    /// Whatever is at hand.
    Any,
    /// This one or a newer one.
    NotOlderThan(u64),
    /// This one.
    Exactly(u64),
}

impl Version {
    /// Reads `resourceVersion` and `resourceVersionMatch`.
    pub(super) fn parse(query: &Query) -> Result<Self, Status> {
        let rule = query.get("resourceVersionMatch");
        let Some(version) = query.get("resourceVersion") else {
            return match rule {
                Some(_) if !query.flag("sendInitialEvents") => Err(forbidden_option(
                    "resourceVersionMatch",
                    "resourceVersionMatch is forbidden unless resourceVersion is provided",
                )),
                _ => Ok(Self::Latest),
            };
        };
        let number: u64 = version.parse().map_err(|_| {
            Status::bad_request(format!(
                "invalid resource version: Invalid value: \"{version}\": strconv.ParseUint: parsing \"{version}\": invalid syntax"
            ))
        })?;
        match (rule, number) {
            (Some("Exact"), 0) => Err(forbidden_option(
                "resourceVersionMatch",
                "resourceVersionMatch \"Exact\" is forbidden for resourceVersion \"0\"",
            )),
            (Some("Exact"), number) => Ok(Self::Exactly(number)),
            (Some("NotOlderThan") | None, 0) => Ok(Self::Any),
            (Some("NotOlderThan"), number) => Ok(Self::NotOlderThan(number)),
            // A page of a given version is a page of exactly that version, for the pages must fit together.
            (None, number) if query.get("limit").is_some_and(|limit| limit != "0") => {
                Ok(Self::Exactly(number))
            }
            (None, number) => Ok(Self::NotOlderThan(number)),
            (Some(other), _) => {
                let cause = Cause {
                    reason: "FieldValueNotSupported",
                    message: format!(
                        "Unsupported value: {other:?}: supported values: \"Exact\", \"NotOlderThan\""
                    ),
                    field: "resourceVersionMatch".into(),
                };
                Err(Status::invalid("meta.k8s.io", "ListOptions", "", vec![cause]))
            }
        }
    }
}

fn forbidden_option(field: &str, why: &str) -> Status {
    let cause =
        Cause { reason: "FieldValueForbidden", message: format!("Forbidden: {why}"), field: field.into() };
    Status::invalid("meta.k8s.io", "ListOptions", "", vec![cause])
}

/// The failure of asking for a version that is yet to come.
pub(super) fn too_large(asked: u64, current: u64) -> Status {
    let cause = Cause {
        reason: "ResourceVersionTooLarge",
        message: "Too large resource version".into(),
        field: String::new(),
    };
    Status::new(504, "Timeout", format!("Timeout: Too large resource version: {asked}, current: {current}"))
        .with_details(Details { causes: vec![cause], retry_after_seconds: Some(1), ..Details::default() })
}

pub(super) fn get(call: &Call<'_>) -> Result<Response, Status> {
    let current = call.api.store.revision();
    if let Version::NotOlderThan(asked) | Version::Exactly(asked) = Version::parse(&call.query)?
        && asked > current
    {
        return Err(too_large(asked, current));
    }
    let object = call.api.store.get(call.kind(), &call.path.namespace, &call.path.name)?;
    Ok(one(call, StatusCode::OK, &object))
}

/// Answers with one object, in the form the caller wants.
pub(super) fn one(call: &Call<'_>, code: StatusCode, object: &Arc<Value>) -> Response {
    match call.form {
        Form::Object => render::json(code, &render::core(call.kind().name(), object)),
        Form::Metadata => render::json(code, &MetadataOnly(object)),
        Form::Table => {
            let metadata =
                ListMeta { resource_version: object::resource_version(object).into(), ..ListMeta::default() };
            let include = Include::parse(call.query.get("includeObject"));
            render::json(
                code,
                &table::render(call.kind(), std::slice::from_ref(object), &metadata, include, true),
            )
        }
    }
}

pub(super) fn list(call: &Call<'_>) -> Result<Response, Status> {
    let selection = Selection::parse(call.kind(), &call.path.namespace, &call.query)?;
    let (items, metadata) = page(call, &selection)?;
    Ok(many(call, &items, &metadata))
}

/// Answers with a list, in the form the caller wants.
pub(super) fn many(call: &Call<'_>, items: &[Arc<Value>], metadata: &ListMeta) -> Response {
    let kind = call.kind();
    match call.form {
        Form::Object => {
            let items = items.iter().map(Bare).collect();
            let list = List { kind: format!("{kind}List"), api_version: "v1", metadata, items };
            render::json(StatusCode::OK, &list)
        }
        Form::Metadata => {
            let items = items.iter().map(|item| MetadataOnly(item)).collect();
            let list = List {
                kind: "PartialObjectMetadataList".into(),
                api_version: "meta.k8s.io/v1",
                metadata,
                items,
            };
            render::json(StatusCode::OK, &list)
        }
        Form::Table => {
            let include = Include::parse(call.query.get("includeObject"));
            render::json(StatusCode::OK, &table::render(kind, items, metadata, include, true))
        }
    }
}

/// The objects asked for, of the version asked for, from where the last page ended.
fn page(call: &Call<'_>, selection: &Selection) -> Result<(Vec<Arc<Value>>, ListMeta), Status> {
    let store = &call.api.store;
    let (kind, namespace) = (call.kind(), selection.namespace());
    let limit = usize::try_from(call.query.number("limit")?.unwrap_or_default()).unwrap_or_default();
    let token = call.query.get("continue").map(Continuation::parse).transpose()?;
    let snapshot = match (&token, Version::parse(&call.query)?) {
        (Some(_), version) if !matches!(version, Version::Latest | Version::Any) => {
            return Err(Status::bad_request("specifying resource version is not allowed when using continue"));
        }
        (Some(token), _) => store.list_at(kind, namespace, token.revision).map_err(|_| {
            Status::expired("The provided continue parameter is too old to display a consistent list result. You must start a new list without the continue parameter.")
        })?,
        (None, Version::Exactly(asked)) if asked <= store.revision() => {
            store.list_at(kind, namespace, asked).map_err(|_| {
                Status::expired(format!("The resourceVersion for the provided list is too old: {asked}."))
            })?
        }
        (None, Version::NotOlderThan(asked) | Version::Exactly(asked)) if asked > store.revision() => {
            return Err(too_large(asked, store.revision()));
        }
        (None, _) => store.list(kind, namespace),
    };
    let after = token.map(|token| token.after);
    let mut selected = snapshot
        .items
        .into_iter()
        .filter(|object| after.as_deref().is_none_or(|after| position(namespace, object).as_str() > after))
        .filter(|object| selection.matches(object));
    let mut metadata = ListMeta { resource_version: snapshot.revision.to_string(), ..ListMeta::default() };
    if limit == 0 {
        return Ok((selected.collect(), metadata));
    }
    let items: Vec<Arc<Value>> = selected.by_ref().take(limit).collect();
    let remaining = selected.count();
    if let Some(last) = items.last().filter(|_| remaining > 0) {
        metadata.next =
            Continuation { revision: snapshot.revision, after: position(namespace, last) }.to_text();
        // How many more match is only promised where counting is free.
        metadata.remaining_item_count = selection.is_everything().then_some(remaining);
    }
    Ok((items, metadata))
}

/// An object's place in the list.
fn position(namespace: Option<&str>, object: &Value) -> String {
    match namespace {
        Some(_) => object::name(object).to_owned(),
        None => format!("{}/{}", object::namespace(object), object::name(object)),
    }
}

/// Where the next page begins.
struct Continuation {
    revision: u64,
    /// Place of the last object of the page before.
    after: String,
}

impl Continuation {
    fn parse(text: &str) -> Result<Self, Status> {
        let invalid = |why: String| {
            Status::bad_request(format!("invalid continue token: continue key is not valid: {why}"))
        };
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|error| invalid(error.to_string()))?;
        let token: Value =
            serde_json::from_slice(&bytes).map_err(|error| invalid(json_error(&error, &bytes)))?;
        let revision = token.get("rv").and_then(Value::as_u64);
        let start = token.get("start").and_then(Value::as_str).and_then(|start| start.strip_suffix('\0'));
        match (object::text_at(&token, &["v"]), revision, start) {
            ("meta.k8s.io/v1", Some(revision), Some(after)) => Ok(Self { revision, after: after.to_owned() }),
            _ => Err(invalid("server does not recognize this encoded version".into())),
        }
    }

    fn to_text(&self) -> String {
        let token =
            json!({ "v": "meta.k8s.io/v1", "rv": self.revision, "start": format!("{}\0", self.after) });
        URL_SAFE_NO_PAD.encode(token.to_string())
    }
}
