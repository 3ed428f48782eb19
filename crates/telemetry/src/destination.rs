//! Where log lines go.

use std::{
    fs::{File, OpenOptions},
    io::{self, IsTerminal},
    path::PathBuf,
    sync::Mutex,
};

use tracing_subscriber::fmt::{MakeWriter, writer::BoxMakeWriter, writer::MakeWriterExt};

use crate::Error;

/// Where log lines go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// This file, appended to.
    File(PathBuf),
    /// Standard error and this file.
    StderrAndFile(PathBuf),
}

impl Destination {
    /// The destination for a server: never standard output when that carries the MCP protocol. There the lines go to the
    /// file when one is named, because clients mix up standard error of several servers; elsewhere to both, because a
    /// container's lines are collected from standard error.
    #[must_use]
    pub fn of_server(stdout_is_protocol: bool, file: Option<PathBuf>) -> Self {
        match file {
            None => Self::Stderr,
            Some(path) if stdout_is_protocol => Self::File(path),
            Some(path) => Self::StderrAndFile(path),
        }
    }

    /// Whether lines go to a terminal and nowhere else, so that colours are in place.
    pub(crate) fn is_terminal(&self) -> bool {
        match self {
            Self::Stdout => io::stdout().is_terminal(),
            Self::Stderr => io::stderr().is_terminal(),
            Self::File(_) | Self::StderrAndFile(_) => false,
        }
    }

    pub(crate) fn open(&self) -> Result<BoxMakeWriter, Error> {
        Ok(match self {
            Self::Stdout => BoxMakeWriter::new(io::stdout),
            Self::Stderr => BoxMakeWriter::new(io::stderr),
            Self::File(path) => BoxMakeWriter::new(append(path)?),
            Self::StderrAndFile(path) => BoxMakeWriter::new(io::stderr.and(append(path)?)),
        })
    }
}

fn append(path: &PathBuf) -> Result<impl for<'a> MakeWriter<'a> + Send + Sync + 'static, Error> {
    let file: File = OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .map_err(|source| Error::OpenFile { setting: "LOG_FILE", path: path.clone(), source })?;
    Ok(Mutex::new(file))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t65_a_stdio_server_never_logs_to_standard_output() {
        for file in [None, Some(PathBuf::from("x.log"))] {
            for stdout_is_protocol in [true, false] {
                assert_ne!(Destination::of_server(stdout_is_protocol, file.clone()), Destination::Stdout);
            }
        }
        assert_eq!(Destination::of_server(true, None), Destination::Stderr);
        assert_eq!(Destination::of_server(true, Some("x".into())), Destination::File("x".into()));
        assert_eq!(Destination::of_server(false, Some("x".into())), Destination::StderrAndFile("x".into()));
    }

    #[test]
    fn a_file_that_cannot_be_opened_is_named() {
        let error = Destination::File("/nonexistent/x.log".into()).open().err().unwrap();
        assert!(error.to_string().contains("/nonexistent/x.log"), "{error}");
        assert_eq!(error.code().id, "NCR0903");
    }
}
