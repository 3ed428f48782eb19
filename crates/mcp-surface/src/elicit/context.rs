//! Context variables that a template requires and a call lacks.

use nocrd_model::Caller;
use rmcp::model::ElicitationSchema;
use serde_json::{Map, Value};

use super::{
    Answer, Asking, Stop,
    forms::{ContextForms, Wanted},
};
use crate::{
    Error,
    catalogue::Entry,
    error::Failure,
    text,
    tool::{Arguments, Thing},
};

const QUESTION: &str = "context";
/// The argument that they belong into.
const ARGUMENT: &str = "context";

/// What a failed call lacks.
pub(crate) struct Lacking<'a> {
    names: &'a [String],
    /// Whether the template's author has called all of them plain. Whatever else may be secret never goes through a client.
    plain: bool,
}

impl<'a> Lacking<'a> {
    pub(crate) fn of(failure: &'a Failure) -> Option<Self> {
        use nocrd_spawner::Error::MissingContext;
        match &failure.error {
            Error::Spawner(MissingContext { names, plain }) => Some(Self { names, plain: names == plain }),
            _ => None,
        }
    }

    /// Asks for the variables, and adds them to the call's arguments. `false` when nobody can be asked.
    pub(crate) async fn ask(
        &self,
        asking: &Asking<'_>,
        entry: &Entry,
        caller: &Caller,
        forms: Option<&dyn ContextForms>,
        arguments: &mut Arguments,
    ) -> Result<bool, Stop> {
        let given: Vec<(String, Value)> = if self.plain && asking.forms {
            match answered(self.by_form(asking).await?)? {
                Some(form) => form.into_iter().collect(),
                None => return Ok(false),
            }
        } else {
            let Some(forms) = forms else { return Ok(false) };
            let wanted = self.wanted(entry, caller, arguments);
            let message = "The template needs values that may be secret. Give them on the server's own page: neither \
                           this client nor the model gets to see them.";
            match answered(asking.page(QUESTION, message, forms, &wanted).await?)? {
                Some(values) => values.into_iter().map(|(name, value)| (name, value.into())).collect(),
                None => return Ok(false),
            }
        };
        let context =
            arguments.get_or_insert_default().entry(ARGUMENT).or_insert_with(|| Value::Object(Map::new()));
        if context.is_null() {
            *context = Value::Object(Map::new());
        }
        if let Value::Object(context) = context {
            // Nothing but what was asked for.
            context.extend(given.into_iter().filter(|(name, _)| self.names.contains(name)));
        }
        Ok(true)
    }

    async fn by_form(&self, asking: &Asking<'_>) -> Result<Answer, Stop> {
        let schema = self.names.iter().fold(ElicitationSchema::builder(), |form, name| {
            form.required_string_with(name, |schema| schema.title(text::line(name, 100)))
        });
        let schema = schema.build().map_err(|_| Stop::Failed(Error::Internal))?;
        let message = "The template needs values that the call did not give. Give no secrets here.";
        asking.form(QUESTION, message.to_owned(), schema).await
    }

    fn wanted<'w>(&'w self, entry: &'w Entry, caller: &'w Caller, arguments: &Arguments) -> Wanted<'w> {
        let named = |argument: &str| {
            let value = arguments.as_ref()?.get(argument)?.as_str()?;
            Some(text::line(value, 100)).filter(|value| !value.is_empty())
        };
        let name = if entry.named == Some(Thing::Pod) { "name" } else { "id" };
        let (template, name) = (named("templateRef"), named(name));
        Wanted { caller, title: entry.title, template, name, names: self.names }
    }
}

/// The answer; `None` when nobody could be asked.
fn answered<T>(answer: Answer<T>) -> Result<Option<T>, Stop> {
    match answer {
        Answer::Given(given) => Ok(Some(given)),
        Answer::Refused => Err(Stop::Failed(Error::Declined { tool: "the question for context" })),
        Answer::CantAsk => Ok(None),
    }
}
