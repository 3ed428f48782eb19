//! The program in the pod, and what it and the client say to each other.

use std::{
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    thread,
};

use super::pattern::Pattern;

/// How a body's end is told.
#[derive(Clone, Copy, Debug)]
pub(super) enum Framing {
    None,
    Sized(u64),
    /// In chunks; the size is for those who make it.
    Chunked(u64),
}

/// The head of a message.
pub(super) struct Head {
    pub(super) line: String,
    pub(super) framing: Framing,
}

/// Reads a head; `None` at the end of the connection.
pub(super) fn read_head(read: &mut impl BufRead) -> Option<Head> {
    let mut line = String::new();
    if read.read_line(&mut line).ok()? == 0 {
        return None;
    }
    let mut framing = Framing::None;
    loop {
        let mut header = String::new();
        read.read_line(&mut header).ok()?;
        let header = header.trim_end().to_ascii_lowercase();
        match header.split_once(": ") {
            Some(("content-length", size)) => framing = Framing::Sized(size.parse().unwrap()),
            Some(("transfer-encoding", "chunked")) => framing = Framing::Chunked(0),
            Some(_) => {}
            None => return Some(Head { line: line.trim_end().to_owned(), framing }),
        }
    }
}

impl Framing {
    pub(super) fn header(self) -> String {
        match self {
            Self::None => String::new(),
            Self::Sized(size) => format!("Content-Length: {size}\r\n"),
            Self::Chunked(_) => "Transfer-Encoding: chunked\r\n".to_owned(),
        }
    }

    pub(super) fn size(self) -> u64 {
        match self {
            Self::None => 0,
            Self::Sized(size) | Self::Chunked(size) => size,
        }
    }

    /// Writes a body of the pattern.
    pub(super) fn write(self, to: &mut impl Write) {
        let (mut pattern, size) = (Pattern::default(), self.size());
        while pattern.at() < size {
            self.write_piece(to, pattern.next(size - pattern.at()));
        }
        self.write_end(to);
    }

    fn write_piece(self, to: &mut impl Write, piece: &[u8]) {
        if let Self::Chunked(_) = self {
            write!(to, "{:x}\r\n", piece.len()).unwrap();
        }
        to.write_all(piece).unwrap();
        if let Self::Chunked(_) = self {
            to.write_all(b"\r\n").unwrap();
        }
    }

    fn write_end(self, to: &mut impl Write) {
        if let Self::Chunked(_) = self {
            to.write_all(b"0\r\n\r\n").unwrap();
        }
    }

    /// Reads a body to its end.
    pub(super) fn read(self, from: &mut impl BufRead, mut take: impl FnMut(&[u8])) {
        let mut pass = |from: &mut dyn BufRead, mut size: u64| {
            while size > 0 {
                let here = from.fill_buf().unwrap();
                let length = here.len().min(usize::try_from(size).unwrap());
                assert!(length > 0, "the body breaks off");
                take(&here[..length]);
                from.consume(length);
                size -= length as u64;
            }
        };
        match self {
            Self::None => {}
            Self::Sized(size) => pass(from, size),
            Self::Chunked(_) => loop {
                let mut line = String::new();
                from.read_line(&mut line).unwrap();
                let size = u64::from_str_radix(line.trim_end(), 16).unwrap();
                pass(from, size);
                from.read_exact(&mut [0; 2]).unwrap();
                if size == 0 {
                    return;
                }
            },
        }
    }
}

/// Serves at this address for as long as the test runs: `GET /sized/<bytes>`, `GET /chunked/<bytes>`, `POST /count` and
/// `POST /echo`.
pub(super) fn listen(at: SocketAddr) {
    let listener = TcpListener::bind(at).unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            thread::spawn(move || serve(stream.unwrap()));
        }
    });
}

fn serve(stream: TcpStream) {
    stream.set_nodelay(true).unwrap();
    let mut write = stream.try_clone().unwrap();
    let mut read = BufReader::with_capacity(1 << 16, stream);
    while let Some(head) = read_head(&mut read) {
        let target = head.line.split(' ').nth(1).unwrap();
        let (what, size) = target.trim_start_matches('/').split_once('/').unwrap_or((&target[1..], "0"));
        let size = size.parse().unwrap();
        let ok = "HTTP/1.1 200 OK\r\n";
        match what {
            "sized" | "chunked" => {
                let framing = if what == "sized" { Framing::Sized(size) } else { Framing::Chunked(size) };
                write!(write, "{ok}{}\r\n", framing.header()).unwrap();
                framing.write(&mut write);
            }
            "count" => {
                let mut seen = Pattern::default();
                head.framing.read(&mut read, |bytes| seen.verify(bytes));
                let told = seen.at().to_string();
                write!(write, "{ok}Content-Length: {}\r\n\r\n{told}", told.len()).unwrap();
            }
            _ => {
                write!(write, "{ok}{}\r\n", head.framing.header()).unwrap();
                head.framing.read(&mut read, |bytes| head.framing.write_piece(&mut write, bytes));
                head.framing.write_end(&mut write);
            }
        }
    }
}
