use kube::core::response::{StatusCause, StatusDetails};
use nocrd_model::{ErrorKind, error as codes};

use super::*;

const ASKED: Asked<'static> = Asked { verb: "create", resource: "pods", namespace: None, name: None };

fn details(kind: &str, name: &str, causes: Vec<StatusCause>) -> StatusDetails {
    StatusDetails {
        name: name.into(),
        group: String::new(),
        kind: kind.into(),
        uid: String::new(),
        causes,
        retry_after_seconds: 0,
    }
}

fn answer(code: u16, reason: &str, message: &str) -> Error {
    let status = Status::failure(message, reason).with_code(code);
    ASKED.failed(kube::Error::Api(Box::new(status)), None)
}

#[test]
fn a_missing_permission_names_verb_resource_and_namespace() {
    let error = answer(
        403,
        "Forbidden",
        "pods \"p1\" is forbidden: User \"viewer\" cannot get resource \"pods/log\" in API group \"\" in the namespace \"golden\"",
    );
    let Error::Forbidden { verb, resource, namespace } = &error else { panic!("{error:?}") };
    assert_eq!((verb.as_str(), resource.as_str(), namespace.as_deref()), ("get", "pods/log", Some("golden")));
    assert_eq!(error.to_string(), "the server lacks the permission to get pods/log in namespace golden");

    let wide =
        "pods is forbidden: User \"v\" cannot list resource \"pods\" in API group \"\" at the cluster scope";
    assert!(matches!(answer(403, "Forbidden", wide), Error::Forbidden { namespace: None, .. }));
}

#[test]
fn other_forbidden_answers_are_told_apart() {
    let quota =
        "pods \"p\" is forbidden: exceeded quota: q, requested: pods=1, used: pods=3, limited: pods=3";
    assert_eq!(answer(403, "Forbidden", quota).code(), codes::CLUSTER_QUOTA);
    let admission = "pods \"p\" is forbidden: violates PodSecurity \"restricted:latest\": host namespaces";
    let refused = answer(403, "Forbidden", admission);
    assert_eq!((refused.code(), refused.kind()), (codes::CLUSTER_REFUSED, ErrorKind::Unprocessable));
    assert!(refused.to_string().contains("host namespaces"), "{refused}");
}

#[test]
fn conflicts_are_told_apart() {
    let exists = answer(409, "AlreadyExists", "pods \"p\" already exists");
    assert!(matches!(&exists, Error::AlreadyExists { what } if what == "pods"), "{exists:?}");
    assert_eq!(answer(409, "Conflict", "modified").code(), codes::CLUSTER_CONFLICT);
}

#[test]
fn missing_things_are_named_from_the_details() {
    let details = details("namespaces", "nope", Vec::new());
    let status =
        Status::failure("namespaces \"nope\" not found", "NotFound").with_code(404).with_details(details);
    let error = ASKED.failed(kube::Error::Api(Box::new(status)), None);
    assert_eq!(error.to_string(), "namespaces \"nope\" not found");
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

#[test]
fn k14_invalid_objects_carry_their_causes() {
    let cause = StatusCause {
        reason: "FieldValueRequired".into(),
        message: "Required value".into(),
        field: "spec.containers".into(),
    };
    let details = details("Pod", "p", vec![cause]);
    let status = Status::failure("Pod \"p\" is invalid", "Invalid").with_code(422).with_details(details);
    let error = ASKED.failed(kube::Error::Api(Box::new(status)), None);
    assert!(
        matches!(&error, Error::Invalid { causes, .. } if causes == &["spec.containers: Required value"])
    );
}

#[test]
fn k14_bodies_that_are_no_status_are_not_repeated() {
    let error = answer(502, "Failed to parse error data", "<html>secret of the load balancer</html>");
    assert_eq!(error.to_string(), "the Kubernetes API server answered 502");
    assert_eq!(error.code(), codes::CLUSTER_ERROR);
}

#[test]
fn transport_errors_name_the_server_and_the_innermost_cause() {
    let io = std::io::Error::new(std::io::ErrorKind::ConnectionRefused, "connection refused");
    let error = ASKED.failed(kube::Error::Service(Box::new(io)), Some("https://10.0.0.1:6443"));
    assert_eq!(
        error.to_string(),
        "cannot reach the Kubernetes API server at https://10.0.0.1:6443: connection refused"
    );
    assert_eq!(error.kind(), ErrorKind::Unavailable);
}
