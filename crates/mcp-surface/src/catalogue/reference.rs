//! The reference pages of the tools, and of resources and prompts.

use std::fmt::Write as _;

use nocrd_authz::policy::Action;
use nocrd_cluster::Permission;
use rmcp::model::JsonObject;
use serde_json::Value;

use super::{Entry, TOOLS};
use crate::{
    prompts::{self, PROMPTS},
    resources::{APP, KINDS},
};

/// The tools with their arguments, results and permissions, as Markdown.
#[must_use]
pub fn reference_markdown() -> String {
    let mut out =
        String::from("# Tools\n\n| Tool | Effect | Right | Kubernetes permissions |\n|---|---|---|---|\n");
    for tool in TOOLS {
        let needs = permissions(tool.needs());
        let (effect, right) = (tool.effect.describe(), right(tool.action));
        let _ = writeln!(out, "| [`{0}`](#{0}) | {effect} | {right} | {needs} |", tool.name);
    }
    for tool in TOOLS {
        section(&mut out, tool);
    }
    out
}

/// The resources, prompts and completions, as Markdown.
#[must_use]
pub fn resources_markdown() -> String {
    let mut out = String::from(
        "# Resources and prompts\n\n\
         Callers see what the tools would show them; what is not theirs is not there. Lists cost the cluster nothing.\n\n\
         | Resource | Content | Right |\n|---|---|---|\n",
    );
    let read = right(Some(Action::Read));
    for kind in KINDS {
        let _ = writeln!(out, "| `{}` | {} | {read} |", kind.uri, kind.description);
    }
    let _ = writeln!(
        out,
        "| `{APP}` | A page for clients with MCP Apps, unless `UI_ENABLED` is `false`. | {read} |"
    );
    out.push_str(CHANGES);
    out.push_str("\n## Prompts\n");
    for prompt in PROMPTS {
        let (name, title, description) = (prompt.name, prompt.title, prompt.description);
        let right = right(Some(prompt.action));
        let _ = write!(out, "\n### {name}\n\n**{title}.** {description} Right: {right}.\n");
        out.push_str("\n| Argument | Required | Meaning |\n|---|---|---|\n");
        for prompts::Argument { name, description, required } in prompt.arguments {
            let is_required = if *required { "yes" } else { "no" };
            let _ = writeln!(out, "| `{name}` | {is_required} | {description} |");
        }
    }
    out
}

/// What is told of changes and completed.
const CHANGES: &str = "
Clients may subscribe to resources: with `resources/subscribe` in a session, with the filter of `subscriptions/listen` from
2026-07-28 on; to 100 in each. They are told when a resource reads otherwise for the caller, at most twice a second, and when
the list changes for the caller, at most every two seconds.

The parts of a URI and the arguments of prompts are completed (`completion/complete`).
";

fn section(out: &mut String, tool: &Entry) {
    let _ = write!(out, "\n## {}\n\n**{}.** {}\n", tool.name, tool.title, tool.description);
    let input = tool.input_schema();
    if members(&input).next().is_none() {
        out.push_str("\nIt takes no arguments.\n");
    } else {
        out.push_str("\n| Argument | Type | Required | Meaning |\n|---|---|---|---|\n");
        let required = required(input.get("required"));
        for (name, schema) in members(&input) {
            let is_required = if required.contains(&name) { "yes" } else { "no" };
            let _ = writeln!(out, "| `{name}` | {} | {is_required} | {} |", kind(schema), meaning(schema));
        }
    }
    out.push_str("\n| Result | Type | Always | Meaning |\n|---|---|---|---|\n");
    let output = tool.output_schema();
    let always = required(output.get("anyOf").and_then(|variants| variants.pointer("/0/required")));
    for (name, schema) in members(&output).filter(|(name, _)| *name != "error") {
        let is_always = if always.contains(&name) { "yes" } else { "no" };
        let _ = writeln!(out, "| `{name}` | {} | {is_always} | {} |", kind(schema), meaning(schema));
    }
    if tool.helped_by().next().is_some() {
        let _ = writeln!(out, "\nIt does less without: {}.", permissions(tool.helped_by()));
    }
}

fn members(schema: &JsonObject) -> impl Iterator<Item = (&str, &Value)> {
    let properties = schema.get("properties").and_then(Value::as_object);
    properties.into_iter().flatten().map(|(name, schema)| (name.as_str(), schema))
}

fn required(names: Option<&Value>) -> Vec<&str> {
    names.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect()
}

fn kind(schema: &Value) -> String {
    let inner = |key: &str| schema.get(key).filter(|inner| inner.is_object()).map(kind);
    match schema.get("type").and_then(Value::as_str) {
        Some("array") => {
            inner("items").map_or_else(|| "array".to_owned(), |items| format!("array of {items}"))
        }
        Some("object") => {
            inner("additionalProperties").map_or_else(|| "object".to_owned(), |of| format!("object of {of}"))
        }
        Some(name) => name.to_owned(),
        None => "any".to_owned(),
    }
}

fn meaning(schema: &Value) -> String {
    let text = schema.get("description").and_then(Value::as_str).unwrap_or_default();
    text.replace('\n', " ").replace('|', "\\|")
}

/// What a caller needs where callers are told apart.
fn right(action: Option<Action>) -> &'static str {
    match action {
        None => "none",
        Some(Action::Read) => "`read`",
        Some(Action::WorkspaceWrite) => "`workspace:write`",
        Some(Action::Write) => "`write`",
        Some(Action::TemplateWrite) => "`template:write`",
        Some(Action::Admin) => "`admin`",
    }
}

fn permissions<'a>(all: impl Iterator<Item = &'a Permission>) -> String {
    let each: Vec<String> = all.map(|need| format!("`{} {}`", need.verb, need.full_resource())).collect();
    if each.is_empty() { "none".to_owned() } else { each.join(", ") }
}
