//! What must hold of any text that a stranger writes: the bodies of the targets in `fuzz/`. Compiled for the fuzzer, and for
//! the tests, which run each on its seeds.

mod annotation;
mod header;
mod path;

pub use annotation::annotation;
pub use header::header;
pub use path::path;

/// What is run on a text; it panics when something does not hold.
pub type Target = fn(&[u8]);

/// All of them.
pub const TARGETS: [(&str, Target); 3] = [("annotation", annotation), ("header", header), ("path", path)];

/// One layer of percent-encoding taken off: another decoder than the one under test. What is no escape stays.
fn decoded(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((&byte, after)) = rest.split_first() {
        let digits = after.get(..2).filter(|two| two.iter().all(u8::is_ascii_hexdigit));
        let value = digits.and_then(|two| u8::from_str_radix(std::str::from_utf8(two).ok()?, 16).ok());
        match value.filter(|_| byte == b'%') {
            Some(value) => {
                out.push(value);
                rest = after.get(2..).unwrap_or_default();
            }
            None => {
                out.push(byte);
                rest = after;
            }
        }
    }
    out
}

/// Checks that a path leads nowhere but down, however often it is decoded.
fn assert_climbs_nowhere(path: &[u8]) {
    let mut text = path.to_vec();
    loop {
        assert!(!text.iter().any(|b| *b < 0x20 || *b == 0x7f), "a control character passed");
        for segment in text.split(|b| matches!(b, b'/' | b'\\')) {
            let bare = segment.split(|b| *b == b';').next().unwrap_or_default();
            assert!(bare != b"." && bare != b"..", "a dot segment passed");
        }
        assert!(!text.contains(&b'\\'), "a backslash passed");
        let next = decoded(&text);
        if next == text {
            return;
        }
        text = next;
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn each_holds_on_its_seeds() {
        for (name, target) in super::TARGETS {
            let seeds = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds").join(name);
            let mut count = 0;
            for seed in std::fs::read_dir(&seeds).unwrap() {
                target(&std::fs::read(seed.unwrap().path()).unwrap());
                count += 1;
            }
            assert!(count > 0, "{name} has no seeds");
        }
    }

    #[test]
    fn the_other_decoder_decodes() {
        assert_eq!(super::decoded(b"/a%2fb%zz%2"), b"/a/b%zz%2");
        assert_eq!(super::decoded(b"%252e%"), b"%2e%");
    }
}
