//! The check of a call's arguments against the tool's input schema.
//!
//! All problems are reported together, each with the argument's path, and without the argument's value: it may be a
//! secret.

use rmcp::model::JsonObject;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::Error;

/// An argument that earlier clients send with every call. It never counts for anything.
const IGNORED: &str = "jwtPayload";

/// Most problems that are listed.
const MAX_PROBLEMS: usize = 10;

/// Reads the arguments of a call. None at all are as good as an empty object, and `null` is as good as absent.
pub(crate) fn parse<T: DeserializeOwned>(
    schema: &JsonObject,
    arguments: Option<JsonObject>,
) -> Result<T, Error> {
    let mut arguments = arguments.unwrap_or_default();
    arguments.remove(IGNORED);
    arguments.retain(|_, value| !value.is_null());
    arguments.values_mut().for_each(settle_numbers);
    let mut check = Check::default();
    check.object(schema, &arguments, "");
    if !check.problems.is_empty() {
        check.problems.truncate(MAX_PROBLEMS);
        return Err(Error::Arguments { problems: check.problems });
    }
    let properties = schema.get("properties").and_then(Value::as_object);
    let is_count =
        |name: &str| properties.is_some_and(|all| all.get(name).is_some_and(|of| of["type"] == "integer"));
    for (_, value) in arguments.iter_mut().filter(|(name, _)| is_count(name)) {
        // As many as there can be.
        *value = value.as_u64().map_or(Value::Null, |count| count.min(u32::MAX.into()).into());
    }
    serde_json::from_value(Value::Object(arguments)).map_err(|error| Error::argument(error.to_string()))
}

/// Whole numbers are integers, however a client writes them (JSON Schema 2020-12, Core, 6.3.1): `80.0` is `80`.
fn settle_numbers(value: &mut Value) {
    /// The integers up to here are told apart by a double.
    const EXACT: f64 = 9_007_199_254_740_991.0;
    match value {
        Value::Number(number) if number.is_f64() => {
            let whole = number.as_f64().filter(|number| number.fract() == 0.0 && number.abs() <= EXACT);
            if let Some(whole) = whole {
                *value = (whole as i64).into();
            }
        }
        Value::Array(items) => items.iter_mut().for_each(settle_numbers),
        Value::Object(members) => members.values_mut().for_each(settle_numbers),
        _ => {}
    }
}

/// The candidate that was most likely meant by `name`.
pub(crate) fn suggest<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let plain = |text: &str| text.replace(['_', '-'], "").to_lowercase();
    let wanted = plain(name);
    candidates
        .map(|candidate| (strsim::osa_distance(&wanted, &plain(candidate)), candidate))
        .filter(|(distance, candidate)| *distance <= 2.min(candidate.len() / 3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

#[derive(Default)]
struct Check {
    problems: Vec<String>,
}

impl Check {
    fn object(&mut self, schema: &JsonObject, object: &JsonObject, path: &str) {
        let properties = schema.get("properties").and_then(Value::as_object);
        let known = |name: &str| properties.and_then(|all| all.get(name)).and_then(Value::as_object);
        for name in schema.get("required").and_then(Value::as_array).into_iter().flatten() {
            if let Some(name) = name.as_str().filter(|name| !object.contains_key(*name)) {
                self.problems.push(format!("argument {} is missing", quoted(&join(path, name))));
            }
        }
        for (name, value) in object {
            let path = join(path, name);
            match (known(name), schema.get("additionalProperties")) {
                (Some(schema), _) | (None, Some(Value::Object(schema))) => self.value(schema, value, &path),
                (None, Some(Value::Bool(false))) => {
                    let names = properties.into_iter().flat_map(|all| all.keys()).map(String::as_str);
                    let hint = suggest(name, names).map(|known| format!("; did you mean {known:?}?"));
                    self.problems.push(format!(
                        "argument {} is unknown{}",
                        quoted(&path),
                        hint.unwrap_or_default()
                    ));
                }
                _ => {}
            }
        }
    }

    fn value(&mut self, schema: &JsonObject, value: &Value, path: &str) {
        let wanted = schema.get("type").and_then(Value::as_str);
        let fits = match wanted {
            Some("string") => value.is_string(),
            Some("integer") => value.is_i64() || value.is_u64(),
            Some("number") => value.is_number(),
            Some("boolean") => value.is_boolean(),
            Some("array") => value.is_array(),
            Some("object") => value.is_object(),
            _ => true,
        };
        if wanted == Some("integer") && value.as_f64().is_some_and(|number| !fits && number.fract() == 0.0) {
            self.problems.push(format!("argument {} is too large a number", quoted(path)));
            return;
        }
        if !fits {
            let wanted = wanted.unwrap_or_default();
            self.problems.push(format!(
                "argument {} must be {}, not {}",
                quoted(path),
                article(wanted),
                kind(value)
            ));
            return;
        }
        match value {
            Value::Object(object) => self.object(schema, object, path),
            Value::Array(items) => {
                if let Some(Value::Object(schema)) = schema.get("items") {
                    for (index, item) in items.iter().enumerate() {
                        self.value(schema, item, &format!("{path}[{index}]"));
                    }
                }
            }
            Value::Number(number) => self.bounds(schema, number.as_f64().unwrap_or_default(), path),
            _ => {}
        }
    }

    fn bounds(&mut self, schema: &JsonObject, number: f64, path: &str) {
        let bound = |name: &str| schema.get(name).and_then(Value::as_f64);
        if let Some(least) = bound("minimum").filter(|least| number < *least) {
            self.problems.push(format!("argument {} must be at least {least}", quoted(path)));
        } else if let Some(most) = bound("maximum").filter(|most| number > *most) {
            self.problems.push(format!("argument {} must be at most {most}", quoted(path)));
        } else if number < 0.0 && schema.get("type").is_some_and(|name| name == "integer") {
            // Every whole number that a tool takes is a count.
            self.problems.push(format!("argument {} must not be negative", quoted(path)));
        }
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

fn quoted(path: &str) -> String {
    format!("\"{}\"", crate::text::line(path, 100))
}

fn article(kind: &str) -> String {
    let article = if kind.starts_with(['a', 'i', 'o']) { "an" } else { "a" };
    format!("{article} {kind}")
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use schemars::JsonSchema;
    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    #[derive(Debug, Default, PartialEq, Deserialize, JsonSchema)]
    #[serde(rename_all = "camelCase")]
    struct Params {
        id: String,
        template_ref: Option<String>,
        #[serde(default)]
        context: BTreeMap<String, String>,
        #[serde(default)]
        names: Vec<String>,
        #[serde(default)]
        wait: bool,
        #[schemars(range(min = 1, max = 200))]
        limit: Option<u32>,
        depth: Option<u32>,
    }

    fn parse(arguments: Value) -> Result<Params, Vec<String>> {
        let Value::Object(arguments) = arguments else { panic!("not an object") };
        super::parse(&crate::schema::input::<Params>(), Some(arguments))
            .map_err(|error| error.details().to_vec())
    }

    #[test]
    fn good_arguments() {
        let params = parse(json!({"id": "a", "context": {"K": "v"}, "limit": 200, "templateRef": null,
            "jwtPayload": {"sub": "admin", "deep": [1, {}]}}));
        let context = BTreeMap::from([("K".to_owned(), "v".to_owned())]);
        assert_eq!(params, Ok(Params { id: "a".into(), context, limit: Some(200), ..Params::default() }));
    }

    #[test]
    fn whole_numbers_are_integers_and_counts_have_no_end() {
        let params = parse(json!({"id": "a", "limit": 10.0, "depth": 9_007_199_254_740_991_u64})).unwrap();
        assert_eq!((params.limit, params.depth), (Some(10), Some(u32::MAX)));
        assert_eq!(parse(json!({"id": "a", "depth": 1e300})).unwrap_err().len(), 1);
        let mut value = json!({"spec": [{"containerPort": 80.0, "cpu": 0.5, "n": -3.0}]});
        settle_numbers(&mut value);
        assert_eq!(value, json!({"spec": [{"containerPort": 80, "cpu": 0.5, "n": -3}]}));
    }

    #[test]
    fn every_problem_is_named_by_its_path() {
        let problems =
            parse(json!({"templateref": "x", "context": {"K": 5}, "names": ["a", true], "wait": "yes",
            "limit": 0, "depth": -1, "zzz": 1}))
            .unwrap_err();
        assert_eq!(
            problems,
            [
                "argument \"id\" is missing",
                "argument \"templateref\" is unknown; did you mean \"templateRef\"?",
                "argument \"context.K\" must be a string, not a number",
                "argument \"names[1]\" must be a string, not a boolean",
                "argument \"wait\" must be a boolean, not a string",
                "argument \"limit\" must be at least 1",
                "argument \"depth\" must not be negative",
                "argument \"zzz\" is unknown",
            ]
        );
        assert_eq!(
            parse(json!({"id": "a", "limit": 201})).unwrap_err(),
            ["argument \"limit\" must be at most 200"]
        );
        assert_eq!(
            parse(json!({"id": "a", "limit": 1.5})).unwrap_err(),
            ["argument \"limit\" must be an integer, not a number"]
        );
    }

    #[test]
    fn t54_values_are_not_quoted() {
        let problems = parse(json!({"id": "a", "context": "TOKEN=s3cret", "names": "s3cret"})).unwrap_err();
        assert_eq!(problems.len(), 2);
        assert!(!problems.concat().contains("s3cret"), "{problems:?}");
    }

    #[test]
    fn suggestions_are_close() {
        let tools = ["list_workspaces", "get_workspace", "spawn_workspace"];
        let suggest = |name| suggest(name, tools.into_iter());
        assert_eq!(suggest("spwan_workspace"), Some("spawn_workspace"));
        assert_eq!(suggest("listWorkspaces"), Some("list_workspaces"));
        assert_eq!(suggest("delete_everything"), None);
        assert_eq!(suggest(""), None);
    }
}
