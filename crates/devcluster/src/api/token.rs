//! Tokens of service accounts, and what others need to check them.

use axum::{body::Body, response::Response};
use http::{Request, StatusCode};
use serde_json::{Value, json};

use super::{
    Api,
    body::{self, Received},
    path::{AUTHENTICATION, ObjectPath},
    query::Query,
    render::{self, Typed},
};
use crate::{
    object::{self, at, list_at, text_at},
    status::Status,
    tokens::{Bound, Issuer, Wanted},
};

const KIND: &str = "TokenRequest";

/// Issues a token for the account at `path`.
pub(super) async fn create(api: &Api, path: &ObjectPath, request: Request<Body>) -> Result<Response, Status> {
    let (parts, body) = request.into_parts();
    let validation = Query::parse(parts.uri.query()).field_validation()?;
    let api_version = format!("{AUTHENTICATION}/v1");
    let bytes = body::read(body).await?;
    let Received { mut value, warnings } =
        body::object(KIND, &api_version, &parts.headers, &bytes, validation)?;
    for (own, path, what) in [
        (object::name(&value), &path.name, "name"),
        (object::namespace(&value), &path.namespace, "namespace"),
    ] {
        if !own.is_empty() && own != path {
            return Err(Status::bad_request(format!(
                "the {what} of the token request is not that of the URL"
            )));
        }
    }
    let issued = api.options.issuer.issue(&api.store, &wanted(path, &value))?;
    object::set_meta(&mut value, "name", path.name.clone().into());
    object::set_meta(&mut value, "namespace", path.namespace.clone().into());
    object::set_meta(&mut value, "creationTimestamp", object::seconds(issued.issued).into());
    let spec = object::child_mut(&mut value, "spec");
    spec.insert("audiences".into(), json!(issued.audiences));
    spec.insert("expirationSeconds".into(), issued.seconds.into());
    let status = json!({ "token": issued.token, "expirationTimestamp": object::seconds(issued.expires) });
    object::as_map(&mut value).insert("status".into(), status);
    let typed = Typed { kind: KIND, api_version: &api_version, object: &value };
    let mut response = render::json(StatusCode::CREATED, &typed);
    render::warn(&mut response, &warnings);
    Ok(response)
}

fn wanted(path: &ObjectPath, request: &Value) -> Wanted {
    let audiences = list_at(request, &["spec", "audiences"]);
    Wanted {
        namespace: path.namespace.clone(),
        account: path.name.clone(),
        audiences: audiences.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        seconds: at(request, &["spec", "expirationSeconds"]).and_then(Value::as_i64),
        bound_to: at(request, &["spec", "boundObjectRef"]).filter(|bound| !bound.is_null()).map(|bound| {
            Bound {
                kind: text_at(bound, &["kind"]).to_owned(),
                name: text_at(bound, &["name"]).to_owned(),
                uid: text_at(bound, &["uid"]).to_owned(),
            }
        }),
    }
}

/// `/.well-known/openid-configuration`.
pub(super) fn configuration() -> Response {
    render::json(StatusCode::OK, &Issuer::configuration())
}

/// `/openid/v1/jwks`.
pub(super) fn keys(api: &Api) -> Result<Response, Status> {
    Ok(render::with_type(StatusCode::OK, "application/jwk-set+json", api.options.issuer.keys()?.to_string()))
}
