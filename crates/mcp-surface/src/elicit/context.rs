//! Context variables that a template requires and a call lacks.

use rmcp::model::ElicitationSchema;
use serde_json::{Map, Value};

use super::{Answer, Asking, Stop};
use crate::{Error, error::Failure, text, tool::Arguments};

const QUESTION: &str = "context";
/// The argument that they belong into.
const ARGUMENT: &str = "context";

/// What a failed call lacks, if its user could give it by a form: variables that the template's author has called plain.
/// Secrets never go through a client.
pub(crate) fn lacking(failure: &Failure) -> Option<&[String]> {
    use nocrd_spawner::Error::MissingContext;
    match &failure.error {
        Error::Spawner(MissingContext { names, plain }) if names == plain => Some(names),
        _ => None,
    }
}

/// Asks for variables, and adds them to a call's arguments. `false` when nobody can be asked.
pub(crate) async fn ask(
    asking: &Asking<'_>,
    names: &[String],
    arguments: &mut Arguments,
) -> Result<bool, Stop> {
    let schema = names.iter().fold(ElicitationSchema::builder(), |form, name| {
        form.required_string_with(name, |schema| schema.title(text::line(name, 100)))
    });
    let schema = schema.build().map_err(|_| Stop::Failed(Error::Internal))?;
    let message = "The template needs values that the call did not give. Give no secrets here.";
    let form = match asking.form(QUESTION, message.to_owned(), schema).await? {
        Answer::Given(form) => form,
        Answer::Refused => return Err(Stop::Failed(Error::Declined { tool: "the question for context" })),
        Answer::CantAsk => return Ok(false),
    };
    let context =
        arguments.get_or_insert_default().entry(ARGUMENT).or_insert_with(|| Value::Object(Map::new()));
    if context.is_null() {
        *context = Value::Object(Map::new());
    }
    if let Value::Object(context) = context {
        // Nothing but what was asked for.
        context.extend(form.into_iter().filter(|(name, _)| names.contains(name)));
    }
    Ok(true)
}
