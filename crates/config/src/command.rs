//! What a command line asks a binary to do.

use std::{ffi::OsString, net::SocketAddr, path::PathBuf};

use crate::{
    args,
    error::{Error, Errors},
    lookup::Lookup,
    resolve::Resolver,
    rules::{self, Circumstances},
    settings::{Settings, TABLE},
    typo,
};

/// The program whose command line is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Binary {
    /// `nocrd-all`: everything, and the embedded cluster.
    All,
    /// `nocrd-mcp`: the MCP server without the proxy.
    Mcp,
    /// `nocrd-proxy`: the proxy without the MCP server.
    Proxy,
}

impl Binary {
    /// All binaries.
    pub const ALL: [Self; 3] = [Self::All, Self::Mcp, Self::Proxy];

    /// Name of the executable.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::All => "nocrd-all",
            Self::Mcp => "nocrd-mcp",
            Self::Proxy => "nocrd-proxy",
        }
    }
}

/// What to do.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Command {
    /// Run the server.
    Serve(Box<Settings>),
    /// Print what the server's identity may do in the cluster, and exit.
    CheckPermissions(Box<Settings>),
    /// Run the server on an embedded cluster (`nocrd-all dev`).
    Dev(Box<Settings>, DevOptions),
    /// Run the default workspace (`nocrd-all workspace`).
    Workspace(WorkspaceOptions),
    /// Print this text, which ends with a line break, to standard output and exit successfully: help or version.
    Print(String),
}

/// Options of `nocrd-all dev`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DevOptions {
    /// Port of the embedded cluster's API on the loopback address; 0 takes any free one.
    pub api_port: u16,
    /// Where the cluster's objects are kept; in memory when absent.
    pub data_dir: Option<PathBuf>,
    /// Where the kubeconfig is written; a temporary file when absent.
    pub kubeconfig: Option<PathBuf>,
    /// How the processes of pods are confined.
    pub sandbox: Sandbox,
}

/// How the embedded cluster confines the processes of pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sandbox {
    /// With `bwrap` where it works.
    #[default]
    Auto,
    /// With `bwrap`, or not at all.
    Bwrap,
    /// Not.
    None,
}

/// Options of `nocrd-all workspace`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkspaceOptions {
    /// Address to serve on.
    pub addr: SocketAddr,
    /// Directory to serve from.
    pub root: PathBuf,
}

/// Reads the command line (without the program's own name) and the environment.
///
/// # Errors
/// [`Errors`] with everything that is wrong.
pub fn load<I>(binary: Binary, args: I, env: &dyn Lookup) -> Result<Command, Errors>
where
    I: IntoIterator,
    I::Item: Into<OsString>,
{
    let args = args.into_iter().map(Into::into).collect();
    load_all(binary, args, env).map_err(|errors| Errors::new(binary.name(), errors))
}

impl Settings {
    /// The settings of a server that is told everything by `env`, with no command line.
    ///
    /// # Errors
    /// [`Errors`] with everything that is wrong.
    pub fn from_env(env: &dyn Lookup) -> Result<Self, Errors> {
        let binary = Binary::All;
        match load_all(binary, Vec::new(), env).map_err(|errors| Errors::new(binary.name(), errors))? {
            Command::Serve(settings) => Ok(*settings),
            other => Err(Errors::new(binary.name(), vec![Error::usage(format!("not a server: {other:?}"))])),
        }
    }
}

fn load_all(binary: Binary, args: Vec<OsString>, env: &dyn Lookup) -> Result<Command, Vec<Error>> {
    let (line, mut errors) = match args::parse(binary, args) {
        Ok(line) => (line, Vec::new()),
        Err(args::Failure::Print(text)) => return Ok(Command::Print(text)),
        Err(args::Failure::Errors(line, errors)) => (line, errors),
    };
    if line.sub_command == args::SubCommand::Workspace {
        return match args::workspace_options(&line, env) {
            Ok(options) if errors.is_empty() => Ok(Command::Workspace(options)),
            Ok(_) => Err(errors),
            Err(more) => {
                errors.extend(more);
                Err(errors)
            }
        };
    }
    let mut resolver = Resolver::new(&line.flags, env);
    let settings = Settings::resolve(&mut resolver);
    errors.extend(resolver.into_errors());
    let dev = line.sub_command == args::SubCommand::Dev;
    let options = if dev { args::dev_options(&line, &mut errors) } else { None };
    // Rules look at several settings, so they are applied once each of them is valid.
    let Some(mut settings) = settings else { return Err(errors) };
    errors.extend(rules::apply(&mut settings, &Circumstances { binary, dev }));
    if !errors.is_empty() {
        return Err(errors);
    }
    settings.warnings.extend(line.warnings);
    settings.warnings.extend(typo::warnings(&env.names()));
    settings.warnings.extend(empty_secrets(env));
    let settings = Box::new(settings);
    Ok(match options {
        Some(options) => Command::Dev(settings, options),
        None if line.check_permissions => Command::CheckPermissions(settings),
        None => Command::Serve(settings),
    })
}

/// A warning for each secret that is set to nothing. It counts as not set; but a variable that is there was meant to hold
/// something, and what it is filled from may be missing.
fn empty_secrets(env: &dyn Lookup) -> impl Iterator<Item = String> {
    let is_empty = |name: &str| {
        env.get(name).is_some_and(|text| {
            text.trim_matches(|c: char| c.is_whitespace() || "'\"".contains(c)).is_empty()
        })
    };
    let names = TABLE.iter().filter(|row| row.is_secret()).flat_map(|row| row.env.iter().copied());
    names
        .filter(move |name| is_empty(name))
        .map(|name| format!("{name} is set, but there is no secret in it"))
}
