//! JSON Schemas (2020-12) of the tools, generated from the types and made small: a client hands all of them to a model.

use rmcp::model::JsonObject;
use schemars::{
    JsonSchema,
    generate::{Contract, SchemaSettings},
};
use serde_json::{Value, json};

/// The schema of a tool's arguments: an object without other members.
pub(crate) fn input<T: JsonSchema>() -> JsonObject {
    let mut schema = generate::<T>(Contract::Deserialize);
    schema.entry("properties").or_insert_with(|| json!({}));
    schema.insert("additionalProperties".to_owned(), Value::Bool(false));
    schema
}

/// The schema of a tool's `structuredContent`: the output, or an object with the member `error`, so that clients
/// which validate errors too (the official TypeScript one does) accept those.
pub(crate) fn output<T: JsonSchema>() -> JsonObject {
    let mut schema = generate::<T>(Contract::Serialize);
    let required = schema.remove("required").unwrap_or_else(|| json!([]));
    if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
        properties.insert("error".to_owned(), json!({"type": "object"}));
    }
    schema.insert("anyOf".to_owned(), json!([{"required": required}, {"required": ["error"]}]));
    schema
}

/// The same schema in the form that is listed: without explanations, and of objects within it only that they are
/// objects, but for the entries of a list, which is always the first member. Every reply that fits the whole schema
/// fits this one; results explain themselves when they come.
pub(crate) fn brief(output: &JsonObject) -> JsonObject {
    let mut brief = output.clone();
    brief.remove("description");
    if let Some(Value::Object(properties)) = brief.get_mut("properties") {
        for (index, property) in properties.values_mut().enumerate() {
            abridge(property, index == 0);
        }
    }
    brief
}

fn abridge(schema: &mut Value, show_members: bool) {
    let Value::Object(object) = schema else { return };
    object.remove("description");
    object.remove("required");
    if let Some(items) = object.get_mut("items") {
        abridge(items, show_members);
    }
    if show_members && let Some(Value::Object(properties)) = object.get_mut("properties") {
        properties.values_mut().for_each(|property| abridge(property, false));
    } else {
        object.remove("properties");
    }
}

fn generate<T: JsonSchema>(contract: Contract) -> JsonObject {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.meta_schema = None;
        settings.inline_subschemas = true;
        settings.contract = contract;
    });
    let mut schema = settings.into_generator().into_root_schema_for::<T>().to_value();
    tidy(&mut schema);
    match schema {
        Value::Object(schema) => schema,
        _ => JsonObject::new(),
    }
}

/// Removes what says nothing to a model or a validator: titles, number formats, `null` as the value of an optional
/// member (we leave such members out, and take `null` for absent).
fn tidy(schema: &mut Value) {
    let Value::Object(object) = schema else { return };
    for noise in ["title", "format", "default"] {
        object.remove(noise);
    }
    if object.get("minimum").is_some_and(|minimum| minimum.as_f64() == Some(0.0)) {
        object.remove("minimum");
    }
    if object.get("additionalProperties") == Some(&Value::Bool(true)) {
        object.remove("additionalProperties");
    }
    if let Some(Value::Array(types)) = object.get_mut("type") {
        types.retain(|name| name != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            object.insert("type".to_owned(), only);
        }
    }
    if let Some(Value::Array(variants)) = object.get_mut("anyOf") {
        variants.retain(|variant| *variant != json!({"type": "null"}));
        if let [Value::Object(only)] = variants.as_mut_slice() {
            let only = std::mem::take(only);
            object.remove("anyOf");
            for (key, value) in only {
                object.entry(key).or_insert(value);
            }
        }
    }
    for key in ["items", "additionalProperties"] {
        if let Some(inner) = object.get_mut(key) {
            tidy(inner);
        }
    }
    if let Some(Value::Object(properties)) = object.get_mut("properties") {
        properties.values_mut().for_each(tidy);
    }
    if let Some(Value::Array(variants)) = object.get_mut("anyOf") {
        variants.iter_mut().for_each(tidy);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Serialize};

    use super::*;

    #[derive(Serialize, Deserialize, JsonSchema)]
    #[serde(rename_all = "camelCase")]
    struct Inner {
        /// Says something.
        title: String,
    }

    #[derive(Serialize, Deserialize, JsonSchema)]
    #[serde(rename_all = "camelCase")]
    struct Outer {
        some_id: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        inner: Option<Inner>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        count: Option<u32>,
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        map: BTreeMap<String, String>,
    }

    #[test]
    fn schemas_are_small_and_inlined() {
        let inner = json!({"type": "object", "required": ["title"],
            "properties": {"title": {"type": "string", "description": "Says something."}}});
        let properties = json!({"someId": {"type": "string"}, "inner": inner, "count": {"type": "integer"},
            "map": {"type": "object", "additionalProperties": {"type": "string"}}});
        assert_eq!(
            Value::Object(input::<Outer>()),
            json!({"type": "object", "properties": properties, "required": ["someId"], "additionalProperties": false})
        );
        let mut properties = properties;
        properties["error"] = json!({"type": "object"});
        let any_of = json!([{"required": ["someId"]}, {"required": ["error"]}]);
        let whole = output::<Outer>();
        let expected = json!({"type": "object", "properties": properties, "anyOf": any_of});
        assert_eq!(Value::Object(whole.clone()), expected);

        properties["inner"] = json!({"type": "object"});
        let expected = json!({"type": "object", "properties": properties, "anyOf": any_of});
        assert_eq!(Value::Object(brief(&whole)), expected);
    }
}
