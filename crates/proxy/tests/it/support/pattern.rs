//! A body whose every byte tells where it stands: nothing can be lost, doubled or swapped without being seen.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::OnceLock,
    task::{Context, Poll},
};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};

use http_body_util::BodyExt as _;

/// The pattern begins again after as many bytes: a prime, which no size of a buffer goes into.
const PERIOD: u64 = 65_521;
/// Most bytes at a time.
const PIECE: u64 = 40_000;

fn table() -> &'static Bytes {
    static TABLE: OnceLock<Bytes> = OnceLock::new();
    TABLE.get_or_init(|| {
        let mut state = 1_u32;
        let byte = |n: u64| {
            if n.is_multiple_of(PERIOD) {
                state = 1;
            }
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        (0..PERIOD + PIECE).map(byte).collect::<Vec<_>>().into()
    })
}

/// Some bytes from `at` on, at most `most`.
fn piece(at: u64, most: u64) -> Bytes {
    let start = (at % PERIOD) as usize;
    table().slice(start..start + most.min(PIECE) as usize)
}

/// The first `size` bytes.
pub(crate) fn bytes(size: u64) -> Vec<u8> {
    let mut all = Vec::new();
    while (all.len() as u64) < size {
        all.extend(piece(all.len() as u64, size - all.len() as u64));
    }
    all
}

/// A body of `size` bytes of the pattern.
pub(crate) struct Pattern {
    at: u64,
    size: u64,
    /// Whether it tells its length beforehand.
    sized: bool,
}

impl Pattern {
    pub(crate) fn new(size: u64, sized: bool) -> Self {
        Self { at: 0, size, sized }
    }
}

impl Body for Pattern {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let piece = piece(self.at, self.size - self.at);
        self.at += piece.len() as u64;
        Poll::Ready((!piece.is_empty()).then(|| Ok(Frame::data(piece))))
    }

    fn size_hint(&self) -> SizeHint {
        if self.sized { SizeHint::with_exact(self.size - self.at) } else { SizeHint::default() }
    }
}

/// Reads a body to its end: it must be the pattern. Its size.
pub(crate) async fn verify(mut body: Incoming) -> u64 {
    let mut at = 0;
    while let Some(frame) = body.frame().await {
        let Ok(mut data) = frame.unwrap().into_data() else { continue };
        while !data.is_empty() {
            let expected = piece(at, data.len() as u64);
            assert!(data.split_to(expected.len()) == expected, "other bytes at {at}");
            at += expected.len() as u64;
        }
    }
    at
}
