//! Server-side apply, and the bookkeeping of who set which field (`metadata.managedFields`) that it needs.
//!
//! Follows `structured-merge-diff`: an ordinary write takes what it changes; an apply takes what it names, conflicts
//! with other managers whose fields it would change, and removes what it named last time and names no longer.

mod fields;
mod typed;

#[cfg(test)]
mod tests;

use serde_json::{Value, json};

use self::{
    fields::FieldSet,
    typed::{Node, compare, fields_of, merge, prune},
};
use crate::{
    kind::Kind,
    object,
    schema::decode,
    status::{Cause, Details, Status},
};

/// Who writes, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Manager {
    /// Name of the program or person.
    pub(crate) name: String,
    /// Whether through apply.
    pub(crate) applies: bool,
    /// Through which subresource; empty for the object itself.
    pub(crate) subresource: String,
}

/// The part of an object a manager set.
#[derive(Debug, Clone)]
struct Entry {
    manager: Manager,
    api_version: String,
    time: Option<String>,
    fields: FieldSet,
}

/// Fields that nobody owns: identity, and what the server keeps itself.
const UNOWNED: [&[&str]; 10] = [
    &["f:apiVersion"],
    &["f:kind"],
    &["f:metadata", "f:name"],
    &["f:metadata", "f:namespace"],
    &["f:metadata", "f:creationTimestamp"],
    &["f:metadata", "f:selfLink"],
    &["f:metadata", "f:uid"],
    &["f:metadata", "f:generation"],
    &["f:metadata", "f:managedFields"],
    &["f:metadata", "f:resourceVersion"],
];

fn owned(mut set: FieldSet) -> FieldSet {
    for path in UNOWNED {
        set.remove(path);
    }
    set
}

fn entries_of(object: &Value) -> Vec<Entry> {
    let read = |entry: &Value| Entry {
        manager: Manager {
            name: object::text_at(entry, &["manager"]).to_owned(),
            applies: object::text_at(entry, &["operation"]) == "Apply",
            subresource: object::text_at(entry, &["subresource"]).to_owned(),
        },
        api_version: object::text_at(entry, &["apiVersion"]).to_owned(),
        time: object::at(entry, &["time"]).and_then(Value::as_str).map(str::to_owned),
        fields: entry.get("fieldsV1").map(FieldSet::from_value).unwrap_or_default(),
    };
    object::list_at(object, &["metadata", "managedFields"]).iter().map(read).collect()
}

fn store_entries(object: &mut Value, mut entries: Vec<Entry>) {
    entries.retain(|entry| !entry.fields.is_empty());
    // Appliers first, then by age, as a real server orders them.
    entries.sort_by(|a, b| {
        (!a.manager.applies, &a.time, &a.manager.name).cmp(&(!b.manager.applies, &b.time, &b.manager.name))
    });
    if entries.is_empty() {
        object::remove_meta(object, "managedFields");
        return;
    }
    let written: Vec<Value> = entries
        .into_iter()
        .map(|entry| {
            let mut value = json!({
                "manager": entry.manager.name,
                "operation": if entry.manager.applies { "Apply" } else { "Update" },
                "apiVersion": entry.api_version,
            });
            let map = object::as_map(&mut value);
            if let Some(time) = entry.time {
                map.insert("time".into(), time.into());
            }
            map.insert("fieldsType".into(), "FieldsV1".into());
            map.insert("fieldsV1".into(), entry.fields.to_value());
            if !entry.manager.subresource.is_empty() {
                map.insert("subresource".into(), entry.manager.subresource.into());
            }
            value
        })
        .collect();
    object::set_meta(object, "managedFields", written.into());
}

/// Notes in a new or changed object what the write changed. `old` is `None` for a new one. Managers named in the new
/// object itself count for nothing, but an empty list of them clears the record, as the API promises.
pub(crate) fn record_update(kind: Kind, old: Option<&Value>, new: &mut Value, manager: &Manager) {
    let node = Node::named(kind.name());
    let nothing = decode::empty(kind.name());
    let cleared = old.is_some() && object::at(new, &["metadata", "managedFields"]).is_some_and(is_cleared);
    let mut entries = if cleared { Vec::new() } else { old.map(entries_of).unwrap_or_default() };
    if cleared {
        store_entries(new, entries);
        return;
    }
    let difference = compare(node, old.unwrap_or(&nothing), new);
    let taken = owned(difference.added.union(&difference.modified));
    for entry in &mut entries {
        entry.fields = entry.fields.difference(&difference.removed);
        if entry.manager != *manager {
            entry.fields = entry.fields.difference(&taken);
        }
    }
    if !taken.is_empty() {
        take(&mut entries, manager, |previous| previous.union(&taken));
    }
    store_entries(new, entries);
}

/// `managedFields: [{}]` asks for the record to be cleared.
fn is_cleared(managed: &Value) -> bool {
    managed.as_array().is_some_and(|entries| {
        matches!(entries.as_slice(), [Value::Object(only)] if only.values().all(|value| value == "" || value.is_null()))
    })
}

fn take(entries: &mut Vec<Entry>, manager: &Manager, fields: impl FnOnce(FieldSet) -> FieldSet) {
    let time = Some(object::now());
    match entries.iter_mut().find(|entry| entry.manager == *manager) {
        Some(entry) => {
            entry.fields = fields(std::mem::take(&mut entry.fields));
            entry.time = time;
        }
        None => entries.push(Entry {
            manager: manager.clone(),
            api_version: "v1".into(),
            time,
            fields: fields(FieldSet::default()),
        }),
    }
}

/// Merges an applied configuration into an object (an empty one when there is none yet) and notes who set what.
///
/// # Errors
/// 409 when it would change other managers' fields and `force` is not set.
pub(crate) fn apply(
    kind: Kind,
    live: &Value,
    applied: &Value,
    manager: &Manager,
    force: bool,
) -> Result<Value, Status> {
    let node = Node::named(kind.name());
    let mut entries = entries_of(live);
    let last = entries.iter().find(|entry| entry.manager == *manager).map(|entry| entry.fields.clone());
    let set = owned(fields_of(node, applied));
    take(&mut entries, manager, |_| set);

    let mut merged = merge(node, live.clone(), applied);
    if let Some(last) = last {
        let owned = entries.iter().fold(FieldSet::default(), |all, entry| all.union(&entry.fields));
        prune(node, &mut merged, &last, &owned);
    }

    let difference = compare(node, live, &merged);
    let changed = difference.added.union(&difference.modified);
    let mut conflicts = Vec::new();
    for entry in entries.iter_mut().filter(|entry| entry.manager != *manager) {
        let contested = entry.fields.intersection(&changed);
        if !contested.is_empty() {
            conflicts.push((describe(entry), contested.paths()));
            entry.fields = entry.fields.difference(&contested);
        }
        entry.fields = entry.fields.difference(&difference.removed);
    }
    if !force && !conflicts.is_empty() {
        return Err(conflict(&conflicts));
    }
    store_entries(&mut merged, entries);
    Ok(merged)
}

fn describe(entry: &Entry) -> String {
    let mut text = format!("{:?}", entry.manager.name);
    if !entry.manager.subresource.is_empty() {
        text.push_str(&format!(" with subresource {:?}", entry.manager.subresource));
    }
    if !entry.manager.applies {
        text.push_str(&format!(" using {}", entry.api_version));
        if let Some(time) = &entry.time {
            text.push_str(&format!(" at {time}"));
        }
    }
    text
}

fn conflict(conflicts: &[(String, Vec<String>)]) -> Status {
    let causes: Vec<Cause> = conflicts
        .iter()
        .flat_map(|(manager, paths)| {
            paths.iter().map(move |path| Cause {
                reason: "FieldManagerConflict",
                message: format!("conflict with {manager}"),
                field: path.clone(),
            })
        })
        .collect();
    let message = match causes.as_slice() {
        [only] => format!("Apply failed with 1 conflict: {}: {}", only.message, only.field),
        many => {
            let mut lines = Vec::new();
            for (manager, paths) in conflicts {
                lines.push(format!("conflicts with {manager}:"));
                lines.extend(paths.iter().map(|path| format!("- {path}")));
            }
            format!("Apply failed with {} conflicts: {}", many.len(), lines.join("\n"))
        }
    };
    Status::new(409, "Conflict", message).with_details(Details { causes, ..Details::default() })
}

/// Whether two objects are the same but for the times in their field records.
pub(crate) fn same_but_for_times(a: &Value, b: &Value) -> bool {
    let without = |object: &Value| {
        let mut object = object.clone();
        object::remove_meta(&mut object, "managedFields");
        object
    };
    let fields = |object: &Value| -> Vec<(Manager, FieldSet)> {
        entries_of(object).into_iter().map(|entry| (entry.manager, entry.fields)).collect()
    };
    let contained = |these: &[(Manager, FieldSet)], those: &[(Manager, FieldSet)]| {
        these.len() == those.len() && these.iter().all(|one| those.contains(one))
    };
    without(a) == without(b) && contained(&fields(a), &fields(b))
}
