//! Where frames begin and end (RFC 6455, 5.2), so that a frame of ours can be put between two of theirs.

/// Longest frame header: two bytes, an eight-byte length, a four-byte mask.
const MAX_HEADER: usize = 14;

/// The first two bytes of an unmasked Close frame that holds a status and nothing else.
const CLOSE: [u8; 2] = [0x88, 2];

/// Why a tunnel is closed from here: the status of a Close frame (RFC 6455, 7.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Farewell {
    /// The server ends.
    GoingAway = 1001,
    /// The user's session has ended.
    PolicyViolation = 1008,
}

impl Farewell {
    /// The Close frame as a server sends it.
    pub(super) fn frame(self) -> Vec<u8> {
        let ([opcode, length], [high, low]) = (CLOSE, (self as u16).to_be_bytes());
        vec![opcode, length, high, low]
    }

    /// The same as a client sends it: masked with `mask`, the bytes of which are best unpredictable.
    pub(super) fn masked_frame(self, mask: [u8; 4]) -> Vec<u8> {
        let ([opcode, length], [high, low]) = (CLOSE, (self as u16).to_be_bytes());
        let [a, b, c, d] = mask;
        vec![opcode, 0x80 | length, a, b, c, d, high ^ a, low ^ b]
    }
}

/// Follows one direction of a connection, byte by byte of the headers only.
#[derive(Debug, Clone)]
pub(super) struct Frames {
    header: [u8; MAX_HEADER],
    /// Bytes of the header read so far.
    read: usize,
    /// Bytes of payload still to come.
    payload: u64,
    /// A Close frame has begun: nothing may follow it.
    closed: bool,
}

impl Frames {
    pub(super) fn new() -> Self {
        Self { header: [0; MAX_HEADER], read: 0, payload: 0, closed: false }
    }

    /// Tells whether the last byte seen ended a frame, or none was seen.
    pub(super) fn is_between(&self) -> bool {
        self.read == 0 && self.payload == 0
    }

    /// Tells whether a Close frame was seen.
    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    /// Follows all of `bytes`.
    pub(super) fn follow(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            bytes = self.step(bytes);
        }
    }

    /// Follows `bytes` to the end of the frame in flight, and tells how many bytes that are: none when no frame is.
    pub(super) fn follow_to_end(&mut self, bytes: &[u8]) -> usize {
        let mut rest = bytes;
        while !rest.is_empty() && !self.is_between() {
            rest = self.step(rest);
        }
        bytes.len() - rest.len()
    }

    /// Follows some of `bytes`, at least one, at most to the end of the frame.
    fn step<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        if self.payload > 0 {
            let here = usize::try_from(self.payload).unwrap_or(usize::MAX).min(bytes.len());
            self.payload -= here as u64;
            return bytes.get(here..).unwrap_or_default();
        }
        let Some((byte, rest)) = bytes.split_first() else { return bytes };
        if let Some(slot) = self.header.get_mut(self.read) {
            *slot = *byte;
        }
        self.read += 1;
        if self.read >= 2 && self.read == header_len(self.header) {
            self.closed |= self.header[0] & 0x0f == 8;
            self.payload = payload_len(self.header);
            self.read = 0;
        }
        rest
    }
}

fn header_len(header: [u8; MAX_HEADER]) -> usize {
    let extended = match header[1] & 0x7f {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    let mask = if header[1] & 0x80 == 0 { 0 } else { 4 };
    2 + extended + mask
}

fn payload_len(header: [u8; MAX_HEADER]) -> u64 {
    let [_, length, a, b, c, d, e, f, g, h, ..] = header;
    match length & 0x7f {
        126 => u64::from(u16::from_be_bytes([a, b])),
        127 => u64::from_be_bytes([a, b, c, d, e, f, g, h]),
        short => u64::from(short),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame(opcode: u8, payload: usize, mask: bool) -> Vec<u8> {
        let mut out = vec![0x80 | opcode];
        let bit = if mask { 0x80 } else { 0 };
        match payload {
            0..126 => out.push(bit | payload as u8),
            126..65536 => {
                out.push(bit | 126);
                out.extend((payload as u16).to_be_bytes());
            }
            _ => {
                out.push(bit | 127);
                out.extend((payload as u64).to_be_bytes());
            }
        }
        out.extend(std::iter::repeat_n(0xff, payload + if mask { 4 } else { 0 }));
        out
    }

    #[test]
    fn our_own_frames_are_frames() {
        for bytes in [Farewell::GoingAway.frame(), Farewell::GoingAway.masked_frame([1, 2, 3, 4])] {
            let mut frames = Frames::new();
            frames.follow(&bytes);
            assert!(frames.is_between() && frames.is_closed(), "{bytes:?}");
        }
        assert_eq!(Farewell::GoingAway.masked_frame([1, 2, 3, 4])[6..], [0x03 ^ 1, 0xe9 ^ 2]);
    }

    #[test]
    fn an_empty_frame_ends_with_its_header() {
        let mut frames = Frames::new();
        frames.follow(&frame(1, 0, false)[..1]);
        assert!(!frames.is_between());
        frames.follow(&frame(1, 0, false)[1..]);
        assert!(frames.is_between() && !frames.is_closed());
    }

    #[test]
    fn absurd_lengths_do_not_overflow() {
        let mut frames = Frames::new();
        frames.follow(&[0x82, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 7]);
        assert!(!frames.is_between());
    }

    proptest! {
        #[test]
        fn boundaries_do_not_depend_on_how_the_bytes_arrive(
            sizes in prop::collection::vec((0usize..70_000, any::<bool>()), 1..6),
            cuts in prop::collection::vec(1usize..5000, 0..40),
        ) {
            let all: Vec<Vec<u8>> = sizes.iter().map(|(n, mask)| frame(2, *n, *mask)).collect();
            let ends: Vec<usize> = all.iter().scan(0, |at, f| { *at += f.len(); Some(*at) }).collect();
            let bytes = all.concat();
            let mut frames = Frames::new();
            let (mut at, mut cuts) = (0, cuts.into_iter());
            while at < bytes.len() {
                let next = (at + cuts.next().unwrap_or(bytes.len())).min(bytes.len());
                let mut to_end = frames.clone();
                let stop = at + to_end.follow_to_end(&bytes[at..next]);
                let boundary = ends.iter().copied().chain([0]).filter(|end| *end >= at).min();
                prop_assert_eq!(stop, boundary.unwrap().min(next));
                frames.follow(&bytes[at..next]);
                at = next;
                prop_assert_eq!(frames.is_between(), ends.contains(&at));
            }
        }
    }
}
