//! Standard input and output: one client, who is the local user.

use std::io;

use nocrd_model::Caller;
use rmcp::{
    RoleServer,
    service::{QuitReason, ServerInitializeError, serve_server_with_ct},
    transport::{async_rw::AsyncRwTransport, io::stdio_pipes},
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;

use crate::Surface;

/// Longest message, in bytes.
const MAX_MESSAGE_BYTES: usize = 4 * 1024 * 1024;

/// Serves the client behind standard input and output until input ends or `shutdown` is cancelled. Nothing but
/// protocol is written to standard output.
///
/// Where standard input is not a pipe, a read from it can't be interrupted: after `shutdown` the runtime should be
/// left with [`tokio::runtime::Runtime::shutdown_background`].
///
/// # Errors
/// When the client does not speak the protocol.
pub async fn serve_stdio(surface: Surface, caller: Caller, shutdown: CancellationToken) -> io::Result<()> {
    let (input, output) = stdio_pipes();
    serve_io(surface, caller, input, output, shutdown).await
}

/// Likewise over any pair of streams: one JSON-RPC message per line.
///
/// # Errors
/// When the client does not speak the protocol.
pub async fn serve_io(
    surface: Surface,
    caller: Caller,
    input: impl AsyncRead + Send + Unpin + 'static,
    output: impl AsyncWrite + Send + Unpin + 'static,
    shutdown: CancellationToken,
) -> io::Result<()> {
    let transport =
        AsyncRwTransport::<RoleServer, _, _>::new(input, output).with_max_line_length(MAX_MESSAGE_BYTES);
    let surface = surface.for_session(None).for_caller(caller);
    let service = match serve_server_with_ct(surface, transport, shutdown).await {
        Ok(service) => service,
        // A client that leaves before it has said anything has done nothing wrong.
        Err(ServerInitializeError::ConnectionClosed(_) | ServerInitializeError::Cancelled) => return Ok(()),
        Err(error) => return Err(io::Error::other(error)),
    };
    match service.waiting().await {
        Ok(QuitReason::JoinError(error)) | Err(error) => Err(io::Error::other(error)),
        Ok(_) => Ok(()),
    }
}
