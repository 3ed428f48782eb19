//! The MCP server: tools, resources and prompts over [`nocrd_spawner`], and the transports.
//!
//! A [`Surface`] answers both eras of the protocol: sessions (2024-11-05 to 2025-11-25) and the stateless 2026-07-28.
//! [`http_service`] makes it a tower service for `/mcp`, [`serve_stdio`] speaks over standard input and output.
//!
//! | module | what lives there |
//! |---|---|
//! | [`catalogue`] | the one table of tools, from which `tools/list`, the dispatch and the reference are made |
//! | `tools` | the tools, by group; each is thin: arguments in, a call or two, a view out |
//! | `view` | what tools send; output schemas are generated from these types |
//! | `reader` | what a caller sees: tools, resources, prompts and notifications ask it |
//! | `resources`, `prompts`, `completions` | what clients offer people rather than models, and the values they fill in |
//! | `subscriptions` | who is told of what change |
//! | `arguments`, `schema` | input schemas, and the check of arguments against them |
//! | `respond` | results and errors as `tools/call` results; the only place that maps an error to a reply |
//! | `report` | what became of a call, for audit logs and metrics |
//! | `run` | from a call to its answer: who may, what the user is asked, the tool itself |
//! | `elicit` | questions to the users of clients |
//! | `tasks` | work that goes on when its call has been answered |
//! | `extension` | what another program adds |
//! | `transport` | Streamable HTTP and stdio |
//!
//! # To add a tool
//!
//! Implement `tool::Tool` for a unit struct in `tools/<group>.rs`, add it to [`catalogue::TOOLS`], and name it in
//! [`nocrd_cluster::NEEDS`] beside the Kubernetes permissions it uses. Everything else follows: its place in
//! `tools/list`, the refusal of unknown arguments, the check that the permissions are granted and that the caller has
//! the right it names, the reference page. A test wants a row that says who gets what from it.
//!
//! # To add a resource or a prompt
//!
//! A kind of resources is a variant of `resources::Uri` and a module with its entries and contents, which it gets from
//! `reader`; a prompt is a row of `prompts::PROMPTS`. Tests want a row for either.
//!
//! # Who is asking
//!
//! A transport puts a [`nocrd_model::Caller`] into the HTTP request's extensions; stdio is given one. Nothing in a
//! request's body is ever taken for an identity. What a caller may do is decided by the policy of [`Options`], in one
//! place, before a tool runs; whose things they see follows from who they are.

mod arguments;
mod call;
pub mod catalogue;
mod completions;
mod cursor;
mod elicit;
mod error;
#[doc(hidden)]
pub mod extension;
mod handler;
mod instructions;
mod options;
mod prompts;
mod reader;
mod redact;
mod report;
mod resources;
mod respond;
mod run;
mod schema;
mod subscriptions;
mod surface;
mod tasks;
mod text;
mod tool;
mod tools;
mod transport;
mod view;

pub use elicit::forms::{ContextForms, Opened, Taken, Values, Wanted};
pub use error::Error;
pub use options::Options;
pub use report::{Observer, Outcome, Report};
pub use surface::Surface;
pub use transport::{Body, HttpOptions, HttpService, http_service, serve_io, serve_stdio};
