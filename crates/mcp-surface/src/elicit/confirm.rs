//! Whether a user really means it.

use rmcp::model::ElicitationSchema;

use super::{Answer, Asking, Stop};
use crate::{Error, catalogue::Entry, text, tool::Arguments};

const QUESTION: &str = "confirm";
/// The arguments that name what a call is about.
const NAMES: [&str; 3] = ["id", "name", "namespace"];

/// Asks before something that is there is destroyed or changed.
pub(crate) async fn ask(asking: &Asking<'_>, entry: &Entry, arguments: &Arguments) -> Result<(), Stop> {
    let schema =
        ElicitationSchema::builder().required_bool_with(QUESTION, |schema| schema.title("Yes, do it"));
    let schema = schema.build().map_err(|_| Stop::Failed(Error::Internal))?;
    match asking.form(QUESTION, message(entry, arguments), schema).await? {
        Answer::Given(form) if form.get(QUESTION).and_then(serde_json::Value::as_bool) == Some(true) => {
            Ok(())
        }
        Answer::Given(_) | Answer::Refused => Err(Stop::Failed(Error::Declined { tool: entry.name })),
        Answer::CantAsk => Err(Stop::Failed(Error::ConfirmationNeeded { tool: entry.name })),
    }
}

/// Names alone are shown: everything else in the arguments may be there to mislead.
fn message(entry: &Entry, arguments: &Arguments) -> String {
    let named = NAMES.iter().filter_map(|argument| {
        let value = arguments.as_ref()?.get(*argument)?.as_str()?;
        Some(format!("{argument} {:?}", text::line(value, 100)))
    });
    let named: Vec<String> = named.collect();
    let about = if named.is_empty() { String::new() } else { format!(": {}", named.join(", ")) };
    format!("{}{about}. Really?", entry.title)
}
