//! Sets of fields, in the form `metadata.managedFields` records them (`FieldsV1`).

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// A tree of fields. Each step is written as in `FieldsV1`: `f:name` a member, `k:{"name":"c"}` an item by its keys,
/// `v:"x"` an item by its value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct FieldSet {
    /// Whether the node itself is in the set, not only what is below it.
    own: bool,
    children: BTreeMap<String, FieldSet>,
}

impl FieldSet {
    pub(crate) fn is_empty(&self) -> bool {
        !self.own && self.children.is_empty()
    }

    /// Adds the node at a path.
    pub(crate) fn insert(&mut self, path: &[String]) {
        match path.split_first() {
            None => self.own = true,
            Some((step, rest)) => self.children.entry(step.clone()).or_default().insert(rest),
        }
    }

    /// Removes a member and everything below it; a parent left with nothing goes too.
    pub(crate) fn remove(&mut self, path: &[&str]) {
        match path {
            [] => {}
            [step] => {
                self.children.remove(*step);
            }
            [step, rest @ ..] => {
                if let Some(child) = self.children.get_mut(*step) {
                    child.remove(rest);
                    if child.is_empty() {
                        self.children.remove(*step);
                    }
                }
            }
        }
    }

    pub(crate) fn child(&self, step: &str) -> Option<&Self> {
        self.children.get(step)
    }

    pub(crate) fn children(&self) -> impl Iterator<Item = (&String, &Self)> {
        self.children.iter()
    }

    pub(crate) fn owns_itself(&self) -> bool {
        self.own
    }

    /// What is in either.
    #[must_use]
    pub(crate) fn union(mut self, other: &Self) -> Self {
        self.own |= other.own;
        for (step, child) in &other.children {
            let mine = self.children.remove(step).unwrap_or_default();
            self.children.insert(step.clone(), mine.union(child));
        }
        self
    }

    /// What is in this one but not in the other.
    #[must_use]
    pub(crate) fn difference(&self, other: &Self) -> Self {
        self.filtered(Some(other), |mine, theirs| mine && !theirs)
    }

    /// What is in both.
    #[must_use]
    pub(crate) fn intersection(&self, other: &Self) -> Self {
        self.filtered(Some(other), |mine, theirs| mine && theirs)
    }

    fn filtered(&self, other: Option<&Self>, keep: fn(bool, bool) -> bool) -> Self {
        let children = self.children.iter().filter_map(|(step, child)| {
            let rest = child.filtered(other.and_then(|other| other.children.get(step)), keep);
            (!rest.is_empty()).then(|| (step.clone(), rest))
        });
        Self { own: keep(self.own, other.is_some_and(|other| other.own)), children: children.collect() }
    }

    /// The paths of all nodes in the set, as sentences write them: `.spec.containers[name="c"].image`.
    pub(crate) fn paths(&self) -> Vec<String> {
        let mut paths = Vec::new();
        self.collect_paths("", &mut paths);
        paths
    }

    fn collect_paths(&self, prefix: &str, paths: &mut Vec<String>) {
        if self.own {
            paths.push(prefix.to_owned());
        }
        for (step, child) in &self.children {
            child.collect_paths(&format!("{prefix}{}", written(step)), paths);
        }
    }

    /// The set as `FieldsV1`.
    pub(crate) fn to_value(&self) -> Value {
        let mut map = Map::new();
        if self.own && !self.children.is_empty() {
            map.insert(".".into(), Map::new().into());
        }
        map.extend(self.children.iter().map(|(step, child)| (step.clone(), child.to_value())));
        map.into()
    }

    /// Reads `FieldsV1`.
    pub(crate) fn from_value(value: &Value) -> Self {
        let Some(map) = value.as_object() else { return Self::default() };
        let mut set = Self { own: map.is_empty() || map.contains_key("."), children: BTreeMap::new() };
        for (step, child) in map.iter().filter(|(step, _)| *step != ".") {
            set.children.insert(step.clone(), Self::from_value(child));
        }
        set
    }
}

fn written(step: &str) -> String {
    match step.split_once(':') {
        Some(("f", name)) => format!(".{name}"),
        Some(("v", value)) => format!("[={value}]"),
        Some(("k", keys)) => {
            let keys: Map<String, Value> = serde_json::from_str(keys).unwrap_or_default();
            let keys: Vec<String> = keys.iter().map(|(name, value)| format!("{name}={value}")).collect();
            format!("[{}]", keys.join(","))
        }
        _ => format!("[{step}]"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn algebra_and_form() {
        let a = FieldSet::from_value(&json!({ "f:data": { ".": {}, "f:x": {}, "f:y": {} } }));
        let b = FieldSet::from_value(&json!({ "f:data": { "f:y": {}, "f:z": {} } }));
        assert_eq!(
            a.clone().union(&b).to_value(),
            json!({ "f:data": { ".": {}, "f:x": {}, "f:y": {}, "f:z": {} } })
        );
        assert_eq!(a.difference(&b).to_value(), json!({ "f:data": { ".": {}, "f:x": {} } }));
        assert_eq!(a.intersection(&b).to_value(), json!({ "f:data": { "f:y": {} } }));
        assert!(a.difference(&a).is_empty());
        assert_eq!(a.paths(), [".data", ".data.x", ".data.y"]);
        let keyed = FieldSet::from_value(
            &json!({ "k:{\"containerPort\":80,\"protocol\":\"TCP\"}": { "f:name": {} }, "v:\"x\"": {} }),
        );
        assert_eq!(keyed.paths(), ["[containerPort=80,protocol=\"TCP\"].name", "[=\"x\"]"]);
    }

    #[test]
    fn removing_the_last_member_removes_the_parent() {
        let mut set =
            FieldSet::from_value(&json!({ "f:metadata": { "f:name": {} }, "f:data": { "f:x": {} } }));
        set.remove(&["f:metadata", "f:name"]);
        assert_eq!(set.to_value(), json!({ "f:data": { "f:x": {} } }));
    }
}
