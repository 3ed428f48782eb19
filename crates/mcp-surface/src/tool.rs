//! What a tool is.

use nocrd_authz::policy::Action;
use rmcp::model::{JsonObject, ToolAnnotations};
use schemars::JsonSchema;
use serde::{Serialize, de::DeserializeOwned};

use crate::{call::Call, error::Failure};

/// What a tool does to the world, for clients that ask their user before some calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// It only reads.
    Read,
    /// It adds something, each time it is called.
    Create,
    /// It changes something that is there; a second call with the same arguments has nothing left to do.
    Change,
    /// It destroys something; a second call has nothing left to do.
    Destroy,
}

impl Effect {
    /// Whether something that was there is not, or not so, afterwards.
    #[must_use]
    pub fn is_destructive(self) -> bool {
        matches!(self, Self::Change | Self::Destroy)
    }

    /// The protocol's hints.
    pub(crate) fn annotations(self, open_world: bool) -> ToolAnnotations {
        ToolAnnotations::new()
            .read_only(self == Self::Read)
            .destructive(self.is_destructive())
            .idempotent(self != Self::Create)
            .open_world(open_world)
    }

    /// The effect in a few words, for the reference.
    pub(crate) fn describe(self) -> &'static str {
        match self {
            Self::Read => "reads only",
            Self::Create => "creates something each time it is called",
            Self::Change => "changes what is there; calling it again has no further effect",
            Self::Destroy => "destroys; calling it again has no further effect",
        }
    }
}

/// What the argument `name` of a tool names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Thing {
    Pod,
    Template,
}

/// A tool. Implementations are unit structs, listed in [`catalogue::TOOLS`](crate::catalogue::TOOLS).
pub(crate) trait Tool: 'static {
    /// Its arguments. Doc comments become the descriptions that a model reads.
    type Params: DeserializeOwned + JsonSchema + Send;
    /// Its `structuredContent`.
    type Output: Serialize + JsonSchema + Send;

    const NAME: &'static str;
    /// For people.
    const TITLE: &'static str;
    /// For a model: what it does, when to use it, what to call next.
    const DESCRIPTION: &'static str;
    const EFFECT: Effect;
    /// Whether it reaches beyond the cluster that the server serves.
    const OPEN_WORLD: bool = false;
    /// What the caller must be allowed to do; `None` is for everybody who is known.
    const ACTION: Option<Action>;

    /// What its argument `name` names, for those who keep books.
    const NAMED: Option<Thing> = None;

    fn run(
        call: Call,
        params: Self::Params,
    ) -> impl Future<Output = Result<Reply<Self::Output>, Failure>> + Send;
}

/// What a successful call sends.
pub(crate) struct Reply<T> {
    /// A short rendering, for models and clients that don't read `structured`.
    pub(crate) text: String,
    pub(crate) structured: T,
}

impl<T: Serialize> Reply<T> {
    pub(crate) fn new(text: impl Into<String>, structured: T) -> Self {
        Self { text: text.into(), structured }
    }

    /// A reply whose text is the object itself, as indented JSON.
    pub(crate) fn json(structured: T) -> Self {
        Self { text: serde_json::to_string_pretty(&structured).unwrap_or_default(), structured }
    }
}

/// The arguments of a tool that takes none.
#[derive(serde::Deserialize, JsonSchema)]
pub(crate) struct NoParams {}

/// A call's arguments as they came.
pub(crate) type Arguments = Option<JsonObject>;
