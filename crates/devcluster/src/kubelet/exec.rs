//! Commands that run beside a container's own program, in the same surroundings.

use std::{
    ffi::OsString,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use futures::FutureExt;
use pty_process::{OwnedReadPty, OwnedWritePty, Size};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf},
    process::ChildStdin,
    sync::mpsc,
};

use super::{
    container::Running,
    process::{Process, Spawner},
    sandbox::{Command, StartError},
};
use crate::runtime::{ExecRequest, ExecSession, Exit, TerminalSize};

/// Output of hooks and probes beyond this is dropped.
const MAX_OUTPUT: u64 = 10 << 10;

/// How long output is waited for after the end of a command that left something behind.
const DRAIN: Duration = Duration::from_millis(500);

/// What a terminal sends for the end of input.
const END_OF_TRANSMISSION: u8 = 0x04;

/// How a command that was run to its end came out.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) exit_code: i32,
    /// Output, then error output; cut if it is long.
    pub(super) output: String,
}

impl Running {
    fn command(&self, argv: Vec<OsString>, stdin: bool) -> Command {
        Command { argv, env: self.env.clone(), cwd: self.cwd.clone(), stdin }
    }
}

/// Runs a command to its end. It is killed when the future is dropped. An error says why it can't be started.
pub(super) async fn run_to_end(
    spawner: &Spawner,
    running: &Arc<Running>,
    argv: Vec<OsString>,
) -> Result<Outcome, String> {
    let launch = running
        .room
        .launch_beside(running.leader, &running.command(argv, false), false)
        .map_err(|error| error.to_string())?;
    let mut process = spawner.spawn(launch).await.map_err(|error| error.to_string())?;
    process.settle().await;
    let (stdout, stderr) = process.take_output();
    let output = async {
        let (out, err) = tokio::join!(start_of(stdout), start_of(stderr));
        [out, err].concat()
    };
    let exit_code = ends(&mut process, running);
    // A command may leave something behind that holds its output open: the end of the command is what counts.
    tokio::pin!(output, exit_code);
    let (exit_code, output) = tokio::select! {
        output = &mut output => (exit_code.await, output),
        code = &mut exit_code => (code, tokio::time::timeout(DRAIN, output).await.unwrap_or_default()),
    };
    Ok(Outcome { exit_code, output: String::from_utf8_lossy(&output).into_owned() })
}

/// The first part of an output; the rest is read and dropped, so that nobody has to wait to write it.
async fn start_of(source: Option<impl AsyncRead + Unpin>) -> Vec<u8> {
    let mut start = Vec::new();
    if let Some(source) = source {
        let mut source = source.take(MAX_OUTPUT);
        let _ = source.read_to_end(&mut start).await;
        let _ = tokio::io::copy(&mut source.into_inner(), &mut tokio::io::sink()).await;
    }
    start
}

/// Waits for the end of a command, which is at the latest the end of the container.
async fn ends(process: &mut Process, running: &Running) -> i32 {
    tokio::select! {
        biased;
        code = process.wait() => {
            process.clear().await;
            code
        }
        () = running.ended.cancelled() => process.end().await,
    }
}

/// Starts a command for a client.
pub(super) async fn session(spawner: &Spawner, running: Arc<Running>, request: &ExecRequest) -> ExecSession {
    let argv: Vec<OsString> = request.command.iter().map(Into::into).collect();
    match start(spawner, running, argv, request).await {
        Ok(session) => session,
        Err(why) => ExecSession {
            stdin: None,
            stdout: None,
            stderr: None,
            resize: None,
            exit: std::future::ready(Exit::Failed(format!("unable to start container process: {why}")))
                .boxed(),
        },
    }
}

async fn start(
    spawner: &Spawner,
    running: Arc<Running>,
    argv: Vec<OsString>,
    request: &ExecRequest,
) -> Result<ExecSession, StartError> {
    let program = argv.first().cloned().unwrap_or_default();
    let fail = |error: io::Error| StartError::new(&program, error.to_string());
    let launch =
        running.room.launch_beside(running.leader, &running.command(argv, request.stdin), request.tty)?;
    if request.tty {
        let (mut process, pty) = spawner.spawn_on_terminal(launch).await.map_err(fail)?;
        process.settle().await;
        let (output, input) = pty.into_split();
        let (stdin, typed) = tokio::io::duplex(8 << 10);
        let (resize, sizes) = mpsc::channel(4);
        let typing = tokio::spawn(feed_terminal(input, typed, sizes));
        let exit = async move {
            let code = ends(&mut process, &running).await;
            typing.abort();
            Exit::Code(code)
        };
        return Ok(ExecSession {
            stdin: request.stdin.then(|| Box::pin(stdin) as _),
            stdout: Some(Box::pin(TerminalOutput(output))),
            stderr: None,
            resize: Some(resize),
            exit: exit.boxed(),
        });
    }
    let mut process = spawner.spawn(launch).await.map_err(fail)?;
    process.settle().await;
    let stdin = process.take_stdin().map(|stdin| Box::pin(Input(Some(stdin))) as _);
    let (stdout, stderr) = process.take_output();
    Ok(ExecSession {
        stdin,
        stdout: stdout.and_then(|stdout| wanted(request.stdout, stdout)),
        stderr: stderr.and_then(|stderr| wanted(request.stderr, stderr)),
        resize: None,
        exit: async move { Exit::Code(ends(&mut process, &running).await) }.boxed(),
    })
}

/// An output, if it is wanted. One that isn't is read all the same: the command shall not have to wait to write it.
fn wanted(
    is_wanted: bool,
    source: impl AsyncRead + Send + Unpin + 'static,
) -> Option<Pin<Box<dyn AsyncRead + Send>>> {
    if is_wanted {
        return Some(Box::pin(source));
    }
    tokio::spawn(async move {
        let mut source = source;
        let _ = tokio::io::copy(&mut source, &mut tokio::io::sink()).await;
    });
    None
}

/// Types what a client sends into a terminal, and gives it the client's size.
async fn feed_terminal(
    mut terminal: OwnedWritePty,
    mut typed: DuplexStream,
    mut sizes: mpsc::Receiver<TerminalSize>,
) {
    let mut buffer = vec![0; 4 << 10];
    let mut is_open = true;
    loop {
        tokio::select! {
            Some(size) = sizes.recv() => {
                if let Err(error) = terminal.resize(Size::new(size.height, size.width)) {
                    tracing::debug!(%error, "a terminal was not resized");
                }
            }
            read = typed.read(&mut buffer), if is_open => {
                let written = match read {
                    Ok(0) | Err(_) => {
                        is_open = false;
                        terminal.write_all(&[END_OF_TRANSMISSION]).await
                    }
                    Ok(count) => terminal.write_all(buffer.get(..count).unwrap_or_default()).await,
                };
                if written.is_err() {
                    return;
                }
            }
            else => return,
        }
    }
}

/// What a terminal shows. When the last program has closed it, reading fails; that is its end.
struct TerminalOutput(OwnedReadPty);

impl AsyncRead for TerminalOutput {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match ready!(Pin::new(&mut self.0).poll_read(cx, buf)) {
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error()) => {
                Poll::Ready(Ok(()))
            }
            other => Poll::Ready(other),
        }
    }
}

/// A pipe that is closed when it is shut down, not only when it is dropped.
struct Input(Option<ChildStdin>);

impl AsyncWrite for Input {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.0 {
            Some(pipe) => Pin::new(pipe).poll_write(cx, data),
            None => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.0 {
            Some(pipe) => Pin::new(pipe).poll_flush(cx),
            None => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0 = None;
        Poll::Ready(Ok(()))
    }
}
