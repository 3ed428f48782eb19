use nocrd_model::Api;
use schemars::JsonSchema;
use serde::Serialize;

use crate::text;

/// An additional HTTP port of a workspace.
#[derive(Serialize, JsonSchema)]
#[schemars(inline)]
pub(crate) struct ApiView {
    name: String,
    port: String,
    path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    desc: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    method: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh: Option<String>,
    visibility: String,
}

impl ApiView {
    pub(crate) fn all(apis: &[Api]) -> Vec<Self> {
        apis.iter().map(Self::new).collect()
    }

    fn new(api: &Api) -> Self {
        Self {
            name: api.name.clone(),
            port: api.port.to_string(),
            path: text::line(&api.path, super::IN_LIST),
            desc: api.desc.as_deref().map(|desc| text::line(desc, super::IN_LIST)),
            method: (!api.methods.is_empty()).then(|| api.methods.join(",")),
            refresh: api.refresh.map(|refresh| refresh.to_string()),
            visibility: text::line(&String::from(api.visibility.clone()), super::IN_LIST),
        }
    }
}
