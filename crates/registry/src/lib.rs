//! Lists the images of a container registry, over the [OCI Distribution API](https://github.com/opencontainers/distribution-spec).
//!
//! A [`Registry`] reads the catalogue of repositories and the tags of each, in pages, with limits on time, bytes and
//! entries. What a single repository does wrong is a [`Problem`] of the page and ends nothing else.
//!
//! What the registry says is not trusted further than that:
//!
//! - Nothing is asked of another origin than the registry's own, but for tokens, of the server that the registry names for
//!   them, and of that by https or on the registry's own origin only. Redirects are not followed. Of the link to a next page
//!   only the query counts.
//! - Credentials go to the registry and to that server, when they ask for them, and are in no text of this crate.
//! - Names that are none by the specification stand in no path and in no reply but for the problem that names them.
//!
//! ```no_run
//! use nocrd_registry::{Config, Registry};
//!
//! # async fn list() -> Result<(), Box<dyn std::error::Error>> {
//! let registry = Registry::new(Config::new("https://registry.example.com".parse()?))?;
//! let page = registry.page("team/", None, 50).await?;
//! for image in &page.images {
//!     println!("{}/{image}", registry.name());
//! }
//! # Ok(())
//! # }
//! ```

mod access;
mod challenge;
mod error;
mod http;
mod link;
mod name;
mod registry;

pub use access::Credentials;
pub use error::{Error, Reason};
pub use registry::{Config, Image, Page, Place, Problem, Registry};
