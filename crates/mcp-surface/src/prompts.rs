//! Prompts: what people pick from a client's menu. Each tells a model the order of calls.

mod diagnose;
mod spawn;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use nocrd_authz::policy::Action;
use rmcp::{
    ErrorData,
    model::{
        CacheScope, GetPromptRequestParams, GetPromptResult, JsonObject, ListPromptsResult, Prompt,
        PromptArgument, PromptMessage,
    },
};
use serde_json::Value;

use crate::{Error, arguments::suggest, reader::Reader, respond, text};

/// Longest value of an argument, in characters.
const MAX_VALUE: usize = 8_000;

/// A prompt, as clients see it.
pub(crate) struct Entry {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    pub(crate) description: &'static str,
    /// What the caller must be allowed to do, or it is not there.
    pub(crate) action: Action,
    pub(crate) arguments: &'static [Argument],
    render: fn(Reader<'_>, &Values) -> Result<Vec<PromptMessage>, Error>,
}

pub(crate) struct Argument {
    pub(crate) name: &'static str,
    pub(crate) description: &'static str,
    pub(crate) required: bool,
}

/// All prompts.
pub(crate) static PROMPTS: &[Entry] = &[spawn::PROMPT, diagnose::PROMPT];

/// The prompt of that name, if it is for the caller.
pub(crate) fn find(reader: Reader<'_>, name: &str) -> Option<&'static Entry> {
    PROMPTS.iter().find(|entry| entry.name == name && reader.may(entry.action))
}

pub(crate) fn list(reader: Reader<'_>) -> ListPromptsResult {
    let prompts = PROMPTS.iter().filter(|entry| reader.may(entry.action)).map(Entry::listed);
    ListPromptsResult::with_all_items(prompts.collect()).with_cache_scope(CacheScope::Private)
}

pub(crate) fn get(reader: Reader<'_>, request: GetPromptRequestParams) -> Result<GetPromptResult, ErrorData> {
    let entry = find(reader, &request.name).ok_or_else(|| unknown(reader, &request.name))?;
    let messages = Values::parse(entry, request.arguments).and_then(|values| (entry.render)(reader, &values));
    let messages = messages.map_err(|error| respond::protocol_error(&error))?;
    Ok(GetPromptResult::new(messages).with_description(entry.description))
}

/// The error about a prompt that is not there.
pub(crate) fn unknown(reader: Reader<'_>, name: &str) -> ErrorData {
    let known = PROMPTS.iter().filter(|entry| reader.may(entry.action)).map(|entry| entry.name);
    let hint = suggest(name, known).map(|known| format!("; did you mean {known}?")).unwrap_or_default();
    ErrorData::invalid_params(format!("unknown prompt {:?}{hint}", text::line(name, 100)), None)
}

impl Entry {
    fn listed(&self) -> Prompt {
        let argument = |argument: &Argument| {
            PromptArgument::new(argument.name)
                .with_description(argument.description)
                .with_required(argument.required)
        };
        let arguments = self.arguments.iter().map(argument).collect();
        Prompt::new(self.name, Some(self.description), Some(arguments)).with_title(self.title)
    }
}

/// The values of a prompt's arguments; an empty one is as good as absent.
struct Values(BTreeMap<&'static str, String>);

impl Values {
    fn parse(entry: &Entry, given: Option<JsonObject>) -> Result<Self, Error> {
        let (mut values, mut problems) = (BTreeMap::new(), Vec::new());
        for (name, value) in given.unwrap_or_default() {
            let Some(argument) = entry.arguments.iter().find(|argument| argument.name == name) else {
                problems.push(format!("argument {:?} is unknown", text::line(&name, 100)));
                continue;
            };
            match value {
                Value::Null => {}
                Value::String(value) if value.chars().nth(MAX_VALUE).is_some() => {
                    problems
                        .push(format!("argument {:?} is longer than {MAX_VALUE} characters", argument.name));
                }
                Value::String(value) => {
                    let value = text::block(value.trim(), MAX_VALUE);
                    if !value.is_empty() {
                        values.insert(argument.name, value);
                    }
                }
                _ => problems.push(format!("argument {:?} must be a string", argument.name)),
            }
        }
        for argument in entry.arguments.iter().filter(|argument| argument.required) {
            if problems.is_empty() && !values.contains_key(argument.name) {
                problems.push(format!("argument {:?} is missing", argument.name));
            }
        }
        if problems.is_empty() {
            return Ok(Self(values));
        }
        problems.truncate(10);
        Err(Error::Arguments { problems })
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// The value of a required argument.
    fn required(&self, name: &str) -> &str {
        self.get(name).unwrap_or_default()
    }
}
