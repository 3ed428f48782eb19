//! Objects as rows of a table: what `kubectl get` prints. Columns and cells are those of a real server
//! (`pkg/printers/internalversion`).

mod age;
mod pod;

use std::sync::Arc;

use serde::Serialize;
use serde_json::{Value, json};

use super::render::{ListMeta, MetadataOnly, core};
use crate::{
    kind::Kind,
    object::{self, list_at, text_at},
    resources::claim::short_access_modes,
    validate::entries,
};

/// What a row carries beside its cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Include {
    /// The object's metadata.
    Metadata,
    /// The object.
    Object,
    /// Nothing.
    Nothing,
}

impl Include {
    /// The value of `includeObject`.
    pub(super) fn parse(value: Option<&str>) -> Self {
        match value {
            Some("Object") => Self::Object,
            Some("None") => Self::Nothing,
            _ => Self::Metadata,
        }
    }
}

/// A column.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Column {
    name: &'static str,
    #[serde(rename = "type")]
    kind: &'static str,
    format: &'static str,
    description: &'static str,
    /// 0 for the columns of every table, 1 for those of wide ones.
    priority: u8,
}

const fn column(name: &'static str, description: &'static str) -> Column {
    Column { name, kind: "string", format: "", description, priority: 0 }
}

const fn wide(name: &'static str, description: &'static str) -> Column {
    Column { priority: 1, ..column(name, description) }
}

const NAME: Column = Column {
    format: "name",
    ..column(
        "Name",
        "Name must be unique within a namespace. Is required when creating resources, although some resources may allow a client to request the generation of an appropriate name automatically. Name is primarily intended for creation idempotence and configuration definition. Cannot be updated. More info: https://kubernetes.io/docs/concepts/overview/working-with-objects/names#names",
    )
};
const AGE: Column = column(
    "Age",
    "CreationTimestamp is a timestamp representing the server time when this object was created. It is not guaranteed to be set in happens-before order across separate operations. Clients may not set this value. It is represented in RFC3339 form and is in UTC.\n\nPopulated by the system. Read-only. Null for lists. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata",
);

fn columns(kind: Kind) -> Vec<Column> {
    match kind {
        Kind::Pod => pod::COLUMNS.to_vec(),
        Kind::ConfigMap => vec![
            NAME,
            column(
                "Data",
                "Data contains the configuration data. Each key must consist of alphanumeric characters, '-', '_' or '.'. Values with non-UTF-8 byte sequences must use the BinaryData field. The keys stored in Data must not overlap with the keys in the BinaryData field, this is enforced during validation process.",
            ),
            AGE,
        ],
        Kind::Secret => vec![
            NAME,
            column("Type", "Used to facilitate programmatic handling of secret data."),
            column("Data", "Number of entries of the secret data."),
            AGE,
        ],
        Kind::ServiceAccount => vec![NAME, column("Secrets", "Number of secrets the account may use."), AGE],
        Kind::Namespace => vec![NAME, column("Status", "The status of the namespace"), AGE],
        Kind::Node => vec![
            NAME,
            column("Status", "The status of the node"),
            column("Roles", "The roles of the node"),
            AGE,
            column("Version", "Kubelet Version reported by the node."),
            wide("Internal-IP", "List of addresses reachable to the node."),
            wide("OS-Image", "OS Image reported by the node."),
            wide("Kernel-Version", "Kernel Version reported by the node."),
            wide("Container-Runtime", "ContainerRuntime Version reported by the node."),
        ],
        Kind::Event => vec![
            column("Last Seen", "Time when this event was last observed"),
            column("Type", "Type of this event (Normal, Warning), new types could be added in the future"),
            column(
                "Reason",
                "This should be a short, machine understandable string that gives the reason for the transition into the object's current status.",
            ),
            column("Object", "The object that this event is about."),
            wide("Subobject", "The part of the object that this event is about."),
            wide("Source", "The component reporting this event."),
            column("Message", "A human-readable description of the status of this operation."),
            wide("First Seen", "Time when this event was first observed"),
            wide("Count", "The number of times this event has occurred."),
            Column { priority: 1, ..NAME },
        ],
        Kind::ResourceQuota => {
            vec![
                NAME,
                column("Request", "What is used of what is allowed."),
                column("Limit", "Limits in use."),
                AGE,
            ]
        }
        Kind::PersistentVolumeClaim => vec![
            NAME,
            column("Status", "phase represents the current phase of PersistentVolumeClaim."),
            column(
                "Volume",
                "volumeName is the binding reference to the PersistentVolume backing this claim.",
            ),
            column("Capacity", "capacity represents the actual resources of the underlying volume."),
            column(
                "Access Modes",
                "accessModes contains the actual access modes the volume backing the PVC has. More info: https://kubernetes.io/docs/concepts/storage/persistent-volumes#access-modes-1",
            ),
            column("StorageClass", "StorageClass of the pvc"),
            column("VolumeAttributesClass", "VolumeAttributesClass of the pvc"),
            AGE,
            wide(
                "VolumeMode",
                "volumeMode defines what type of volume is required by the claim. Value of Filesystem is implied when not included in claim spec.",
            ),
        ],
    }
}

fn age(object: &Value) -> String {
    age::since(text_at(object, &["metadata", "creationTimestamp"]))
}

fn count(object: &Value, fields: &[&str]) -> usize {
    fields.iter().map(|field| entries(object.get(*field)).count()).sum()
}

fn or_none(text: &str) -> Value {
    if text.is_empty() { "<none>".into() } else { text.into() }
}

fn cells(kind: Kind, object: &Value) -> Vec<Value> {
    let name: Value = object::name(object).into();
    let age: Value = age(object).into();
    match kind {
        Kind::Pod => pod::cells(object),
        Kind::ConfigMap => vec![name, count(object, &["data", "binaryData"]).into(), age],
        Kind::Secret => vec![name, text_at(object, &["type"]).into(), count(object, &["data"]).into(), age],
        Kind::ServiceAccount => vec![name, list_at(object, &["secrets"]).len().into(), age],
        Kind::Namespace => vec![name, text_at(object, &["status", "phase"]).into(), age],
        Kind::Node => node(object, name, age),
        Kind::Event => event(object),
        Kind::ResourceQuota => {
            let used = |resource: &str| text_at(object, &["status", "used", resource]);
            let parts: Vec<String> = entries(object::at(object, &["status", "hard"]))
                .map(|(resource, hard)| {
                    format!("{resource}: {}/{}", used(resource), hard.as_str().unwrap_or_default())
                })
                .collect();
            vec![name, parts.join(", ").into(), "".into(), age]
        }
        Kind::PersistentVolumeClaim => claim(object, name, age),
    }
}

fn claim(claim: &Value, name: Value, age: Value) -> Vec<Value> {
    let or_unset = |path| match text_at(claim, path) {
        "" => "<unset>",
        text => text,
    };
    let phase = match object::deletion_timestamp(claim) {
        Some(_) => "Terminating",
        None => text_at(claim, &["status", "phase"]),
    };
    let volume = text_at(claim, &["spec", "volumeName"]);
    let (capacity, modes) = match volume {
        "" => ("", String::new()),
        _ => (text_at(claim, &["status", "capacity", "storage"]), short_access_modes(claim)),
    };
    vec![
        name,
        phase.into(),
        volume.into(),
        capacity.into(),
        modes.into(),
        text_at(claim, &["spec", "storageClassName"]).into(),
        or_unset(&["spec", "volumeAttributesClassName"]).into(),
        age,
        or_unset(&["spec", "volumeMode"]).into(),
    ]
}

fn node(node: &Value, name: Value, age: Value) -> Vec<Value> {
    let ready = list_at(node, &["status", "conditions"]).iter().any(|condition| {
        text_at(condition, &["type"]) == "Ready" && text_at(condition, &["status"]) == "True"
    });
    let mut status = if ready { "Ready" } else { "NotReady" }.to_owned();
    if object::at(node, &["spec", "unschedulable"]) == Some(&Value::Bool(true)) {
        status.push_str(",SchedulingDisabled");
    }
    let roles: Vec<&str> =
        object::labels(node).filter_map(|(key, _)| key.strip_prefix("node-role.kubernetes.io/")).collect();
    let address = list_at(node, &["status", "addresses"])
        .iter()
        .find(|address| text_at(address, &["type"]) == "InternalIP")
        .map_or("", |address| text_at(address, &["address"]));
    let info = |field| text_at(node, &["status", "nodeInfo", field]);
    vec![
        name,
        status.into(),
        or_none(&roles.join(",")),
        age,
        info("kubeletVersion").into(),
        or_none(address),
        info("osImage").into(),
        info("kernelVersion").into(),
        info("containerRuntimeVersion").into(),
    ]
}

fn event(event: &Value) -> Vec<Value> {
    let text = |path: &[&str]| text_at(event, path);
    let seen = |field: &str| {
        let time = [text(&[field]), text(&["eventTime"])].into_iter().find(|time| !time.is_empty());
        age::since(time.unwrap_or_default())
    };
    let kind = text(&["involvedObject", "kind"]).to_lowercase();
    let (component, host) = (text(&["source", "component"]), text(&["source", "host"]));
    let source = if host.is_empty() { component.to_owned() } else { format!("{component}, {host}") };
    vec![
        seen("lastTimestamp").into(),
        text(&["type"]).into(),
        text(&["reason"]).into(),
        format!("{kind}/{}", text(&["involvedObject", "name"])).into(),
        text(&["involvedObject", "fieldPath"]).into(),
        source.into(),
        text(&["message"]).trim().into(),
        seen("firstTimestamp").into(),
        event.get("count").cloned().unwrap_or_else(|| 0.into()),
        object::name(event).into(),
    ]
}

/// Renders objects as a table. The columns are described unless the caller has been told them before.
pub(super) fn render(
    kind: Kind,
    objects: &[Arc<Value>],
    metadata: &ListMeta,
    include: Include,
    with_columns: bool,
) -> Value {
    let rows: Vec<Value> = objects
        .iter()
        .map(|object| {
            let carried = match include {
                Include::Metadata => serde_json::to_value(MetadataOnly(object)),
                Include::Object => serde_json::to_value(core(kind.name(), object)),
                Include::Nothing => Ok(Value::Null),
            };
            json!({ "cells": cells(kind, object), "object": carried.unwrap_or_default() })
        })
        .collect();
    let columns = if with_columns { columns(kind) } else { Vec::new() };
    json!({
        "kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": metadata, "columnDefinitions": columns, "rows": rows,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_fits_its_columns() {
        for kind in Kind::ALL {
            let object = json!({ "metadata": { "name": "x" } });
            assert_eq!(cells(kind, &object).len(), columns(kind).len(), "{kind}");
        }
    }
}
