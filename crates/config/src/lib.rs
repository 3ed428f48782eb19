//! The settings of no-crd: one [table](settings::TABLE), read from flags and environment, validated together.
//!
//! A setting is one row of [`settings`]: typed field, names, default, allowed values, documentation. The flags of the
//! binaries, their `--help`, the parser and the reference in the book all come from that row. To add a setting, add a
//! row; nothing else changes.
//!
//! - **Precedence:** flag, then the first environment variable of the row that is set and not empty, then the default.
//! - **All errors at once:** [`load`] never stops at the first; each error names the setting, where its value came from
//!   and what is allowed. Values of secrets are never shown.
//! - **Environment:** this crate alone reads it, through [`Lookup`]; tests pass a map.
//!
//! ```
//! use std::collections::BTreeMap;
//! use nocrd_config::{Binary, Command, load};
//!
//! let env = BTreeMap::from([("PORT".to_owned(), "8080".to_owned())]);
//! let Command::Serve(settings) = load(Binary::All, ["--log-level=debug"], &env)? else { unreachable!() };
//! assert_eq!((settings.port, settings.namespace.as_str()), (8080, "nogoo9"));
//!
//! let errors = load(Binary::All, ["--port=70000", "--mode=all"], &env).unwrap_err();
//! assert_eq!(errors.iter().count(), 2);
//! # Ok::<(), nocrd_config::Errors>(())
//! ```

mod args;
mod choice;
mod command;
mod error;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod kind;
mod lookup;
pub mod reference;
mod resolve;
mod row;
mod rules;
pub mod settings;
mod typo;
mod value;

pub use args::help;
pub use choice::{LogFormat, LogLevel, LoginMethod, Mode, PodSecurity, Transport};
pub use command::{Binary, Command, DevOptions, Sandbox, WorkspaceOptions, load};
pub use error::{Error, Errors};
pub use kind::{Kind, Unit};
pub use lookup::{Lookup, ProcessEnv};
pub use resolve::Source;
pub use row::{Effect, Flag, Group, Preset, Setting};
pub use settings::Settings;
