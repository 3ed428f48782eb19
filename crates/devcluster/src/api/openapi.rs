//! The OpenAPI v3 documents, made from the table of types. Clients read them to learn how lists merge and which
//! parameters are understood; the types' descriptions are left to the book of Kubernetes.

use std::sync::LazyLock;

use axum::response::Response;
use http::StatusCode;
use serde_json::{Map, Value, json};

use super::{
    path::{AUTHENTICATION, AUTHORIZATION},
    render,
};
use crate::{
    kind::Kind,
    resources,
    schema::{Field, ObjectType, Ownership, Shape, object_type, object_types},
    status::Status,
};

static CORE: LazyLock<String> = LazyLock::new(|| core().to_string());

/// The list of documents. The media type is a real server's oversight, which clients are used to.
pub(super) fn index() -> Response {
    let paths: Map<String, Value> =
        ["api/v1".to_owned(), format!("apis/{AUTHENTICATION}/v1"), format!("apis/{AUTHORIZATION}/v1")]
            .into_iter()
            .map(|path| {
                let url = format!("/openapi/v3/{path}");
                (path, json!({ "serverRelativeURL": url }))
            })
            .collect();
    render::with_type(StatusCode::OK, "text/plain; charset=utf-8", json!({ "paths": paths }).to_string())
}

/// One document.
pub(super) fn document(path: &str) -> Result<Response, Status> {
    if path == "api/v1" {
        return Ok(render::with_type(StatusCode::OK, "application/json", CORE.as_str()));
    }
    let (group, kinds): (&str, &[(&str, &str)]) =
        match path.strip_prefix("apis/").and_then(|p| p.strip_suffix("/v1")) {
            Some(AUTHORIZATION) => (
                AUTHORIZATION,
                &[
                    ("selfsubjectaccessreviews", "SelfSubjectAccessReview"),
                    ("selfsubjectrulesreviews", "SelfSubjectRulesReview"),
                ],
            ),
            Some(AUTHENTICATION) => (AUTHENTICATION, &[("selfsubjectreviews", "SelfSubjectReview")]),
            _ => return Err(Status::unknown_resource()),
        };
    let paths: Map<String, Value> = kinds
        .iter()
        .map(|(resource, kind)| {
            let operation = operation("post", group, kind, true);
            (format!("/apis/{group}/v1/{resource}"), json!({ "post": operation }))
        })
        .collect();
    Ok(render::json(StatusCode::OK, &whole(paths)))
}

fn whole(paths: Map<String, Value>) -> Value {
    let schemas: Map<String, Value> =
        object_types().map(|object| (schema_name(object), object_schema(object))).collect();
    json!({
        "openapi": "3.0.0", "info": { "title": "Kubernetes", "version": "v1.36.0" }, "paths": paths,
        "components": { "schemas": schemas },
    })
}

fn core() -> Value {
    let mut paths = Map::new();
    for kind in Kind::ALL {
        let base = if kind.is_namespaced() { "/api/v1/namespaces/{namespace}" } else { "/api/v1" };
        let resource = kind.resource();
        let name = kind.name();
        let all = json!({
            "get": operation("list", "", name, false), "post": operation("post", "", name, true),
            "delete": operation("deletecollection", "", name, false),
        });
        let one = json!({
            "get": operation("get", "", name, false), "put": operation("put", "", name, true),
            "patch": operation("patch", "", name, true), "delete": operation("delete", "", name, false),
        });
        paths.insert(format!("{base}/{resource}"), all);
        paths.insert(format!("{base}/{resource}/{{name}}"), one);
        let parts = [("status", resources::has_status(kind)), ("resize", kind == Kind::Pod)];
        for (part, _) in parts.into_iter().filter(|(_, is_there)| *is_there) {
            let operations = json!({
                "get": operation("get", "", name, false), "put": operation("put", "", name, true),
                "patch": operation("patch", "", name, true),
            });
            paths.insert(format!("{base}/{resource}/{{name}}/{part}"), operations);
        }
    }
    whole(paths)
}

fn operation(action: &str, group: &str, kind: &str, writes: bool) -> Value {
    let parameter = |name: &str| json!({ "name": name, "in": "query", "schema": { "type": "string", "uniqueItems": true } });
    let mut parameters = vec![parameter("pretty")];
    if writes || action.starts_with("delete") {
        parameters.push(parameter("dryRun"));
    }
    if writes {
        parameters.extend([parameter("fieldManager"), parameter("fieldValidation")]);
    }
    let reference = object_type(kind).map(reference).unwrap_or_default();
    let mut operation = json!({
        "parameters": parameters,
        "responses": { "200": { "description": "OK", "content": { "application/json": { "schema": reference } } } },
        "x-kubernetes-action": action,
        "x-kubernetes-group-version-kind": { "group": group, "version": "v1", "kind": kind },
    });
    let content_types: &[&str] = match action {
        "patch" => &[
            "application/apply-patch+yaml",
            "application/json-patch+json",
            "application/merge-patch+json",
            "application/strategic-merge-patch+json",
        ],
        _ => &["application/json", "application/yaml"],
    };
    if writes && let Some(map) = operation.as_object_mut() {
        let schema = if action == "patch" { json!({ "type": "object" }) } else { reference };
        let content: Map<String, Value> =
            content_types.iter().map(|name| ((*name).to_owned(), json!({ "schema": schema }))).collect();
        map.insert("requestBody".into(), json!({ "content": content, "required": true }));
    }
    operation
}

fn schema_name(object: &ObjectType) -> String {
    format!("{}.{}", object.package, object.name)
}

fn reference(object: &ObjectType) -> Value {
    json!({ "$ref": format!("#/components/schemas/{}", schema_name(object)) })
}

fn object_schema(object: &ObjectType) -> Value {
    let properties: Map<String, Value> =
        object.fields.iter().map(|field| (field.name.to_owned(), field_schema(field))).collect();
    let mut schema = json!({ "type": "object", "properties": properties });
    if let Some(map) = schema.as_object_mut() {
        if object.atomic {
            map.insert("x-kubernetes-map-type".into(), "atomic".into());
        }
        let group = match object.package {
            "io.k8s.api.core.v1" => Some(""),
            "io.k8s.api.authorization.v1" => Some(AUTHORIZATION),
            "io.k8s.api.authentication.v1" => Some(AUTHENTICATION),
            _ => None,
        };
        if let Some(group) =
            group.filter(|_| object.field("kind").is_some() && object.field("metadata").is_some())
        {
            let kind = json!([{ "group": group, "version": "v1", "kind": object.name }]);
            map.insert("x-kubernetes-group-version-kind".into(), kind);
        }
    }
    schema
}

fn field_schema(field: &Field) -> Value {
    let mut schema = shape_schema(&field.shape);
    let Some(map) = schema.as_object_mut() else { return schema };
    match (&field.shape, &field.ownership) {
        (Shape::List(_), Ownership::Keyed(keys)) => {
            map.insert("x-kubernetes-list-type".into(), "map".into());
            map.insert("x-kubernetes-list-map-keys".into(), json!(keys));
        }
        (Shape::List(_), Ownership::Set) => {
            map.insert("x-kubernetes-list-type".into(), "set".into());
        }
        (Shape::List(_), _) => {
            map.insert("x-kubernetes-list-type".into(), "atomic".into());
        }
        (Shape::Map(_), Ownership::Atomic) => {
            map.insert("x-kubernetes-map-type".into(), "atomic".into());
        }
        _ => {}
    }
    if let Some(key) = field.merge_key {
        map.insert("x-kubernetes-patch-merge-key".into(), key.into());
    }
    if field.merge_key.is_some() || field.merge_set {
        let strategy = if field.retain_keys { "merge,retainKeys" } else { "merge" };
        map.insert("x-kubernetes-patch-strategy".into(), strategy.into());
    }
    schema
}

fn shape_schema(shape: &Shape) -> Value {
    match shape {
        Shape::Text | Shape::Quantity => json!({ "type": "string" }),
        Shape::Bytes => json!({ "type": "string", "format": "byte" }),
        Shape::Time | Shape::MicroTime => json!({ "type": "string", "format": "date-time" }),
        Shape::Bool => json!({ "type": "boolean" }),
        Shape::Int32 => json!({ "type": "integer", "format": "int32" }),
        Shape::Int64 => json!({ "type": "integer", "format": "int64" }),
        Shape::Float => json!({ "type": "number", "format": "double" }),
        Shape::IntOrString => {
            json!({ "format": "int-or-string", "oneOf": [{ "type": "integer" }, { "type": "string" }] })
        }
        Shape::Any => json!({ "type": "object" }),
        Shape::List(item) => json!({ "type": "array", "items": shape_schema(item) }),
        Shape::Map(item) => json!({ "type": "object", "additionalProperties": shape_schema(item) }),
        Shape::Object(name) => match object_type(name) {
            // Wrapped, so that extensions may stand beside the reference.
            Some(object) => json!({ "allOf": [reference(object)] }),
            None => json!({ "type": "object" }),
        },
    }
}
