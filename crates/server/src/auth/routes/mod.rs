//! Signing in, signing out, and what is known of a session.

mod ask;
mod failed;
mod link;
mod permissions;
mod refresh;
mod session;
mod sign_in;
mod sign_out;

pub(crate) use link::link;
pub(crate) use permissions::{Permissions, permissions};
pub(crate) use refresh::set_refresh;
pub(crate) use session::session;
pub(crate) use sign_in::{callback, login};
pub(crate) use sign_out::logout;
