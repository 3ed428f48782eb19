//! The values of a form: as a browser sends them, and as they are kept.

use std::collections::BTreeMap;

use percent_encoding::percent_decode_str;

/// Most bytes of all names and values together: sealed, they must be no longer than what is opened again.
const MAX_BYTES: usize = 40 * 1024;

/// What is wrong with a form. It never holds a value.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Problem {
    /// The field, by its place; `None` when it is none alone.
    pub(super) field: Option<usize>,
    pub(super) text: &'static str,
}

/// Reads the values of `names` from a form (`application/x-www-form-urlencoded`). Whatever else it holds is ignored.
pub(super) fn read(body: &[u8], names: &[String]) -> Result<BTreeMap<String, String>, Vec<Problem>> {
    let pairs: Vec<(Option<String>, Option<String>)> = body
        .split(|byte| *byte == b'&')
        .map(|pair| {
            let at = pair.iter().position(|byte| *byte == b'=').unwrap_or(pair.len());
            let (name, value) = pair.split_at(at);
            (decoded(name), decoded(value.get(1..).unwrap_or_default()))
        })
        .collect();
    let (mut values, mut problems) = (BTreeMap::new(), Vec::new());
    for (field, name) in names.iter().enumerate() {
        let mut found = pairs.iter().filter(|(key, _)| key.as_ref() == Some(name)).map(|(_, value)| value);
        let text = match (found.next(), found.next()) {
            (_, Some(_)) => "there is more than one value",
            (None, None) => "give a value",
            (Some(None), None) => "the value is no text in UTF-8",
            (Some(Some(value)), None) if value.is_empty() => "give a value",
            (Some(Some(value)), None) if value.contains('\0') => {
                "the value holds a NUL character, which no environment variable can"
            }
            (Some(Some(value)), None) => {
                values.insert(name.clone(), value.clone());
                continue;
            }
        };
        problems.push(Problem { field: Some(field), text });
    }
    let bytes: usize = values.iter().map(|(name, value)| name.len() + value.len() + 2).sum();
    if bytes > MAX_BYTES {
        problems.push(Problem {
            field: None,
            text: "the values are too long: 40 KiB is the most for all together",
        });
    }
    if problems.is_empty() { Ok(values) } else { Err(problems) }
}

fn decoded(text: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(text).ok()?.replace('+', " ");
    percent_decode_str(&text).decode_utf8().ok().map(std::borrow::Cow::into_owned)
}

/// The values in few bytes. None of them, and no name, holds a NUL.
pub(super) fn pack(values: &BTreeMap<String, String>) -> Vec<u8> {
    let mut packed = Vec::new();
    for text in values.iter().flat_map(|(name, value)| [name, value]) {
        packed.extend_from_slice(text.as_bytes());
        packed.push(0);
    }
    packed
}

/// What [`pack`] made.
pub(super) fn unpack(packed: &[u8]) -> Option<BTreeMap<String, String>> {
    let mut texts = std::str::from_utf8(packed).ok()?.split_terminator('\0');
    let mut values = BTreeMap::new();
    while let Some(name) = texts.next() {
        values.insert(name.to_owned(), texts.next()?.to_owned());
    }
    Some(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn problems(body: &str) -> Vec<(Option<usize>, &'static str)> {
        let problems = read(body.as_bytes(), &names(&["A", "B c"])).unwrap_err();
        problems.into_iter().map(|problem| (problem.field, problem.text)).collect()
    }

    #[test]
    fn reads_what_was_asked_for_and_nothing_else() {
        let body = "A=x%3D%26+%2B%C3%A4&EVIL=1&B+c=a=b%0Ac&=&&";
        let values = read(body.as_bytes(), &names(&["A", "B c"])).unwrap();
        assert_eq!(values, [("A", "x=& +ä"), ("B c", "a=b\nc")].map(|(k, v)| (k.into(), v.into())).into());
        assert_eq!(unpack(&pack(&values)), Some(values));
        assert_eq!(unpack(b"A\0"), None);
        assert_eq!(unpack(b"A\0\0"), Some([("A".to_owned(), String::new())].into()));
    }

    #[test]
    fn says_what_is_wrong_where() {
        assert_eq!(problems(""), [(Some(0), "give a value"), (Some(1), "give a value")]);
        assert_eq!(problems("A=&B+c=x"), [(Some(0), "give a value")]);
        assert_eq!(problems("A=1&A=2&B+c=x"), [(Some(0), "there is more than one value")]);
        assert_eq!(problems("a=1&B+c=x"), [(Some(0), "give a value")]);
        assert!(problems("A=a%00b&B+c=x")[0].1.contains("NUL"));
        assert!(problems("A=%FF&B+c=x")[0].1.contains("UTF-8"));
        let long = "x".repeat(MAX_BYTES);
        assert_eq!(problems(&format!("A={long}&B+c=x"))[0].0, None);
    }
}
