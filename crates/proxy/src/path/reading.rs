//! The ways in which programs read one path.

/// Most layers of percent-encoding that are taken off before the path is refused.
const MAX_DEPTH: usize = 8;

/// Why a path is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// `.` or `..` as a segment, encoded or with parameters.
    #[error("the path holds a dot segment")]
    DotSegment,
    /// A backslash, which some programs take for a slash.
    #[error("the path holds a backslash")]
    Backslash,
    /// A control character.
    #[error("the path holds a control character")]
    Control,
    /// `%` without two hexadecimal digits.
    #[error("the path holds a malformed percent-encoding")]
    BadEscape,
    /// Bytes that are no UTF-8, for example an overlong form.
    #[error("the path is not UTF-8")]
    NotUtf8,
    /// More layers of percent-encoding than anybody needs.
    #[error("the path is percent-encoded many times over")]
    TooDeep,
    /// Another API of the workspace would be reached by a program that reads the path more leniently.
    #[error("the path could be read as that of another API of the workspace")]
    Ambiguous,
}

/// Reads `path` as leniently as any program might: all percent-encoding taken off, slashes merged, the parameters of
/// each segment dropped, no slash at the end. `None` when that is the path as written, or as written without its last
/// slash.
///
/// # Errors
/// The [`Problem`] that some reading of the path has, from the literal to the most lenient one.
pub fn lenient(path: &str) -> Result<Option<String>, Problem> {
    if is_plain(path.as_bytes()) {
        return Ok(None);
    }
    check_escapes(path.as_bytes())?;
    let mut text = path.to_owned();
    for _ in 0..=MAX_DEPTH {
        check_reading(&text)?;
        match decode(text.as_bytes()) {
            Some(decoded) => text = String::from_utf8(decoded).map_err(|_| Problem::NotUtf8)?,
            None => return Ok(Some(normal(&text))),
        }
    }
    Err(Problem::TooDeep)
}

/// Tells whether no program can read the path differently: nothing encoded, no parameters, no empty segment but the
/// last, no segment beginning with a dot.
fn is_plain(path: &[u8]) -> bool {
    let mut previous = 0;
    for &byte in path {
        match byte {
            b'%' | b';' | b'\\' | 0..0x20 | 0x7f => return false,
            b'/' | b'.' if previous == b'/' => return false,
            _ => previous = byte,
        }
    }
    // A path that is one bare segment has no slash in front of its dot.
    path.first() != Some(&b'.')
}

fn hex(byte: Option<&u8>) -> Option<u8> {
    let digit = char::from(*byte?).to_digit(16)?;
    u8::try_from(digit).ok()
}

/// The byte that `%xx` at `at` stands for.
fn escape_at(path: &[u8], at: usize) -> Option<u8> {
    if path.get(at) != Some(&b'%') {
        return None;
    }
    Some(hex(path.get(at + 1))? << 4 | hex(path.get(at + 2))?)
}

fn check_escapes(path: &[u8]) -> Result<(), Problem> {
    let sound = path.iter().enumerate().all(|(at, byte)| *byte != b'%' || escape_at(path, at).is_some());
    if sound { Ok(()) } else { Err(Problem::BadEscape) }
}

/// Takes off one layer of percent-encoding; `None` when there is none.
fn decode(path: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(path.len());
    let (mut at, mut found) = (0, false);
    while let Some(&byte) = path.get(at) {
        match escape_at(path, at) {
            Some(decoded) => {
                out.push(decoded);
                found = true;
                at += 3;
            }
            None => {
                out.push(byte);
                at += 1;
            }
        }
    }
    found.then_some(out)
}

fn check_reading(path: &str) -> Result<(), Problem> {
    for byte in path.bytes() {
        match byte {
            b'\\' => return Err(Problem::Backslash),
            0..0x20 | 0x7f => return Err(Problem::Control),
            _ => {}
        }
    }
    if path.split('/').any(|segment| matches!(without_parameters(segment), "." | "..")) {
        return Err(Problem::DotSegment);
    }
    Ok(())
}

fn without_parameters(segment: &str) -> &str {
    segment.split(';').next().unwrap_or_default()
}

fn normal(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for segment in path.split('/').map(without_parameters).filter(|segment| !segment.is_empty()) {
        out.push('/');
        out.push_str(segment);
    }
    out
}
