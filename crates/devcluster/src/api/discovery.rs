//! Discovery: telling clients what is served.

use axum::response::Response;
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use super::{
    accept::{self, Discovery},
    path::{AUTHENTICATION, AUTHORIZATION},
    render,
};
use crate::{kind::Kind, resources, status::Status};

/// The version of Kubernetes whose behaviour is reproduced.
const MINOR: &str = "36";

const ALL_VERBS: [&str; 8] =
    ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];

/// A resource, or part of one, as discovery describes it.
struct Resource {
    name: &'static str,
    subresource: &'static str,
    singular: &'static str,
    kind: &'static str,
    /// Group of the kind, where it is not the resource's own.
    kind_group: &'static str,
    namespaced: bool,
    verbs: Vec<&'static str>,
    short_names: &'static [&'static str],
    categories: &'static [&'static str],
}

pub(super) fn version() -> Value {
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    json!({
        "major": "1", "minor": MINOR, "gitVersion": format!("v1.{MINOR}.0-nocrd-dev"), "gitCommit": "", "gitTreeState": "",
        "buildDate": "1970-01-01T00:00:00Z", "goVersion": "", "compiler": "rustc",
        "platform": format!("{}/{architecture}", std::env::consts::OS),
        "emulationMajor": "1", "emulationMinor": MINOR, "minCompatibilityMajor": "1", "minCompatibilityMinor": "35",
    })
}

fn kinds_by_resource() -> Vec<Kind> {
    let mut kinds = Kind::ALL.to_vec();
    kinds.sort_by_key(|kind| kind.resource());
    kinds
}

fn core() -> Vec<Resource> {
    let mut resources = Vec::new();
    for kind in kinds_by_resource() {
        let mut verbs = ALL_VERBS.to_vec();
        // Deleting all namespaces at once is not a thing.
        verbs.retain(|verb| kind != Kind::Namespace || *verb != "deletecollection");
        resources.push(Resource {
            name: kind.resource(),
            subresource: "",
            singular: kind.singular(),
            kind: kind.name(),
            kind_group: "",
            namespaced: kind.is_namespaced(),
            verbs,
            short_names: kind.short_names(),
            categories: if kind == Kind::Pod { &["all"] } else { &[] },
        });
        let part = |subresource, of, verbs: &[&'static str]| Resource {
            name: kind.resource(),
            subresource,
            singular: "",
            kind: of,
            kind_group: "",
            namespaced: kind.is_namespaced(),
            verbs: verbs.to_vec(),
            short_names: &[],
            categories: &[],
        };
        if kind == Kind::Pod {
            resources.push(part("exec", "PodExecOptions", &["create", "get"]));
            resources.push(part("log", "Pod", &["get"]));
            resources.push(part("resize", "Pod", &["get", "patch", "update"]));
        }
        if kind == Kind::ServiceAccount {
            let token = part("token", "TokenRequest", &["create"]);
            resources.push(Resource { kind_group: AUTHENTICATION, ..token });
        }
        if resources::has_status(kind) {
            resources.push(part("status", kind.name(), &["get", "patch", "update"]));
        }
    }
    resources
}

/// The resources of the groups that are nothing but reviews.
fn reviews(group: &str) -> Option<Vec<Resource>> {
    let review = |name, singular, kind| Resource {
        name,
        subresource: "",
        singular,
        kind,
        kind_group: "",
        namespaced: false,
        verbs: vec!["create"],
        short_names: &[],
        categories: &[],
    };
    match group {
        AUTHORIZATION => Some(vec![
            review("selfsubjectaccessreviews", "selfsubjectaccessreview", "SelfSubjectAccessReview"),
            review("selfsubjectrulesreviews", "selfsubjectrulesreview", "SelfSubjectRulesReview"),
        ]),
        AUTHENTICATION => Some(vec![review("selfsubjectreviews", "selfsubjectreview", "SelfSubjectReview")]),
        _ => None,
    }
}

fn plain(resource: &Resource) -> Value {
    let name = if resource.subresource.is_empty() {
        resource.name.to_owned()
    } else {
        format!("{}/{}", resource.name, resource.subresource)
    };
    let mut value = json!({
        "name": name, "singularName": resource.singular, "namespaced": resource.namespaced, "kind": resource.kind,
        "verbs": resource.verbs,
    });
    if let Some(map) = value.as_object_mut().filter(|_| !resource.kind_group.is_empty()) {
        map.insert("group".into(), resource.kind_group.into());
        map.insert("version".into(), "v1".into());
    }
    add_lists(&mut value, resource);
    value
}

fn add_lists(value: &mut Value, resource: &Resource) {
    if let Some(map) = value.as_object_mut() {
        if !resource.short_names.is_empty() {
            map.insert("shortNames".into(), json!(resource.short_names));
        }
        if !resource.categories.is_empty() {
            map.insert("categories".into(), json!(resource.categories));
        }
    }
}

/// Describes resources in the aggregated form: parts of resources stand inside them.
fn aggregated(resources: &[Resource], group: &str) -> Vec<Value> {
    let (api_group, version) = if group.is_empty() { ("", "") } else { (group, "v1") };
    let kind = |resource: &Resource| match resource.kind_group {
        "" => json!({ "group": api_group, "version": version, "kind": resource.kind }),
        group => json!({ "group": group, "version": "v1", "kind": resource.kind }),
    };
    let whole = resources.iter().filter(|resource| resource.subresource.is_empty());
    whole
        .map(|resource| {
            let mut value = json!({
                "resource": resource.name, "responseKind": kind(resource),
                "scope": if resource.namespaced { "Namespaced" } else { "Cluster" },
                "singularResource": resource.singular, "verbs": resource.verbs,
            });
            add_lists(&mut value, resource);
            let parts: Vec<Value> = resources
                .iter()
                .filter(|part| part.name == resource.name && !part.subresource.is_empty())
                .map(|part| {
                    json!({ "subresource": part.subresource, "responseKind": kind(part), "verbs": part.verbs })
                })
                .collect();
            if let Some(map) = value.as_object_mut().filter(|_| !parts.is_empty()) {
                map.insert("subresources".into(), parts.into());
            }
            value
        })
        .collect()
}

fn aggregated_list(version: &str, items: &[Value]) -> Response {
    let content_type = match version {
        "v2" => "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList",
        _ => "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList",
    };
    let body = json!({
        "kind": "APIGroupDiscoveryList", "apiVersion": format!("apidiscovery.k8s.io/{version}"), "metadata": {},
        "items": items,
    });
    render::with_type(StatusCode::OK, content_type, body.to_string())
}

pub(super) fn core_resources() -> Value {
    let resources: Vec<Value> = core().iter().map(plain).collect();
    json!({ "kind": "APIResourceList", "groupVersion": "v1", "resources": resources })
}

/// `/api`.
fn core_versions() -> Value {
    json!({
        "kind": "APIVersions", "versions": ["v1"],
        "serverAddressByClientCIDRs": [{ "clientCIDR": "0.0.0.0/0", "serverAddress": "127.0.0.1" }],
    })
}

pub(super) fn core_document(headers: &HeaderMap) -> Response {
    match accept::discovery(headers) {
        Discovery::Plain => render::json(StatusCode::OK, &core_versions()),
        Discovery::Aggregated(version) => {
            let versions =
                json!([{ "version": "v1", "resources": aggregated(&core(), ""), "freshness": "Current" }]);
            aggregated_list(version, &[json!({ "metadata": {}, "versions": versions })])
        }
    }
}

const GROUPS: [&str; 2] = [AUTHENTICATION, AUTHORIZATION];

fn group_value(name: &str) -> Value {
    let version = json!({ "groupVersion": format!("{name}/v1"), "version": "v1" });
    json!({ "name": name, "versions": [version], "preferredVersion": version })
}

/// `/apis`.
pub(super) fn groups(headers: &HeaderMap) -> Response {
    match accept::discovery(headers) {
        Discovery::Plain => {
            let groups = GROUPS.map(group_value);
            render::json(
                StatusCode::OK,
                &json!({ "kind": "APIGroupList", "apiVersion": "v1", "groups": groups }),
            )
        }
        Discovery::Aggregated(version) => {
            let items: Vec<Value> = GROUPS
                .iter()
                .map(|group| {
                    let resources = aggregated(&reviews(group).unwrap_or_default(), group);
                    let versions =
                        json!([{ "version": "v1", "resources": resources, "freshness": "Current" }]);
                    json!({ "metadata": { "name": group }, "versions": versions })
                })
                .collect();
            aggregated_list(version, &items)
        }
    }
}

/// `/apis/<group>`.
pub(super) fn group(name: &str) -> Result<Response, Status> {
    if !GROUPS.contains(&name) {
        return Err(Status::unknown_resource());
    }
    let mut body = json!({ "kind": "APIGroup", "apiVersion": "v1" });
    if let (Some(body), Some(group)) = (body.as_object_mut(), group_value(name).as_object_mut()) {
        body.append(group);
    }
    Ok(render::json(StatusCode::OK, &body))
}

/// `/apis/<group>/v1`.
pub(super) fn group_resources(group: &str) -> Result<Response, Status> {
    let resources = reviews(group).ok_or_else(Status::unknown_resource)?;
    let resources: Vec<Value> = resources.iter().map(plain).collect();
    let body = json!({
        "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": format!("{group}/v1"), "resources": resources,
    });
    Ok(render::json(StatusCode::OK, &body))
}
