//! Pod templates: where they come from, how they are read, and how a caller's overrides change them.
//!
//! A template is a pod spec with labels and annotations that tell the spawner what to do with it. There are three
//! sources, and of two templates of one name the earlier source counts:
//!
//! 1. ConfigMaps labelled `nogoo9/pod-template=true`, whose key `spec` holds the pod spec as JSON or YAML
//!    ([`parse_config_map`]);
//! 2. the `.yaml`, `.yml` and `.json` files of a directory ([`load_directory`]);
//! 3. those that come with the product ([`built_in`]).
//!
//! A template that can't be read is a [`Problem`] beside the others and breaks nothing; asking for it by name says what
//! is wrong rather than falling back to another source. Names are only ever looked up in a [`Catalogue`] in memory:
//! nothing a caller writes becomes part of a path.

mod built_in;
mod catalogue;
mod directory;
mod document;
mod error;
pub mod overrides;
mod reference;
pub mod spec;
mod template;
mod version;

pub use built_in::{BuiltInOptions, built_in};
pub use catalogue::{Catalogue, Listing};
pub use directory::load_directory;
pub use document::{SPEC_KEY, parse_config_map};
pub use error::Error;
pub use reference::TemplateRef;
pub use template::{Origin, Problem, Template};
pub use version::is_newer;
