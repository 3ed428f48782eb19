//! Authentication, from outside: the program by its environment alone, an identity provider beside it, and browsers, agents
//! and replicas that use both.

mod browser;
mod front;
mod outages;
mod provider;
mod replicas;
mod sdk;
mod secrets;
mod server;
mod session;
mod set_ups;
mod sign_in;
mod visitor;

pub(crate) use server::{Env, defaults};
pub(crate) use session::{until, user};
pub(crate) use visitor::Visitor;
