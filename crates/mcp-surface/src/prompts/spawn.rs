//! `spawn-workspace`

use nocrd_authz::policy::Action;
use nocrd_model::Namespace;
use nocrd_templates::TemplateRef;
use rmcp::model::{PromptMessage, Role};

use super::{Argument, Entry, Values};
use crate::{Error, reader::Reader};

pub(super) const PROMPT: Entry = Entry {
    name: "spawn-workspace",
    title: "Start a workspace",
    description: "Start a workspace for a task, with a template that fits.",
    action: Action::WorkspaceWrite,
    arguments: &[
        Argument { name: "task", description: "What the workspace is for.", required: true },
        Argument {
            name: "templateRef",
            description: "The template to use. Without, the model chooses one.",
            required: false,
        },
        Argument {
            name: "namespace",
            description: "Where to start it. Default: the server's.",
            required: false,
        },
    ],
    render,
};

fn render(reader: Reader<'_>, values: &Values) -> Result<Vec<PromptMessage>, Error> {
    let cluster = reader.cluster();
    let namespace = cluster.resolve_namespace_of_spawn(values.get("namespace"), reader.caller())?;
    let place = values.get("namespace").map(|_| format!(" `namespace: \"{namespace}\"`,"));
    let choice = match values.get("templateRef") {
        Some(text) => {
            let reference = resolve(reader, text, &namespace)?;
            format!("Call get_template with `name: \"{reference}\"`. Its `templateRef` is the one to use.")
        }
        None => "Call list_templates and choose the template that fits the task best; when none does, say so and stop."
            .to_owned(),
    };
    let text = format!(
        "Start a workspace for this task:\n\n{task}\n\n\
         Take these steps:\n\
         1. {choice}\n\
         2. For every name in the template's `requiredContext`, ask me for the value unless I have told it. Never make \
         one up.\n\
         3. Call spawn_workspace with a new `id` that says what it is for (lower-case letters, digits, '-'), the \
         `templateRef`,{place} the values in `context`, and `wait: true`.\n\
         4. If it does not start, get_workspace and get_workspace_events tell why. Stop it with stop_workspace and \
         correct the cause before you try again, twice at most.\n\
         5. Tell me the workspace's id and `url`, and go on with the task there.",
        task = values.required("task"),
        place = place.unwrap_or_default(),
    );
    Ok(vec![PromptMessage::new_text(Role::User, text)])
}

/// The template that is meant, if the caller sees it. A bare name is looked up where the workspace will be, then in the
/// default namespace.
fn resolve(reader: Reader<'_>, text: &str, namespace: &Namespace) -> Result<TemplateRef, Error> {
    let reference: TemplateRef = text.parse().map_err(Error::Template)?;
    let cluster = reader.cluster();
    let found = match &reference.namespace {
        Some(named) => reader.template(&reference, &cluster.resolve_namespace(Some(named.as_str()))?),
        None => reader
            .template(&reference, namespace)
            .or_else(|_| reader.template(&reference, cluster.default_namespace())),
    };
    Ok(found?.reference())
}
