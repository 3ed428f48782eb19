//! Patching objects, and applying configurations to them.

use axum::response::Response;
use bytes::Bytes;
use http::StatusCode;
use serde_json::{Value, json};

use super::{
    Call,
    body::{self, Parsed, Received},
    list,
    query::FieldValidation,
    render, write,
};
use crate::{
    apply,
    object::{self, text_at},
    patch::Patch,
    resources,
    schema::decode,
    status::{Cause, Status},
};

/// Media type of configurations to apply.
const APPLY: &str = "application/apply-patch+yaml";

pub(super) fn patch(call: &Call<'_>, body: &Bytes) -> Result<Response, Status> {
    let content_type = body::content_type(&call.headers);
    if content_type == APPLY {
        return apply_configuration(call, body);
    }
    let parse = |body: &[u8]| {
        body::parse("application/json", body)
            .map_err(|error| Status::bad_request(format!("error decoding patch: {error}")))
    };
    let supported = [
        "application/json-patch+json",
        "application/merge-patch+json",
        "application/strategic-merge-patch+json",
    ];
    if !supported.contains(&content_type) {
        return Err(Status::unsupported_media_type());
    }
    let Parsed { value, duplicates } = parse(body)?;
    let patch = Patch::parse(content_type, value).ok_or_else(Status::unsupported_media_type)??;
    let validation = call.query.field_validation()?;
    let kind = call.kind();
    let mut warnings = Vec::new();
    let patched = write::change(call, |stored| {
        let mut target = stored.clone();
        object::as_map(&mut target).insert("kind".into(), kind.name().into());
        object::as_map(&mut target).insert("apiVersion".into(), "v1".into());
        patch.apply(kind.name(), &mut target)?;
        let parsed = Parsed { value: target, duplicates };
        let received = body::typed(kind.name(), "v1", parsed, validation)?;
        warnings = received.warnings;
        Ok((received.value, Some(call.manager(false))))
    })?;
    let mut response = list::one(call, StatusCode::OK, &patched);
    render::warn(&mut response, &warnings);
    Ok(response)
}

fn apply_configuration(call: &Call<'_>, body: &Bytes) -> Result<Response, Status> {
    if call.query.get("fieldManager").is_none() {
        let cause = Cause {
            reason: "FieldValueRequired",
            message: "Required value: is required for apply patch".into(),
            field: "fieldManager".into(),
        };
        return Err(Status::invalid("meta.k8s.io", "PatchOptions", "", vec![cause]));
    }
    let kind = call.kind();
    let (configuration, warnings) = configuration(call, body)?;
    let manager = call.manager(true);
    let force = call.query.flag("force");
    let merged = |live: &Value| -> Result<Value, Status> {
        let merged = apply::apply(kind, live, &configuration, &manager, force)?;
        let parsed = Parsed { value: merged, duplicates: Vec::new() };
        let Received { value, .. } = body::typed(kind.name(), "v1", parsed, FieldValidation::Ignore)?;
        Ok(value)
    };
    let (code, object) = match write::change(call, |stored| Ok((merged(stored)?, None))) {
        Err(status)
            if status.code == 404 && call.path.subresource.is_empty() && status.reason == "NotFound" =>
        {
            let mut new = merged(&json!({ "metadata": { "name": call.path.name } }))?;
            object::remove_meta(&mut new, "resourceVersion");
            resources::set_defaults(kind, &mut new);
            (StatusCode::CREATED, write::add(call, new, None)?)
        }
        applied => (StatusCode::OK, applied?),
    };
    let mut response = list::one(call, code, &object);
    render::warn(&mut response, &warnings);
    Ok(response)
}

/// Reads a configuration: an object with only the members that somebody wants to determine.
fn configuration(call: &Call<'_>, body: &Bytes) -> Result<(Value, Vec<String>), Status> {
    let kind = call.kind();
    let parsed = body::parse("application/yaml", body)
        .map_err(|error| Status::bad_request(format!("error decoding YAML: {error}")))?;
    let (said_kind, said_version) =
        (text_at(&parsed.value, &["kind"]), text_at(&parsed.value, &["apiVersion"]));
    if said_kind != kind.name() || said_version != "v1" {
        return Err(Status::bad_request(format!("invalid object type: {said_version}, Kind={said_kind}")));
    }
    if object::at(&parsed.value, &["metadata", "managedFields"]).is_some() {
        return Err(Status::bad_request("metadata.managedFields must be nil"));
    }
    let (mut configuration, unknown) = decode::canonical(kind.name(), parsed.value).map_err(|error| {
        Status::bad_request(format!("{kind} in version \"v1\" cannot be handled as a {kind}: {error}"))
    })?;
    if let Some(path) = unknown.first() {
        let place = format!("{}/{}; /v1, Kind={kind}", call.path.namespace, call.path.name);
        let message =
            format!("failed to create typed patch object ({place}): .{path}: field not declared in schema");
        return Err(Status::new(500, "", message));
    }
    let map = object::as_map(&mut configuration);
    map.shift_remove("apiVersion");
    map.shift_remove("kind");
    match object::name(&configuration) {
        "" => object::set_meta(&mut configuration, "name", call.path.name.clone().into()),
        name if name == call.path.name => {}
        name => {
            return Err(Status::bad_request(format!(
                "the name of the object ({name}) does not match the name on the URL ({})",
                call.path.name
            )));
        }
    }
    let namespace = object::namespace(&configuration);
    if !namespace.is_empty() && namespace != call.path.namespace {
        return Err(Status::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    let complaints = parsed.duplicates.iter().map(|path| format!("duplicate field \"{path}\"")).collect();
    Ok((configuration, complaints))
}
