//! What to tell a client that speaks HTTP to an HTTPS port.

use std::{io, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// First byte of a TLS connection: a handshake record (RFC 8446, 5.1).
const HANDSHAKE: u8 = 22;
/// How long the client is given to read the answer.
const LINGER: Duration = Duration::from_secs(1);

const ANSWER: &[u8] = b"HTTP/1.1 400 Bad Request\r\n\
    Content-Type: text/plain; charset=utf-8\r\n\
    Content-Length: 49\r\n\
    Connection: close\r\n\
    \r\n\
    This port speaks HTTPS: use https:// in the URL.\n";

/// Whether what arrives on the connection begins like TLS; `false` also when nothing arrives.
pub(super) async fn begins_like_tls(stream: &TcpStream) -> io::Result<bool> {
    let mut first = [0];
    Ok(stream.peek(&mut first).await? == 1 && first == [HANDSHAKE])
}

/// Answers a plain request, whatever it is, and closes the connection so that the answer arrives.
pub(super) async fn refuse(mut stream: TcpStream) -> io::Result<()> {
    stream.write_all(ANSWER).await?;
    stream.shutdown().await?;
    // Closing with unread bytes resets the connection, and the client may lose the answer.
    let drain = async {
        let mut rest = [0; 1024];
        while stream.read(&mut rest).await.is_ok_and(|read| read > 0) {}
    };
    drop(timeout(LINGER, drain).await);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_is_as_long_as_it_says() {
        let text = std::str::from_utf8(ANSWER).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())), "{}", body.len());
    }
}
