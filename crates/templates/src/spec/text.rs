use serde_json::Value;
use serde_saphyr::budget::BudgetBreach;

use super::json::Strict;
use crate::Error;

/// Largest text, in bytes: what a ConfigMap can hold.
pub const MAX_BYTES: usize = 1024 * 1024;
/// Deepest nesting.
pub const MAX_DEPTH: usize = 64;
/// Most nodes, those that aliases repeat included.
const MAX_NODES: usize = 50_000;

/// Reads a text as JSON when it begins with `{`, else as YAML (YAML in flow style may begin with `{` too). Numbers such
/// as `0644` are octal, as Kubernetes reads them.
///
/// # Errors
/// [`Error::Unreadable`], with line and column, when it is neither, holds several documents or a key twice, or is too
/// large, too deep, or grows too much by aliases.
pub fn parse_text(text: &str) -> Result<Value, Error> {
    if text.len() > MAX_BYTES {
        return Err(Error::Unreadable(format!(
            "the text has {} bytes, more than the {MAX_BYTES} allowed",
            text.len()
        )));
    }
    let text = text.trim_start_matches('\u{feff}').trim();
    if text.is_empty() {
        return Err(Error::Unreadable("the text is empty".into()));
    }
    let value = if text.starts_with(['{', '[']) {
        match serde_json::from_str(text) {
            Ok(Strict(value)) => value,
            Err(json) if json.is_data() => return Err(Error::Unreadable(format!("no valid JSON: {json}"))),
            Err(json) => parse_yaml(text).map_err(|yaml| {
                Error::Unreadable(format!("no valid JSON: {json}; and no valid YAML: {yaml}"))
            })?,
        }
    } else {
        parse_yaml(text).map_err(|reason| Error::Unreadable(format!("no valid YAML: {reason}")))?
    };
    if depth_exceeds(&value, MAX_DEPTH) {
        return Err(Error::Unreadable(format!("the text is nested deeper than {MAX_DEPTH} levels")));
    }
    Ok(value)
}

fn parse_yaml(text: &str) -> Result<Value, String> {
    let options = serde_saphyr::options! {
        legacy_octal_numbers: true,
        budget: serde_saphyr::budget! {
            max_depth: MAX_DEPTH,
            max_nodes: MAX_NODES,
            max_events: 4 * MAX_NODES,
            max_documents: 1,
            max_aliases: 1_000,
            max_anchors: 200,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: MAX_NODES,
        },
    };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| explain(&error))
}

/// What is wrong, and where, without the excerpt of the source that the reader would add: templates can hold what logs
/// should not.
fn explain(error: &serde_saphyr::Error) -> String {
    use serde_saphyr::Error as Yaml;
    let error = match error.without_snippet() {
        Yaml::AliasError { error, .. } => error.without_snippet(),
        error => error,
    };
    let reason = match error {
        Yaml::DuplicateMappingKey { key: Some(key), .. } => format!("the key {:?} stands twice", cut(key)),
        Yaml::MultipleDocuments { .. } | Yaml::Budget { breach: BudgetBreach::Documents { .. }, .. } => {
            "there are several documents, where one is wanted".to_owned()
        }
        Yaml::Budget { breach: BudgetBreach::Depth { .. }, .. } => {
            format!("it is nested deeper than {MAX_DEPTH} levels")
        }
        Yaml::AliasReplayLimitExceeded { .. }
        | Yaml::AliasExpansionLimitExceeded { .. }
        | Yaml::AliasReplayStackDepthExceeded { .. } => "its aliases repeat too much".to_owned(),
        Yaml::Budget { .. } => {
            format!("it has more than {MAX_NODES} values, or too many anchors and aliases")
        }
        other => return first_line(&other.to_string()),
    };
    match error.location() {
        Some(place) => format!("line {} column {}: {reason}", place.line(), place.column()),
        None => reason,
    }
}

fn first_line(message: &str) -> String {
    let line = message.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("unknown error");
    cut(line.strip_prefix("error: ").unwrap_or(line))
}

fn cut(text: &str) -> String {
    text.chars().take(300).collect()
}

fn depth_exceeds(value: &Value, left: usize) -> bool {
    let Some(left) = left.checked_sub(1) else { return true };
    match value {
        Value::Array(items) => items.iter().any(|item| depth_exceeds(item, left)),
        Value::Object(map) => map.values().any(|item| depth_exceeds(item, left)),
        _ => false,
    }
}
