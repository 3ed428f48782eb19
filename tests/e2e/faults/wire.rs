//! An HTTP client that hides nothing: it sends a request once, over the connection it has, and turns to another replica only
//! where nobody accepts its connection.

use std::{io, net::SocketAddr};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
};

/// An answer with its body.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) retry_after: bool,
    /// Whether it told that it is the last on its connection.
    pub(super) is_last: bool,
    pub(super) body: String,
    /// Who gave it.
    pub(super) from: SocketAddr,
}

/// A client with at most one connection.
pub(super) struct Client {
    /// Those that it can ask, the preferred one first.
    replicas: Vec<SocketAddr>,
    connection: Option<(SocketAddr, BufReader<TcpStream>)>,
}

impl Client {
    pub(super) fn of(replicas: Vec<SocketAddr>) -> Self {
        Self { replicas, connection: None }
    }

    /// Sends a request and reads the answer.
    pub(super) async fn ask(&mut self, method: &str, path: &str) -> io::Result<Answer> {
        let (from, mut connection) = match self.connection.take() {
            Some(connection) => connection,
            None => connect(&self.replicas).await?,
        };
        let request =
            format!("{method} {path} HTTP/1.1\r\nHost: {from}\r\nContent-Length: 0\r\nAccept: */*\r\n\r\n");
        connection.write_all(request.as_bytes()).await?;
        let answer = read(&mut connection, from).await?;
        if !answer.is_last {
            self.connection = Some((from, connection));
        }
        Ok(answer)
    }
}

/// A connection to the first replica that accepts one.
pub(super) async fn connect(replicas: &[SocketAddr]) -> io::Result<(SocketAddr, BufReader<TcpStream>)> {
    let mut refused = io::ErrorKind::NotConnected.into();
    for replica in replicas {
        match TcpStream::connect(replica).await {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                return Ok((*replica, BufReader::new(stream)));
            }
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => refused = error,
            Err(error) => return Err(error),
        }
    }
    Err(refused)
}

async fn read(connection: &mut BufReader<TcpStream>, from: SocketAddr) -> io::Result<Answer> {
    let bad = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if connection.read_line(&mut head).await? == 0 {
            let what = format!("the connection ended after {head:?}");
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, what));
        }
    }
    let status = head.get(9..12).and_then(|status| status.parse().ok()).ok_or_else(|| bad(&head))?;
    let head = head.to_ascii_lowercase();
    let field = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let body = match field("content-length:") {
        Some(length) => {
            let mut body = vec![0; length.parse().map_err(|_| bad(&head))?];
            connection.read_exact(&mut body).await?;
            body
        }
        None => return Err(bad(&head)),
    };
    Ok(Answer {
        status,
        retry_after: field("retry-after:").is_some(),
        is_last: field("connection:") == Some("close"),
        body: String::from_utf8_lossy(&body).into_owned(),
        from,
    })
}
