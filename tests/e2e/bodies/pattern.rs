//! Bytes that tell where they stand, cheap to make and to check: nothing can be lost, doubled or swapped unseen.

use std::sync::OnceLock;

/// The pattern begins again after as many bytes: a prime, which no size of a buffer goes into.
const PERIOD: usize = 65_521;
/// Most bytes at a time.
const PIECE: usize = 64 << 10;

fn table() -> &'static [u8] {
    static TABLE: OnceLock<Vec<u8>> = OnceLock::new();
    TABLE.get_or_init(|| {
        let next = |state: &u32| Some(state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223));
        let period: Vec<u8> =
            std::iter::successors(Some(1), next).map(|state| (state >> 24) as u8).take(PERIOD).collect();
        period.iter().copied().cycle().take(PERIOD + PIECE).collect()
    })
}

/// A place in the pattern.
#[derive(Default)]
pub(super) struct Pattern {
    at: u64,
}

impl Pattern {
    pub(super) fn at(&self) -> u64 {
        self.at
    }

    /// Some bytes from here on, at most `most`.
    pub(super) fn next(&mut self, most: u64) -> &'static [u8] {
        let start = (self.at % PERIOD as u64) as usize;
        let length = most.min(PIECE as u64);
        self.at += length;
        &table()[start..start + length as usize]
    }

    /// Checks that these bytes come next.
    pub(super) fn verify(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let expected = self.next(bytes.len() as u64);
            let (here, rest) = bytes.split_at(expected.len());
            assert!(here == expected, "other bytes before {}", self.at);
            bytes = rest;
        }
    }
}
