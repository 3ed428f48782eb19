//! Looking at templates.

use nocrd_authz::policy::Action;
use nocrd_templates::TemplateRef;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    call::Call,
    cursor,
    error::{Error, Failure},
    text,
    tool::{Effect, Reply, Thing, Tool},
    tools::page,
    view::template::{ProblemView, TemplateDetails, TemplateEntry},
};

/// Which list a cursor belongs to.
const LIST: &str = "templates";
/// Most unusable templates that are reported.
const MAX_PROBLEMS: usize = 20;

pub(crate) struct ListTemplates;

#[derive(Deserialize, JsonSchema)]
pub(crate) struct ListTemplatesParams {
    /// Default: the server's.
    namespace: Option<String>,
    /// Default 50, at most 200.
    #[schemars(range(min = 1))]
    limit: Option<u32>,
    /// `nextCursor` of the page before.
    cursor: Option<String>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TemplateList {
    templates: Vec<TemplateEntry>,
    total: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
    /// Templates that can't be used, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    problems: Vec<ProblemView>,
}

impl Tool for ListTemplates {
    type Params = ListTemplatesParams;
    type Output = TemplateList;

    const NAME: &'static str = "list_templates";
    const TITLE: &'static str = "List templates";
    const DESCRIPTION: &'static str = "List the templates that workspaces can be made from. Then pass an entry's `templateRef` to \
        spawn_workspace, with a value in `context` for each name in `requiredContext`.";
    const EFFECT: Effect = Effect::Read;
    const ACTION: Option<Action> = Some(Action::Read);

    async fn run(call: Call, params: ListTemplatesParams) -> Result<Reply<TemplateList>, Failure> {
        let namespace = call.namespace(params.namespace.as_deref())?;
        let mut listing = call.spawner().catalogue().list(&namespace);
        listing.templates.retain(|template| call.reader().sees(template));
        let total = listing.templates.len();
        let start = match params.cursor.as_deref() {
            None => 0,
            Some(text) => {
                let after = cursor::decode(LIST, text)?;
                let last = listing.templates.iter().position(|template| template.name == after);
                1 + last.ok_or_else(|| {
                    Error::argument("the list has changed: leave \"cursor\" out and begin anew")
                })?
            }
        };
        let rest = listing.templates.iter().skip(start).take(page::limit(params.limit));
        let entries = rest.map(|template| TemplateEntry::new(template, &namespace));
        let templates = page::fit(entries, |entry| entry.name.len() + entry.description.len() + 4);
        let last = templates.last().filter(|_| start + templates.len() < total);
        let next_cursor = last.map(|template| cursor::encode(LIST, &template.name));
        // They are for those who could put them right, and may be of templates that are not for everybody.
        let warnings = listing.templates.iter().filter_map(|template| ProblemView::warning(template));
        let problems = listing.problems.iter().map(ProblemView::new).chain(warnings);
        let problems = problems.filter(|_| call.may_write()).take(MAX_PROBLEMS).collect();
        let list = TemplateList { templates, total, next_cursor, problems };
        Ok(Reply::new(render(&call, &list), list))
    }
}

fn render(call: &Call, list: &TemplateList) -> String {
    let mut out = String::new();
    let permissions = call.permissions();
    if !permissions.allows("list", "configmaps") {
        out.push_str(
            "⚠ ConfigMap templates unavailable (missing permissions). Showing local/built-in templates only.\n",
        );
    }
    if list.templates.is_empty() {
        out.push_str("(no templates)");
    }
    out += &text::table(None, list.templates.iter().map(|t| [t.name.clone(), t.description.clone()]));
    if let Some(cursor) = &list.next_cursor {
        out += &page::more(list.templates.len(), list.total, cursor);
    }
    for problem in &list.problems {
        out += &format!("\n⚠ {}: {}", problem.name, problem.reason);
    }
    out
}

pub(crate) struct GetTemplate;

#[derive(Deserialize, JsonSchema)]
pub(crate) struct GetTemplateParams {
    /// Its name or `templateRef`.
    name: String,
    /// Default: the server's.
    namespace: Option<String>,
}

impl Tool for GetTemplate {
    type Params = GetTemplateParams;
    type Output = TemplateDetails;

    const NAME: &'static str = "get_template";
    const TITLE: &'static str = "Show a template";
    const DESCRIPTION: &'static str = "Show one template with its pod spec: what it runs, its annotations, the names of its \
        containers (spawn_workspace can override them).";
    const EFFECT: Effect = Effect::Read;
    const ACTION: Option<Action> = Some(Action::Read);
    const NAMED: Option<Thing> = Some(Thing::Template);

    async fn run(call: Call, params: GetTemplateParams) -> Result<Reply<TemplateDetails>, Failure> {
        let reference: TemplateRef = params.name.parse().map_err(Error::Template)?;
        let asked = reference.namespace.as_ref().map(|namespace| namespace.as_str().to_owned());
        let namespace = call.namespace(asked.as_deref().or(params.namespace.as_deref()))?;
        let template = call.reader().template(&reference, &namespace)?;
        let details = TemplateDetails::new(&template, &namespace);
        let text = text::json(&details.manifest());
        Ok(Reply::new(text, details))
    }
}
