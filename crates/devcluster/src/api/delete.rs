//! Deleting one object, or all that are selected.

use axum::response::Response;
use bytes::Bytes;
use http::StatusCode;

use super::{
    Call, body, list,
    list::Selection,
    query::FieldValidation,
    render::{self, ListMeta},
};
use crate::{
    deletion::{self, Options, Propagation},
    object::{self, text_at},
    resources,
    status::Status,
    store::Preconditions,
    validate::Problems,
};

pub(super) fn one(call: &Call<'_>, body: &Bytes) -> Result<Response, Status> {
    let options = options(call, body)?;
    let (kind, path) = (call.kind(), &call.path);
    let (object, gone) = deletion::delete(&call.api.store, kind, &path.namespace, &path.name, &options)?;
    if gone && !resources::returns_deleted(kind) {
        return Ok(render::json(StatusCode::OK, &render::deleted(kind.resource(), &object)));
    }
    Ok(list::one(call, StatusCode::OK, &object))
}

pub(super) fn collection(call: &Call<'_>, body: &Bytes) -> Result<Response, Status> {
    let options = options(call, body)?;
    let (kind, store) = (call.kind(), &call.api.store);
    let selection = Selection::parse(kind, &call.path.namespace, &call.query)?;
    let snapshot = store.list(kind, selection.namespace());
    let selected: Vec<_> = snapshot.items.into_iter().filter(|object| selection.matches(object)).collect();
    for object in &selected {
        match deletion::delete(store, kind, object::namespace(object), object::name(object), &options) {
            // Somebody else was faster.
            Err(status) if status.code == 404 => {}
            Err(status) => return Err(status),
            Ok(_) => {}
        }
    }
    let metadata = ListMeta { resource_version: store.revision().to_string(), ..ListMeta::default() };
    Ok(list::many(call, &selected, &metadata))
}

/// How to delete: what the body says, else the query.
fn options(call: &Call<'_>, body: &Bytes) -> Result<Options, Status> {
    let query = &call.query;
    if body.is_empty() {
        let orphan = query.get("orphanDependents").map(|_| query.flag("orphanDependents"));
        return Ok(Options {
            grace: query.number("gracePeriodSeconds")?,
            preconditions: Preconditions::none(),
            propagation: propagation(query.get("propagationPolicy"), orphan)?,
            dry_run: query.dry_run()?,
        });
    }
    let parsed = body::parse(body::content_type(&call.headers), body).map_err(Status::bad_request)?;
    // Clients say `v1` or `meta.k8s.io/v1`; both mean the same.
    let version = match text_at(&parsed.value, &["apiVersion"]) {
        "" => "v1".to_owned(),
        version => version.to_owned(),
    };
    let value = body::typed("DeleteOptions", &version, parsed, FieldValidation::Ignore)?.value;
    let text = |path: &[&str]| Some(text_at(&value, path)).filter(|text| !text.is_empty()).map(str::to_owned);
    let all = |value: &serde_json::Value| value == "All";
    Ok(Options {
        grace: object::at(&value, &["gracePeriodSeconds"]).and_then(serde_json::Value::as_i64),
        preconditions: Preconditions {
            uid: text(&["preconditions", "uid"]),
            resource_version: text(&["preconditions", "resourceVersion"]),
        },
        propagation: propagation(
            text(&["propagationPolicy"]).as_deref(),
            object::at(&value, &["orphanDependents"]).and_then(serde_json::Value::as_bool),
        )?,
        dry_run: query.dry_run()? || object::list_at(&value, &["dryRun"]).iter().any(all),
    })
}

fn propagation(policy: Option<&str>, orphan: Option<bool>) -> Result<Option<Propagation>, Status> {
    let mut problems = Problems::default();
    let propagation = match (policy, orphan) {
        (Some(_), Some(_)) => {
            let why = "orphanDependents and deletionPropagation cannot be both set";
            problems.invalid_text("propagationPolicy", policy.unwrap_or_default(), why);
            None
        }
        (Some("Background"), None) => Some(Propagation::Background),
        (Some("Foreground"), None) => Some(Propagation::Foreground),
        (Some("Orphan"), None) | (None, Some(true)) => Some(Propagation::Orphan),
        (Some(other), None) => {
            problems.unsupported("propagationPolicy", other, &["Foreground", "Background", "Orphan", "nil"]);
            None
        }
        (None, _) => None,
    };
    let causes = problems.into_causes();
    if causes.is_empty() {
        Ok(propagation)
    } else {
        Err(Status::invalid("meta.k8s.io", "DeleteOptions", "", causes))
    }
}
