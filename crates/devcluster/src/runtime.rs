//! The seam between the API and whatever runs the pods: the part of a kubelet's own API that the API server calls.
//!
//! Which pods there are, and when one must stop, is no part of it: a runtime watches the store for that.

use std::{pin::Pin, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{future::BoxFuture, stream::BoxStream};
use serde_json::Value;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::mpsc,
};

use crate::status::Status;

/// Runs pods.
#[async_trait]
pub trait Runtime: Send + Sync + 'static {
    /// The log of one container. The API has checked that `options.container` is a container of `pod`.
    ///
    /// # Errors
    /// 400 `BadRequest` while the container has not started (`container "c" in pod "p" is waiting to start: …`), or
    /// when there is no previous run to show (`previous terminated container "c" in pod "p" not found`).
    async fn logs(&self, pod: Arc<Value>, options: LogOptions) -> Result<LogStream, Status>;

    /// Starts a command beside a running container's own. The API has checked that `request.container` is a container
    /// of `pod` and that `request.command` is not empty.
    ///
    /// # Errors
    /// 400 `BadRequest` when the container does not run. A command that can't be started is no error here: it is a
    /// session that ends with [`Exit::Failed`].
    async fn exec(&self, pod: Arc<Value>, request: ExecRequest) -> Result<ExecSession, Status>;
}

/// Which part of a log, and how.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogOptions {
    /// Name of the container.
    pub container: String,
    /// Go on sending what is written, until the container ends.
    pub follow: bool,
    /// The run before the current one.
    pub previous: bool,
    /// Begin each line with the time it was written (RFC 3339, nanoseconds).
    pub timestamps: bool,
    /// Only the last so many lines.
    pub tail_lines: Option<u64>,
    /// Only what was written at or after this instant.
    pub since: Option<jiff::Timestamp>,
    /// At most so many bytes.
    pub limit_bytes: Option<u64>,
}

/// A log as it is read. Dropping it ends the reading.
pub type LogStream = BoxStream<'static, std::io::Result<Bytes>>;

/// A command to run in a container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExecRequest {
    /// Name of the container.
    pub container: String,
    /// Program and arguments.
    pub command: Vec<String>,
    /// Whether the caller sends input.
    pub stdin: bool,
    /// Whether the caller wants the output.
    pub stdout: bool,
    /// Whether the caller wants the error output.
    pub stderr: bool,
    /// Whether to give the command a terminal; its error output then comes with its output.
    pub tty: bool,
}

/// A command as it runs. Dropping the session kills the command.
pub struct ExecSession {
    /// Input, when asked for. Shutting it down is end of file for the command.
    pub stdin: Option<Pin<Box<dyn AsyncWrite + Send>>>,
    /// Output, when asked for. Ends when the command has closed it.
    pub stdout: Option<Pin<Box<dyn AsyncRead + Send>>>,
    /// Error output, when asked for.
    pub stderr: Option<Pin<Box<dyn AsyncRead + Send>>>,
    /// Where new sizes of the caller's terminal go, when there is one.
    pub resize: Option<mpsc::Sender<TerminalSize>>,
    /// How the command ended.
    pub exit: BoxFuture<'static, Exit>,
}

/// Size of a terminal, in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TerminalSize {
    /// Columns.
    pub width: u16,
    /// Rows.
    pub height: u16,
}

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exit {
    /// It ended by itself with this code; killed by signal n counts as 128 + n.
    Code(i32),
    /// It could not be started, or was lost.
    Failed(String),
}

/// A runtime that runs nothing: pods stay as they are written. For tests of clients that play the kubelet themselves.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoRuntime;

#[async_trait]
impl Runtime for NoRuntime {
    async fn logs(&self, _: Arc<Value>, _: LogOptions) -> Result<LogStream, Status> {
        Err(Status::internal("no pods are run here"))
    }

    async fn exec(&self, _: Arc<Value>, _: ExecRequest) -> Result<ExecSession, Status> {
        Err(Status::internal("no pods are run here"))
    }
}
