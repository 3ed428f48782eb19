//! A client that writes and reads bytes, so that nothing a library does by itself is between it and the proxy.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::soon;

/// An answer, taken apart.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    /// As it was framed: chunks are not put together.
    pub(crate) body: String,
}

impl Answer {
    /// Takes an answer apart.
    pub(crate) fn parse(text: &[u8]) -> Self {
        let text = String::from_utf8_lossy(text).into_owned();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text:?}"));
        let mut lines = head.lines();
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers = lines
            .map(|line| line.split_once(':').unwrap())
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        Self { status, headers, body: body.to_owned() }
    }

    /// The one value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.iter().filter(|(n, _)| n == name).map(|(_, value)| value.as_str());
        let value = values.next();
        assert_eq!(values.next(), None, "{name} twice in {self:?}");
        value
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }
}

/// Sends bytes and gives everything that comes back until the end of the connection.
pub(crate) async fn send_raw(to: SocketAddr, bytes: impl AsRef<[u8]>) -> Vec<u8> {
    soon(async {
        let mut stream = TcpStream::connect(to).await.unwrap();
        // The other side may close before it has read everything.
        let _ = stream.write_all(bytes.as_ref()).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        answer
    })
    .await
}

/// Sends one request on a connection of its own. `headers` are whole lines, without the last line break.
pub(crate) async fn send(to: SocketAddr, request_line: &str, headers: &[&str], body: &str) -> Answer {
    let mut text = format!("{request_line} HTTP/1.1\r\nHost: gw.example\r\nConnection: close\r\n");
    for header in headers {
        text.push_str(header);
        text.push_str("\r\n");
    }
    if !body.is_empty() {
        text.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    text.push_str("\r\n");
    text.push_str(body);
    Answer::parse(&send_raw(to, text).await)
}

/// `GET` with these headers.
pub(crate) async fn get(to: SocketAddr, path: &str, headers: &[&str]) -> Answer {
    send(to, &format!("GET {path}"), headers, "").await
}

/// A connection that is read and written step by step.
pub(crate) struct Wire(pub(crate) TcpStream);

impl Wire {
    pub(crate) async fn connect(to: SocketAddr) -> Self {
        Self(TcpStream::connect(to).await.unwrap())
    }

    pub(crate) async fn write(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.write_all(bytes.as_ref()).await.unwrap();
    }

    /// Reads up to and including `end`.
    pub(crate) async fn read_until(&mut self, end: &[u8]) -> Vec<u8> {
        soon(async {
            let mut all = Vec::new();
            while !all.ends_with(end) {
                match self.0.read_u8().await {
                    Ok(byte) => all.push(byte),
                    Err(error) => panic!("{error} after {:?}", String::from_utf8_lossy(&all)),
                }
            }
            all
        })
        .await
    }

    /// Reads the head of a message.
    pub(crate) async fn read_head(&mut self) -> String {
        String::from_utf8(self.read_until(b"\r\n\r\n").await).unwrap()
    }

    /// Reads as many bytes.
    pub(crate) async fn read(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        soon(self.0.read_exact(&mut bytes)).await.unwrap();
        bytes
    }

    /// Reads to the end of the connection, however that comes.
    pub(crate) async fn read_to_end(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let _ = soon(self.0.read_to_end(&mut bytes)).await;
        bytes
    }
}
