//! Creating and replacing objects, and what every change to an object goes through.

use std::sync::Arc;

use axum::response::Response;
use bytes::Bytes;
use http::StatusCode;
use rand::seq::IndexedRandom;
use serde_json::{Value, json};

use super::{
    Call, Options,
    body::{self, Received},
    list, render,
};
use crate::{
    apply::{self, Manager},
    deletion,
    kind::Kind,
    object::{self, text_at},
    resources::{self, Part, claim, pod, quota},
    status::{Cause, Details, Status},
    store::{Fate, Mode, View},
};

/// How often a generated name is tried that turns out to be taken.
const GENERATED_NAME_ATTEMPTS: usize = 8;
/// Letters of generated names: no vowels, so that they don't spell anything.
const SUFFIX_LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
const SUFFIX_LENGTH: usize = 5;
/// Longest start of a generated name.
const MAX_PREFIX_LENGTH: usize = 63 - SUFFIX_LENGTH;

pub(super) fn create(call: &Call<'_>, body: &Bytes) -> Result<Response, Status> {
    let validation = call.query.field_validation()?;
    let Received { mut value, warnings } =
        body::object(call.kind().name(), "v1", &call.headers, body, validation)?;
    let own = object::namespace(&value);
    if !own.is_empty() && own != call.path.namespace {
        return Err(Status::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    if !object::resource_version(&value).is_empty() {
        return Err(Status::new(500, "", "resourceVersion should not be set on objects to be created"));
    }
    object::remove_meta(&mut value, "managedFields");
    resources::set_defaults(call.kind(), &mut value);
    let created = add(call, value, Some(&call.manager(false)))?;
    let mut response = list::one(call, StatusCode::CREATED, &created);
    render::warn(&mut response, &warnings);
    Ok(response)
}

/// Adds a new object. `manager` is noted as the writer of its fields, unless they are noted already.
pub(super) fn add(
    call: &Call<'_>,
    mut value: Value,
    manager: Option<&Manager>,
) -> Result<Arc<Value>, Status> {
    let (kind, store) = (call.kind(), &call.api.store);
    if kind.is_namespaced() {
        object::set_meta(&mut value, "namespace", call.path.namespace.clone().into());
    }
    let prefix = text_at(&value, &["metadata", "generateName"]).to_owned();
    let generated = object::name(&value).is_empty() && !prefix.is_empty();
    if let Some(manager) = manager {
        apply::record_update(kind, None, &mut value, manager);
    }
    store.read(|view| admit(view, &call.api.options, kind, &mut value))?;
    resources::prepare_create(kind, &mut value);
    let mode = mode(call)?;
    let mut attempts = if generated { GENERATED_NAME_ATTEMPTS } else { 1 };
    loop {
        attempts -= 1;
        if generated {
            object::set_meta(&mut value, "name", generated_name(&prefix).into());
        }
        check(kind, &value, resources::check_create(kind, &value).into_causes())?;
        // Once more, now with the store locked: what was so a moment ago may not be so any longer.
        let added = store.add(kind, value.clone(), mode, |view, object| {
            check_namespace(view, kind, object)?;
            if kind == Kind::Pod { quota::admit_pod(view, object) } else { Ok(()) }
        });
        match added {
            Err(status) if status.reason == "AlreadyExists" && attempts > 0 => {}
            Err(status) => return Err(status),
            Ok(added) => {
                if kind == Kind::Namespace && mode == Mode::Commit && call.api.options.service_accounts {
                    add_default_account(call, object::name(&added));
                }
                return Ok(added);
            }
        }
    }
}

pub(super) fn mode(call: &Call<'_>) -> Result<Mode, Status> {
    Ok(if call.query.dry_run()? { Mode::DryRun } else { Mode::Commit })
}

fn generated_name(prefix: &str) -> String {
    let mut rng = rand::rng();
    let suffix =
        (0..SUFFIX_LENGTH).filter_map(|_| SUFFIX_LETTERS.choose(&mut rng)).map(|letter| char::from(*letter));
    let prefix: String = prefix.chars().take(MAX_PREFIX_LENGTH).collect();
    format!("{prefix}{}", suffix.collect::<String>())
}

/// Turns what is wrong with an object into a failure.
pub(super) fn check(kind: Kind, value: &Value, causes: Vec<Cause>) -> Result<(), Status> {
    if causes.is_empty() {
        Ok(())
    } else {
        Err(Status::invalid("", kind.name(), object::name(value), causes))
    }
}

/// What the admission plugins do that every cluster runs.
fn admit(view: &View<'_>, options: &Options, kind: Kind, value: &mut Value) -> Result<(), Status> {
    check_namespace(view, kind, value)?;
    if kind == Kind::Pod {
        if options.service_accounts {
            set_service_account(view, value)?;
        }
        pod::admit(value);
    }
    if kind == Kind::PersistentVolumeClaim {
        claim::admit(value);
    }
    Ok(())
}

/// Objects are only created in namespaces that exist and will go on existing.
fn check_namespace(view: &View<'_>, kind: Kind, value: &Value) -> Result<(), Status> {
    if !kind.is_namespaced() {
        return Ok(());
    }
    let name = object::namespace(value);
    let namespace =
        view.get(Kind::Namespace, "", name).ok_or_else(|| Status::not_found(Kind::Namespace, name))?;
    if text_at(namespace, &["status", "phase"]) != "Terminating" {
        return Ok(());
    }
    let why = format!("unable to create new content in namespace {name} because it is being terminated");
    let mut status = Status::forbidden(kind.resource(), object::name(value), why);
    let cause = Cause {
        reason: "NamespaceTerminating",
        message: format!("namespace {name} is being terminated"),
        field: "metadata.namespace".into(),
    };
    status.details.get_or_insert_with(Details::default).causes.push(cause);
    Err(status)
}

/// A pod runs under an account of its namespace: the one it names, else `default`.
fn set_service_account(view: &View<'_>, value: &mut Value) -> Result<(), Status> {
    let namespace = object::namespace(value).to_owned();
    let name = match text_at(value, &["spec", "serviceAccountName"]) {
        "" => "default".to_owned(),
        name => name.to_owned(),
    };
    let Some(account) = view.get(Kind::ServiceAccount, &namespace, &name) else {
        let why = format!(
            "error looking up service account {namespace}/{name}: serviceaccount \"{name}\" not found"
        );
        return Err(Status::forbidden(Kind::Pod.resource(), object::name(value), why));
    };
    let secrets = object::list_at(account, &["imagePullSecrets"]);
    let spec = object::child_mut(value, "spec");
    spec.insert("serviceAccountName".into(), name.clone().into());
    spec.insert("serviceAccount".into(), name.into());
    if !secrets.is_empty() {
        spec.entry("imagePullSecrets").or_insert_with(|| secrets.to_vec().into());
    }
    Ok(())
}

/// Every namespace has the account `default`. A real cluster adds it a moment later; here it is there at once.
fn add_default_account(call: &Call<'_>, namespace: &str) {
    let account = json!({ "metadata": { "name": "default", "namespace": namespace } });
    if let Err(error) = call.api.store.create(Kind::ServiceAccount, account)
        && error.code != 409
    {
        tracing::warn!(%error, namespace, "no default service account");
    }
}

pub(super) fn update(call: &Call<'_>, body: &Bytes) -> Result<Response, Status> {
    let validation = call.query.field_validation()?;
    let Received { value, warnings } =
        body::object(call.kind().name(), "v1", &call.headers, body, validation)?;
    let (name, namespace) = (object::name(&value), object::namespace(&value));
    if name.is_empty() {
        return Err(Status::bad_request(format!(
            "the name of the object ({} based on URL) was undeterminable: name must be provided",
            call.path.name
        )));
    }
    if name != call.path.name {
        return Err(Status::bad_request(format!(
            "the name of the object ({name}) does not match the name on the URL ({})",
            call.path.name
        )));
    }
    if !namespace.is_empty() && namespace != call.path.namespace {
        return Err(Status::bad_request(format!(
            "the namespace of the object ({namespace}) does not match the namespace on the request ({})",
            call.path.namespace
        )));
    }
    let updated = change(call, |_| Ok((value, Some(call.manager(false)))))?;
    let mut response = list::one(call, StatusCode::OK, &updated);
    render::warn(&mut response, &warnings);
    Ok(response)
}

/// Changes an object. `new` makes the new one of the stored one, and says who is to be noted as the writer (nobody
/// when that is noted already). What it may not change is put back, the rest is checked.
pub(super) fn change(
    call: &Call<'_>,
    new: impl FnOnce(&Value) -> Result<(Value, Option<Manager>), Status>,
) -> Result<Arc<Value>, Status> {
    let (kind, part) = (call.kind(), call.part());
    let changed =
        call.api.store.modify(kind, &call.path.namespace, &call.path.name, mode(call)?, |_, stored| {
            let (mut new, manager) = new(stored)?;
            check_identity(kind, stored, &new)?;
            prepare(kind, part, stored, &mut new, manager.as_ref())?;
            // A deleted object goes with its last finalizer; not so a pod that is still being stopped.
            let goes = deletion::may_go(&new);
            if !apply::same_but_for_times(stored, &new) {
                *stored = new;
            }
            Ok(if goes { Fate::Goes } else { Fate::Stays })
        })?;
    Ok(changed.0)
}

/// The new object is the same one, and based on its present state, if it says what it is based on.
fn check_identity(kind: Kind, stored: &Value, new: &Value) -> Result<(), Status> {
    let name = object::name(stored);
    let uid = object::uid(new);
    if !uid.is_empty() && uid != object::uid(stored) {
        let why = format!(
            "Precondition failed: UID in precondition: {uid}, UID in object meta: {}",
            object::uid(stored)
        );
        return Err(Status::conflict(kind.resource(), name, why));
    }
    let version = object::resource_version(new);
    if !version.is_empty() && version != object::resource_version(stored) {
        return Err(Status::modified(kind, name));
    }
    Ok(())
}

fn prepare(
    kind: Kind,
    part: Part,
    stored: &Value,
    new: &mut Value,
    manager: Option<&Manager>,
) -> Result<(), Status> {
    if kind.is_namespaced() && object::namespace(new).is_empty() {
        object::set_meta(new, "namespace", object::namespace(stored).into());
    }
    resources::set_defaults(kind, new);
    resources::prepare_update(kind, part, stored, new);
    object::set_meta(new, "resourceVersion", object::resource_version(stored).into());
    if let Some(manager) = manager {
        apply::record_update(kind, Some(stored), new, manager);
    }
    check(kind, new, resources::check_update(kind, part, stored, new).into_causes())
}
