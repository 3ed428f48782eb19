//! The tool about the image registry.

use nocrd_authz::policy::Action;
use nocrd_registry::{Page, Place, Problem, Registry};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::page;
use crate::{
    call::Call,
    cursor,
    error::{Error, Failure},
    text,
    tool::{Effect, Reply, Tool},
};

/// Which list a cursor belongs to.
const LIST: &str = "images";
/// What is said instead of a list.
const NO_REGISTRY: &str = "No image registry is set up. The operator names one with REGISTRY_URL, for example \
     REGISTRY_URL=https://registry.example.com.";

pub(crate) struct ListRegistryImages;

#[derive(Deserialize, JsonSchema)]
pub(crate) struct ListRegistryImagesParams {
    /// Only repositories whose names begin so.
    repository: Option<String>,
    /// Default 50, at most 200.
    #[schemars(range(min = 1))]
    limit: Option<u32>,
    /// `nextCursor` of the page before.
    cursor: Option<String>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ImageList {
    /// `registry/repository:tag`.
    images: Vec<String>,
    /// The registry; empty where none is set up.
    registry: String,
    /// What keeps images from being listed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    problems: Vec<ProblemView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// Something that keeps images from being listed.
#[derive(Serialize, JsonSchema)]
#[schemars(inline)]
struct ProblemView {
    /// Empty for the registry as a whole.
    repository: String,
    reason: String,
}

impl ProblemView {
    fn new(problem: &Problem) -> Self {
        Self { repository: text::line(&problem.repository, 100), reason: text::line(&problem.reason, 300) }
    }
}

impl Tool for ListRegistryImages {
    type Params = ListRegistryImagesParams;
    type Output = ImageList;

    const NAME: &'static str = "list_registry_images";
    const TITLE: &'static str = "List images";
    const DESCRIPTION: &'static str = "List the images of the registry that this server is set up with (REGISTRY_URL), each as a \
        reference for `image` of a container. A page may be short, and still have a `nextCursor`.";
    const EFFECT: Effect = Effect::Read;
    const OPEN_WORLD: bool = true;
    const ACTION: Option<Action> = Some(Action::Read);

    async fn run(call: Call, params: ListRegistryImagesParams) -> Result<Reply<ImageList>, Failure> {
        let after = params.cursor.as_deref().map(|text| cursor::decode(LIST, text)).transpose()?;
        let after = after.as_deref().map(Place::parse);
        let Some(registry) = &call.options().registry else {
            let (images, problems) = (Vec::new(), Vec::new());
            let list = ImageList { images, registry: String::new(), problems, next_cursor: None };
            return Ok(Reply::new(NO_REGISTRY, list));
        };
        let prefix = params.repository.as_deref().unwrap_or_default();
        let page = registry.page(prefix, after.as_ref(), page::limit(params.limit));
        let page = call.unless_cancelled(page).await?.map_err(Error::Registry)?;
        let list = ImageList::new(registry, page);
        Ok(Reply::new(render(&list), list))
    }
}

impl ImageList {
    fn new(registry: &Registry, mut page: Page) -> Self {
        let name = registry.name();
        let references = page.images.iter().map(|image| format!("{name}/{image}"));
        let images = page::fit(references, |reference| reference.len() + 1);
        if let Some(last) = page.images.get(..images.len()).and_then(<[_]>::last)
            && images.len() < page.images.len()
        {
            // The next page tells of what comes after.
            page.problems.retain(|problem| problem.repository <= last.repository);
            page.next = Some(last.place());
        }
        Self {
            images,
            registry: name.to_owned(),
            problems: page.problems.iter().map(ProblemView::new).collect(),
            next_cursor: page.next.map(|place| cursor::encode(LIST, &place.to_string())),
        }
    }
}

fn render(list: &ImageList) -> String {
    let mut out = match (list.images.is_empty(), &list.next_cursor) {
        (false, _) => list.images.join("\n"),
        (true, None) => format!("(no images found in {})", list.registry),
        (true, Some(_)) => "(no images on this page)".to_owned(),
    };
    for ProblemView { repository, reason } in &list.problems {
        let what = if repository.is_empty() { &list.registry } else { repository };
        out += &format!("\n⚠ {what}: {reason}");
    }
    if let Some(cursor) = &list.next_cursor {
        out += &page::more_to_come(list.images.len(), cursor);
    }
    out
}
