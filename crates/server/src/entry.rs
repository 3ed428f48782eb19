//! What the `main` functions of the binaries share.

use std::{
    error::Error as StdError,
    io::{self, Write},
    process::ExitCode,
};

use nocrd_authz::error::with_causes;
use nocrd_config::{Binary, Command, ProcessEnv, Settings};

use crate::{Components, Error, Server, Shutdown, logging, permissions};

/// Any reason why a program ends with failure.
pub type Failure = Box<dyn StdError + Send + Sync>;

/// Exit code of a command line or an environment that is wrong.
const WRONG_SETTINGS: u8 = 2;
/// Exit code after a signal that left no time to finish, as shells report SIGINT.
const INTERRUPTED: u8 = 130;

/// Reads command line and environment of `binary` and runs the command they make, on a runtime of its own. Help goes to
/// standard output, errors to standard error.
pub fn main<F>(binary: Binary, run: impl FnOnce(Command) -> F) -> ExitCode
where
    F: Future<Output = Result<ExitCode, Failure>>,
{
    let command = match nocrd_config::load(binary, std::env::args_os().skip(1), &ProcessEnv) {
        Ok(Command::Print(text)) => return print(&text),
        Ok(command) => command,
        Err(errors) => {
            report(format_args!("{errors}"));
            return ExitCode::from(WRONG_SETTINGS);
        }
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            report(format_args!("{}: can't start: {error}", binary.name()));
            return ExitCode::FAILURE;
        }
    };
    let outcome = runtime.block_on(run(command));
    // A read from a terminal's standard input can't be interrupted: don't wait for its thread.
    runtime.shutdown_background();
    outcome.unwrap_or_else(|failure| {
        report(format_args!("{}: {}", binary.name(), explain(failure.as_ref())));
        match failure.downcast_ref::<Error>() {
            Some(Error::Interrupted) => ExitCode::from(INTERRUPTED),
            _ => ExitCode::FAILURE,
        }
    })
}

/// Runs a command that every binary has: the server of these components, until a signal or its MCP client ends it, or the
/// check of permissions.
///
/// # Errors
/// When it can't start, or is told to do what only `nocrd-all` can.
pub async fn run(command: Command, components: Components) -> Result<ExitCode, Failure> {
    match command {
        Command::Serve(settings) => {
            init_logging(&settings)?;
            let shutdown = Shutdown::new();
            let _signals = shutdown.follow_signals(false)?;
            serve(*settings, components, shutdown, |_| {}).await?;
            Ok(ExitCode::SUCCESS)
        }
        Command::CheckPermissions(settings) => Ok(permissions::check(&settings, components).await?),
        other => Err(format!("{other:?} is not a command of this program").into()),
    }
}

/// Runs a server until `shutdown`; `bound` is told where it is before it serves.
///
/// # Errors
/// See [`Server::bind`] and [`Server::serve`].
pub async fn serve(
    settings: Settings,
    components: Components,
    shutdown: Shutdown,
    bound: impl FnOnce(&Server),
) -> Result<(), Error> {
    let log_file = settings.log_file.is_some();
    let work = async {
        let server = Server::bind(settings, components).await?;
        bound(&server);
        server.serve(shutdown).await
    };
    work.await.inspect_err(|error| {
        // `main` tells standard error only.
        if log_file {
            tracing::error!("{}", explain(error));
        }
    })
}

/// Sets up the log, and tells what an operator should know about the settings.
///
/// # Errors
/// When the log file can't be opened.
pub fn init_logging(settings: &Settings) -> Result<(), Error> {
    logging::init(settings)?;
    for warning in settings.warnings() {
        tracing::warn!("{warning}");
    }
    Ok(())
}

/// An error with its causes, and what to do about it.
fn explain(error: &(dyn StdError + 'static)) -> String {
    let mut text = with_causes(error);
    if let Some(error) = error.downcast_ref::<Error>() {
        text.push_str(" [");
        text.push_str(error.code().id);
        text.push(']');
        if let Some(advice) = error.advice() {
            text.push('\n');
            text.push_str(&advice);
        }
    }
    text
}

/// Writes to standard output. That nobody reads it is no failure.
pub fn print(text: &str) -> ExitCode {
    let mut out = io::stdout().lock();
    drop(out.write_all(text.as_bytes()).and_then(|()| out.flush()));
    ExitCode::SUCCESS
}

fn report(text: std::fmt::Arguments<'_>) {
    drop(writeln!(io::stderr().lock(), "{text}"));
}
