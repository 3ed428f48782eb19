//! Walking values by their types: which fields a value sets, how two differ, merging one into another.

use serde_json::{Map, Value};

use super::fields::FieldSet;
use crate::schema::{Field, ObjectType, Ownership, Shape, object_type};

/// What is known of a value's type, as far as ownership is concerned.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Node {
    /// A value that is owned as a whole.
    Leaf,
    Object(&'static ObjectType),
    Map(&'static Shape),
    /// A list of items known by some of their members.
    Keyed(&'static [&'static str], &'static Shape),
    /// A list of different plain values.
    Set,
}

impl Node {
    /// The type of this name.
    pub(crate) fn named(name: &str) -> Self {
        match object_type(name) {
            Some(object) if !object.atomic => Self::Object(object),
            _ => Self::Leaf,
        }
    }

    fn of_field(field: &'static Field) -> Self {
        match (&field.shape, &field.ownership) {
            (Shape::List(item), Ownership::Keyed(keys)) => Self::Keyed(keys, item),
            (Shape::List(_), Ownership::Set) => Self::Set,
            (shape, Ownership::Granular) => Self::of_shape(shape),
            _ => Self::Leaf,
        }
    }

    fn of_shape(shape: &'static Shape) -> Self {
        match shape {
            Shape::Object(name) => Self::named(name),
            Shape::Map(item) => Self::Map(item),
            _ => Self::Leaf,
        }
    }

    /// The type below a step, as `FieldsV1` writes it.
    fn below(self, step: &str) -> Self {
        match (self, step.strip_prefix("f:")) {
            (Self::Object(object), Some(name)) => object.field(name).map_or(Self::Leaf, Self::of_field),
            (Self::Map(item), Some(_)) => Self::of_shape(item),
            (Self::Keyed(_, item), None) => Self::of_shape(item),
            _ => Self::Leaf,
        }
    }

    /// The step to an item of a list.
    fn step(self, item: &Value) -> String {
        let Self::Keyed(keys, _) = self else { return format!("v:{item}") };
        let mut sorted = keys.to_vec();
        sorted.sort_unstable();
        let keys: Map<String, Value> = sorted
            .into_iter()
            .map(|key| {
                // The one key member that has a default.
                let absent = if key == "protocol" { "TCP".into() } else { Value::Null };
                (key.to_owned(), item.get(key).cloned().unwrap_or(absent))
            })
            .collect();
        format!("k:{}", Value::Object(keys))
    }

    /// What a value consists of; nothing when it is owned as a whole.
    fn parts(self, value: &Value) -> Vec<(String, &Value)> {
        match (self, value) {
            (Self::Object(_) | Self::Map(_), Value::Object(map)) => {
                map.iter().map(|(name, value)| (format!("f:{name}"), value)).collect()
            }
            (Self::Keyed(..) | Self::Set, Value::Array(items)) => {
                items.iter().map(|item| (self.step(item), item)).collect()
            }
            _ => Vec::new(),
        }
    }

    fn is_list(self) -> bool {
        matches!(self, Self::Keyed(..) | Self::Set)
    }
}

/// The fields an applied configuration sets.
pub(crate) fn fields_of(node: Node, value: &Value) -> FieldSet {
    let mut set = FieldSet::default();
    collect(node, value, &mut Vec::new(), &mut set);
    set
}

fn collect(node: Node, value: &Value, path: &mut Vec<String>, set: &mut FieldSet) {
    let parts = node.parts(value);
    if parts.is_empty() {
        set.insert(path);
    }
    for (step, part) in parts {
        let below = node.below(&step);
        path.push(step);
        if node.is_list() {
            set.insert(path);
        }
        collect(below, part, path, set);
        path.pop();
    }
}

/// How one value differs from another.
#[derive(Debug, Default)]
pub(crate) struct Comparison {
    pub(crate) added: FieldSet,
    pub(crate) modified: FieldSet,
    pub(crate) removed: FieldSet,
}

/// Compares two values.
pub(crate) fn compare(node: Node, old: &Value, new: &Value) -> Comparison {
    let mut comparison = Comparison::default();
    walk(node, Some(old), Some(new), &mut Vec::new(), &mut comparison);
    comparison
}

fn walk(
    node: Node,
    old: Option<&Value>,
    new: Option<&Value>,
    path: &mut Vec<String>,
    found: &mut Comparison,
) {
    let before = old.map(|value| node.parts(value)).unwrap_or_default();
    let after = new.map(|value| node.parts(value)).unwrap_or_default();
    match (old, new) {
        (None, Some(_)) => found.added.insert(path),
        (Some(_), None) => found.removed.insert(path),
        (Some(old), Some(new)) if before.is_empty() && after.is_empty() && old != new => {
            found.modified.insert(path)
        }
        _ => {}
    }
    let value_at = |parts: &[(String, &Value)], step: &str| -> Option<usize> {
        parts.iter().position(|(other, _)| other == step)
    };
    for (step, part) in &before {
        let counterpart = value_at(&after, step).and_then(|index| after.get(index)).map(|(_, part)| *part);
        path.push(step.clone());
        walk(node.below(step), Some(part), counterpart, path, found);
        path.pop();
    }
    for (step, part) in after.iter().filter(|(step, _)| value_at(&before, step).is_none()) {
        path.push(step.clone());
        walk(node.below(step), None, Some(part), path, found);
        path.pop();
    }
}

/// Merges an applied configuration into an object.
pub(crate) fn merge(node: Node, live: Value, applied: &Value) -> Value {
    match (node, live, applied) {
        (Node::Object(_) | Node::Map(_), Value::Object(mut live), Value::Object(applied)) => {
            for (name, value) in applied {
                let merged = match live.get_mut(name) {
                    Some(current) => merge(node.below(&format!("f:{name}")), std::mem::take(current), value),
                    None => value.clone(),
                };
                live.insert(name.clone(), merged);
            }
            live.into()
        }
        (Node::Keyed(..) | Node::Set, Value::Array(mut live), Value::Array(applied)) => {
            for item in applied {
                let step = node.step(item);
                match live.iter_mut().find(|other| node.step(other) == step) {
                    Some(current) => *current = merge(node.below(&step), std::mem::take(current), item),
                    None => live.push(item.clone()),
                }
            }
            live.into()
        }
        (_, _, applied) => applied.clone(),
    }
}

/// Removes what `last` names and nobody owns any more.
pub(crate) fn prune(node: Node, value: &mut Value, last: &FieldSet, owned: &FieldSet) {
    for (step, was) in last.children() {
        let still = owned.child(step);
        let below = node.below(step);
        match value {
            Value::Object(map) => {
                let name = step.strip_prefix("f:").unwrap_or(step);
                let Some(part) = map.get_mut(name) else { continue };
                let empty = match still {
                    None if was.owns_itself() => true,
                    still => {
                        let had_parts = !below.parts(part).is_empty();
                        prune(below, part, was, still.unwrap_or(&FieldSet::default()));
                        still.is_none() && had_parts && below.parts(part).is_empty()
                    }
                };
                if empty {
                    map.shift_remove(name);
                }
            }
            Value::Array(items) => {
                let Some(index) = items.iter().position(|item| node.step(item) == *step) else { continue };
                match (still, items.get_mut(index)) {
                    (None, _) if was.owns_itself() => {
                        items.remove(index);
                    }
                    (still, Some(item)) => prune(below, item, was, still.unwrap_or(&FieldSet::default())),
                    _ => {}
                }
            }
            _ => {}
        }
    }
}
