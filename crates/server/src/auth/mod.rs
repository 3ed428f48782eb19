//! Who asks. The checks themselves are in [`nocrd_authz`], which knows no server; here is what a server adds: settings, where
//! a request comes from, answers, routes.
//!
//! | module | what it holds |
//! |---|---|
//! | `build` | settings → the parts of `nocrd_authz` |
//! | `counting` | how many are recognised, and who sends too many bad tokens |
//! | `known` | tokens that were good before |
//! | `door` | [`Door`]: a request → who sent it, or the answer that it gets instead |
//! | `admit` | the middleware of the router's endpoints |
//! | `guard` | the same for the proxy |
//! | `stay` | how long what a caller opened stays open |
//! | `workspace` | what workspaces ask about their owner |
//! | `handover` | links with a token |
//! | `refusal` | 401 and 403, with their challenges |
//! | `upstream` | whether the identity provider gives what is needed of it |
//! | `summary` | what an operator is told at the start |
//! | `sender` | what a handler knows of where its request comes from |
//! | `metadata` | RFC 9728 |
//! | `routes` | signing in, signing out, sessions |

pub(crate) mod admit;
mod build;
mod counting;
mod door;
mod guard;
mod handover;
mod known;
pub(crate) mod metadata;
mod refusal;
pub(crate) mod routes;
mod sender;
mod stay;
mod summary;
mod upstream;
mod workspace;

pub(crate) use build::{Shared, build, check, policy};
pub(crate) use counting::Counting;
pub(crate) use door::{Door, Visitor, wants_public_url};
pub(crate) use guard::Gate;
pub(crate) use refusal::{Refusal, set_cookies};
pub(crate) use sender::{Asked, Sender};
pub(crate) use summary::tell;
pub(crate) use upstream::{State as UpstreamState, Upstream};
