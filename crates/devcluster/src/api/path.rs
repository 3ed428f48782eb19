//! What a request's path means.

use percent_encoding::percent_decode_str;

use crate::kind::Kind;

/// What a path leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Target {
    /// `/healthz`, `/livez`, `/readyz` and the checks below them.
    Health,
    /// `/version`.
    Version,
    /// `/api`.
    Core,
    /// `/apis`.
    Groups,
    /// `/api/v1`.
    CoreResources,
    /// `/apis/<group>`.
    Group(String),
    /// `/apis/<group>/<version>`.
    GroupResources(String),
    /// `/.well-known/openid-configuration`.
    OpenIdConfiguration,
    /// `/openid/v1/jwks`.
    OpenIdKeys,
    /// `/openapi/v3`.
    OpenApiIndex,
    /// `/openapi/v3/<group version>`.
    OpenApi(String),
    /// A review of one's own rights or identity, by its resource.
    Review(String),
    /// Objects.
    Object(ObjectPath),
    /// A path of the form of an API's, but with a resource that isn't there.
    UnknownResource,
    /// Anything else.
    Nothing,
}

/// The path of one object, of part of it, or of all of a kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ObjectPath {
    pub(super) kind: Kind,
    /// Empty for kinds without, and for all namespaces.
    pub(super) namespace: String,
    /// Empty for all.
    pub(super) name: String,
    /// Empty for the object itself.
    pub(super) subresource: String,
}

/// Groups whose reviews are served.
pub(super) const AUTHORIZATION: &str = "authorization.k8s.io";
pub(super) const AUTHENTICATION: &str = "authentication.k8s.io";

pub(super) fn parse(path: &str) -> Target {
    let segments: Vec<String> = path
        .split('/')
        .filter(|segment| !segment.is_empty())
        .map(|segment| percent_decode_str(segment).decode_utf8_lossy().into_owned())
        .collect();
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    match segments.as_slice() {
        ["healthz" | "livez" | "readyz", ..] => Target::Health,
        ["version"] => Target::Version,
        ["api"] => Target::Core,
        ["apis"] => Target::Groups,
        ["api", "v1"] => Target::CoreResources,
        ["apis", group] => Target::Group((*group).into()),
        ["apis", group, "v1"] => Target::GroupResources((*group).into()),
        [".well-known", "openid-configuration"] => Target::OpenIdConfiguration,
        ["openid", "v1", "jwks"] => Target::OpenIdKeys,
        ["openapi", "v3"] => Target::OpenApiIndex,
        ["openapi", "v3", rest @ ..] => Target::OpenApi(rest.join("/")),
        ["apis", AUTHORIZATION, "v1", review @ ("selfsubjectaccessreviews" | "selfsubjectrulesreviews")]
        | ["apis", AUTHENTICATION, "v1", review @ "selfsubjectreviews"] => Target::Review((*review).into()),
        ["apis", _, _, ..] => Target::UnknownResource,
        ["api", "v1", rest @ ..] => object(rest).map_or(Target::UnknownResource, Target::Object),
        _ => Target::Nothing,
    }
}

fn object(segments: &[&str]) -> Option<ObjectPath> {
    let (namespace, rest) = match segments {
        ["namespaces", namespace, resource, rest @ ..] if !matches!(*resource, "status" | "finalize") => {
            (*namespace, [&[*resource], rest].concat())
        }
        _ => ("", segments.to_vec()),
    };
    let (resource, rest) = rest.split_first()?;
    let kind = Kind::from_resource(resource)?;
    let (name, subresource) = match rest {
        [] => ("", ""),
        [name] => (*name, ""),
        [name, subresource] => (*name, *subresource),
        _ => return None,
    };
    // One object of a kind that lives in namespaces has one; kinds that don't never have.
    let misplaced =
        if kind.is_namespaced() { namespace.is_empty() && !name.is_empty() } else { !namespace.is_empty() };
    (!misplaced).then(|| ObjectPath {
        kind,
        namespace: namespace.into(),
        name: name.into(),
        subresource: subresource.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(kind: Kind, namespace: &str, name: &str, subresource: &str) -> Target {
        Target::Object(ObjectPath {
            kind,
            namespace: namespace.into(),
            name: name.into(),
            subresource: subresource.into(),
        })
    }

    #[test]
    fn paths() {
        for (path, target) in [
            ("/api/v1/pods", object(Kind::Pod, "", "", "")),
            ("/api/v1/namespaces/a/pods", object(Kind::Pod, "a", "", "")),
            ("/api/v1/namespaces/a/pods/p", object(Kind::Pod, "a", "p", "")),
            ("/api/v1/namespaces/a/pods/p/log", object(Kind::Pod, "a", "p", "log")),
            ("/api/v1/namespaces", object(Kind::Namespace, "", "", "")),
            ("/api/v1/namespaces/a", object(Kind::Namespace, "", "a", "")),
            ("/api/v1/namespaces/a/status", object(Kind::Namespace, "", "a", "status")),
            ("/api/v1/nodes/n", object(Kind::Node, "", "n", "")),
            ("/api/v1/pods/p", Target::UnknownResource),
            ("/api/v1/namespaces/a/nodes", Target::UnknownResource),
            ("/api/v1/namespaces/a/widgets", Target::UnknownResource),
            ("/apis/apps/v1/deployments", Target::UnknownResource),
            ("/apis/apps", Target::Group("apps".into())),
            ("/openapi/v3/api/v1", Target::OpenApi("api/v1".into())),
            ("/openid/v1/jwks", Target::OpenIdKeys),
            ("/.well-known/openid-configuration", Target::OpenIdConfiguration),
            ("/readyz/ping", Target::Health),
            ("/nope", Target::Nothing),
            ("/", Target::Nothing),
        ] {
            assert_eq!(parse(path), target, "{path}");
        }
    }
}
