//! Strategic merge patch: a merge patch that knows the types. Lists with a merge key are merged item by item, the
//! others replaced; directives (`$patch`, `$retainKeys`, `$setElementOrder/…`, `$deleteFromPrimitiveList/…`) say the
//! rest. Follows `apimachinery/pkg/util/strategicpatch`, including the order in which merged items come out.

use serde_json::{Map, Value};

use crate::{
    schema::{Field, ObjectType, Shape, object_type},
    status::Status,
};

type Object = Map<String, Value>;

const PATCH: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const ELEMENT_ORDER: &str = "$setElementOrder/";
const DELETE_FROM_LIST: &str = "$deleteFromPrimitiveList/";

/// Applies `patch` to an object of type `kind`.
///
/// # Errors
/// 400 when a directive is malformed, 500 when a list item lacks its merge key, as from a real server.
pub(crate) fn merge(kind: &str, original: Value, patch: Value) -> Result<Value, Status> {
    let (Value::Object(original), Value::Object(patch)) = (original, patch) else {
        return Err(Status::bad_request("invalid JSON document"));
    };
    merge_objects(original, patch, Type::of(kind)).map(Value::Object)
}

/// What is known of the type at hand.
#[derive(Clone, Copy)]
enum Type {
    Object(&'static ObjectType),
    /// A map all of whose entries are of this type.
    Entries(&'static Shape),
    Unknown,
}

/// How a list merges.
#[derive(Clone, Copy)]
struct ListRule {
    key: Option<&'static str>,
    /// Plain values are united.
    union: bool,
    item: Type,
}

impl Type {
    fn of(name: &str) -> Self {
        object_type(name).map_or(Self::Unknown, Self::Object)
    }

    fn from_shape(shape: &'static Shape) -> Self {
        match shape {
            Shape::Object(name) => Self::of(name),
            Shape::Map(item) => Self::Entries(item),
            _ => Self::Unknown,
        }
    }

    fn field(self, name: &str) -> Option<&'static Field> {
        match self {
            Self::Object(object) => object.field(name),
            _ => None,
        }
    }

    fn member(self, name: &str) -> Self {
        match self {
            Self::Object(object) => {
                object.field(name).map_or(Self::Unknown, |field| Self::from_shape(&field.shape))
            }
            Self::Entries(item) => Self::from_shape(item),
            Self::Unknown => Self::Unknown,
        }
    }

    fn list(self, name: &str) -> ListRule {
        match self.field(name) {
            Some(Field { shape: Shape::List(item), merge_key, merge_set, .. }) => {
                ListRule { key: *merge_key, union: *merge_set, item: Self::from_shape(item) }
            }
            _ => ListRule { key: None, union: false, item: Self::Unknown },
        }
    }
}

fn merge_objects(mut original: Object, mut patch: Object, kind: Type) -> Result<Object, Status> {
    if let Some(directive) = patch.shift_remove(PATCH) {
        return match directive.as_str() {
            Some("replace") => Ok(without_directives(patch)),
            Some("delete") => Ok(Object::new()),
            Some("merge") => merge_objects(original, patch, kind),
            _ => Err(Status::bad_request(format!("unknown patch type found: {directive}"))),
        };
    }
    retain_keys(&mut original, &mut patch)?;
    set_element_orders(&mut original, &mut patch, kind)?;
    for (name, value) in patch {
        if let Some(list) = name.strip_prefix(DELETE_FROM_LIST) {
            delete_from_list(&mut original, list, &value)?;
            continue;
        }
        if value.is_null() {
            original.shift_remove(&name);
            continue;
        }
        match (original.get_mut(&name), value) {
            (Some(Value::Object(current)), Value::Object(change)) => {
                let merged = merge_objects(std::mem::take(current), change, kind.member(&name))?;
                *current = merged;
            }
            (Some(Value::Array(current)), Value::Array(change)) => {
                *current = merge_lists(std::mem::take(current), change, kind.list(&name))?;
            }
            (_, value) => match cleaned(value) {
                Some(value) => {
                    original.insert(name, value);
                }
                None => {
                    original.shift_remove(&name);
                }
            },
        }
    }
    Ok(original)
}

/// `$retainKeys`: of the original's members only these stay. It is how one member of a union replaces another.
fn retain_keys(original: &mut Object, patch: &mut Object) -> Result<(), Status> {
    let Some(keys) = patch.shift_remove(RETAIN_KEYS) else { return Ok(()) };
    let malformed = || Status::bad_request("invalid patch format of retainKeys");
    let keys = keys.as_array().cloned().ok_or_else(malformed)?;
    let listed = |name: &str| keys.iter().any(|key| key.as_str() == Some(name));
    if patch.iter().any(|(name, value)| !value.is_null() && !name.starts_with('$') && !listed(name)) {
        return Err(malformed());
    }
    original.retain(|name, _| listed(name));
    Ok(())
}

/// `$setElementOrder/list`: the order of the merged list's items, as the author of the patch sees it.
fn set_element_orders(original: &mut Object, patch: &mut Object, kind: Type) -> Result<(), Status> {
    let directives: Vec<String> =
        patch.keys().filter(|name| name.starts_with(ELEMENT_ORDER)).cloned().collect();
    for directive in directives {
        let Some(Value::Array(order)) = patch.shift_remove(&directive) else {
            return Err(Status::bad_request("invalid patch format of setElementOrder list"));
        };
        let name = directive.strip_prefix(ELEMENT_ORDER).unwrap_or_default();
        let rule = kind.list(name);
        if matches!(patch.get(name), Some(value) if !value.is_array()) {
            continue;
        }
        let changes = patch.shift_remove(name);
        let server_order = original.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
        let merged = match (original.shift_remove(name), changes) {
            (Some(Value::Array(current)), Some(Value::Array(change))) => merge_lists(current, change, rule)?,
            (Some(Value::Array(current)), _) => current,
            (_, Some(Value::Array(change))) => cleaned_items(change),
            _ => continue,
        };
        original.insert(name.to_owned(), in_order(merged, &order, &server_order, rule.key).into());
    }
    Ok(())
}

fn delete_from_list(original: &mut Object, name: &str, values: &Value) -> Result<(), Status> {
    let malformed = || Status::bad_request("invalid patch format of primitive list");
    let values = values.as_array().ok_or_else(malformed)?;
    if let Some(Value::Array(items)) = original.get_mut(name) {
        items.retain(|item| !values.contains(item));
    }
    Ok(())
}

fn merge_lists(original: Vec<Value>, patch: Vec<Value>, rule: ListRule) -> Result<Vec<Value>, Status> {
    let Some(key) = rule.key else {
        if !rule.union {
            return Ok(cleaned_items(patch));
        }
        let mut merged = original.clone();
        for value in &patch {
            if !merged.contains(value) {
                merged.push(value.clone());
            }
        }
        return Ok(in_order(merged, &patch, &original, None));
    };
    let server_order = original.clone();
    let mut merged = original;
    let mut changes = Vec::new();
    let mut replace = false;
    for item in patch {
        let Value::Object(mut change) = item else {
            return Err(Status::bad_request("invalid JSON document"));
        };
        match change.get(PATCH).and_then(Value::as_str) {
            None if change.contains_key(PATCH) => {
                return Err(Status::bad_request("unknown patch type found"));
            }
            None => changes.push(change),
            Some("replace") => {
                replace = true;
                change.shift_remove(PATCH);
                if !change.is_empty() {
                    changes.push(change);
                }
            }
            Some("delete") => {
                let value = change.get(key).ok_or_else(|| {
                    Status::new(500, "InternalError", "delete patch type with no merge key defined")
                })?;
                merged.retain(|item| item.get(key) != Some(value));
            }
            Some(other) => return Err(Status::bad_request(format!("unknown patch type found: {other}"))),
        }
    }
    if replace {
        return Ok(changes.into_iter().map(|change| Value::Object(without_directives(change))).collect());
    }
    let patch_order: Vec<Value> = changes.iter().cloned().map(Value::Object).collect();
    for change in changes {
        let Some(value) = change.get(key).cloned() else {
            let item = Value::Object(change);
            return Err(Status::new(
                500,
                "",
                format!("map: {item} does not contain declared merge key: {key}"),
            ));
        };
        match merged.iter_mut().find(|item| item.get(key) == Some(&value)) {
            Some(Value::Object(current)) => {
                *current = merge_objects(std::mem::take(current), change, rule.item)?
            }
            _ => merged.push(Value::Object(without_directives(change))),
        }
    }
    Ok(in_order(merged, &patch_order, &server_order, Some(key)))
}

/// Brings merged items into order: those the patch names in its order, the others between them where the server had
/// them, as far as that can be told.
fn in_order(
    items: Vec<Value>,
    patch_order: &[Value],
    server_order: &[Value],
    key: Option<&str>,
) -> Vec<Value> {
    let place = |order: &[Value], item: &Value| {
        order.iter().position(|other| match key {
            Some(key) => other.get(key).is_some() && other.get(key) == item.get(key),
            None => other == item,
        })
    };
    let (mut named, mut others): (Vec<Value>, Vec<Value>) =
        items.into_iter().partition(|item| place(patch_order, item).is_some());
    named.sort_by_key(|item| place(patch_order, item));
    others.sort_by_key(|item| place(server_order, item));

    let mut ordered = Vec::with_capacity(named.len() + others.len());
    let mut named = named.into_iter().peekable();
    let mut others = others.into_iter().peekable();
    while let (Some(left), Some(right)) = (others.peek(), named.peek()) {
        let before = place(server_order, left).zip(place(server_order, right)).is_some_and(|(l, r)| l < r);
        ordered.extend(if before { others.next() } else { named.next() });
    }
    ordered.extend(others);
    ordered.extend(named);
    ordered
}

/// A value that nothing is merged into: without directives and `null`s. `None` when it says that it shall not be.
fn cleaned(value: Value) -> Option<Value> {
    match value {
        Value::Object(mut object) => {
            let deleted = object.shift_remove(PATCH).is_some_and(|directive| directive == "delete");
            (!deleted).then(|| Value::Object(without_directives(object)))
        }
        Value::Array(items) => Some(Value::Array(cleaned_items(items))),
        other => Some(other),
    }
}

fn cleaned_items(items: Vec<Value>) -> Vec<Value> {
    let only_directive =
        |item: &Value| item.as_object().is_some_and(|map| map.len() == 1 && map.contains_key(PATCH));
    items.into_iter().filter(|item| !only_directive(item)).filter_map(cleaned).collect()
}

fn without_directives(object: Object) -> Object {
    let directive = |name: &str| {
        name == PATCH
            || name == RETAIN_KEYS
            || name.starts_with(ELEMENT_ORDER)
            || name.starts_with(DELETE_FROM_LIST)
    };
    object
        .into_iter()
        .filter(|(name, value)| !directive(name) && !value.is_null())
        .filter_map(|(name, value)| Some((name, cleaned(value)?)))
        .collect()
}
