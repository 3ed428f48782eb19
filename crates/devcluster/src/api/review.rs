//! Reviews: what may I do, and who am I.

use axum::{body::Body, response::Response};
use http::{Request, StatusCode};
use serde_json::{Value, json};

use super::{
    Api,
    body::{self, Received},
    path::{AUTHENTICATION, AUTHORIZATION, ObjectPath},
    query::Query,
    render::{self, Typed},
};
use crate::{
    access::Attributes,
    kind::Kind,
    object::{at, text_at},
    status::{Cause, Status},
};

pub(super) async fn answer(api: &Api, resource: &str, request: Request<Body>) -> Result<Response, Status> {
    let (group, kind) = match resource {
        "selfsubjectaccessreviews" => (AUTHORIZATION, "SelfSubjectAccessReview"),
        "selfsubjectrulesreviews" => (AUTHORIZATION, "SelfSubjectRulesReview"),
        _ => (AUTHENTICATION, "SelfSubjectReview"),
    };
    let (parts, body) = request.into_parts();
    let validation = Query::parse(parts.uri.query()).field_validation()?;
    let api_version = format!("{group}/v1");
    let bytes = body::read(body).await?;
    let Received { mut value, warnings } =
        body::object(kind, &api_version, &parts.headers, &bytes, validation)?;
    let status = match kind {
        "SelfSubjectAccessReview" => access(api, &value)?,
        "SelfSubjectRulesReview" => {
            let rules = rules(api, text_at(&value, &["spec", "namespace"]));
            value = json!({ "metadata": {}, "spec": {} });
            rules
        }
        _ => json!({ "userInfo": {
            "username": api.options.user, "groups": ["system:masters", "system:authenticated"],
        } }),
    };
    if let Some(map) = value.as_object_mut() {
        map.insert("status".into(), status);
    }
    let typed = Typed { kind, api_version: &api_version, object: &value };
    let mut response = render::json(StatusCode::CREATED, &typed);
    render::warn(&mut response, &warnings);
    Ok(response)
}

fn access(api: &Api, review: &Value) -> Result<Value, Status> {
    let resource = at(review, &["spec", "resourceAttributes"]);
    let other = at(review, &["spec", "nonResourceAttributes"]);
    let allowed = match (resource, other) {
        (Some(wanted), None) => {
            let text = |field| text_at(wanted, &[field]).to_owned();
            api.access.allows(&Attributes {
                verb: text("verb"),
                group: text("group"),
                resource: text("resource"),
                subresource: text("subresource"),
                namespace: text("namespace"),
                name: text("name"),
            })
        }
        // Documents about the API itself are for everybody.
        (None, Some(_)) => true,
        _ => {
            let cause = Cause {
                reason: "FieldValueInvalid",
                message: "Invalid value: null: exactly one of nonResourceAttributes or resourceAttributes must be specified".into(),
                field: "spec.resourceAttributes".into(),
            };
            return Err(Status::invalid(AUTHORIZATION, "SelfSubjectAccessReview", "", vec![cause]));
        }
    };
    Ok(json!({ "allowed": allowed }))
}

/// Everything that may be done in a namespace.
fn rules(api: &Api, namespace: &str) -> Value {
    const VERBS: [&str; 8] =
        ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];
    let mut resources: Vec<String> = Kind::ALL.iter().map(|kind| kind.resource().to_owned()).collect();
    let parts = ["pods/log", "pods/exec", "pods/resize", "pods/status", "serviceaccounts/token"];
    resources.extend(parts.map(str::to_owned));
    let allowed = |verb: &str, resource: &str| {
        let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
        let path = Kind::from_resource(resource).map(|kind| ObjectPath {
            kind,
            namespace: if kind.is_namespaced() { namespace.to_owned() } else { String::new() },
            name: String::new(),
            subresource: subresource.to_owned(),
        });
        path.is_some_and(|path| {
            api.access.allows(&Attributes {
                verb: verb.into(),
                resource: resource.into(),
                subresource: path.subresource,
                namespace: path.namespace,
                ..Attributes::default()
            })
        })
    };
    let verbs_of = |resource: &String| -> Vec<&str> {
        VERBS.into_iter().filter(|verb| allowed(verb, resource)).collect()
    };
    let mut rules = vec![
        json!({ "verbs": ["create"], "apiGroups": [AUTHORIZATION], "resources": ["selfsubjectaccessreviews", "selfsubjectrulesreviews"] }),
        json!({ "verbs": ["create"], "apiGroups": [AUTHENTICATION], "resources": ["selfsubjectreviews"] }),
    ];
    if resources.iter().all(|resource| verbs_of(resource).len() == VERBS.len()) {
        rules.push(json!({ "verbs": ["*"], "apiGroups": ["*"], "resources": ["*"] }));
    } else {
        let each = resources.iter().map(|resource| (resource, verbs_of(resource)));
        rules.extend(
            each.filter(|(_, verbs)| !verbs.is_empty()).map(
                |(resource, verbs)| json!({ "verbs": verbs, "apiGroups": [""], "resources": [resource] }),
            ),
        );
    }
    json!({
        "resourceRules": rules,
        "nonResourceRules": [{ "verbs": ["*"], "nonResourceURLs": ["*"] }],
        "incomplete": false,
    })
}
