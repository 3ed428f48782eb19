//! Field selectors: `metadata.name=a,status.phase!=Running`.

use std::fmt;

use super::{SelectorError, check_len, check_terms};

/// A conjunction of comparisons; without any it selects everything. Which fields there are depends on the kind of
/// object, so that is for whoever evaluates it to check ([`FieldSelector::unknown`]).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FieldSelector {
    terms: Vec<FieldTerm>,
}

/// One comparison.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct FieldTerm {
    /// The field's path, as in `status.phase`.
    pub field: String,
    /// Whether the field is to have the value, rather than not to have it.
    pub equal: bool,
    /// The value, without escapes.
    pub value: String,
}

impl FieldSelector {
    /// Parses a selector: comparisons by `=`, `==` or `!=`, separated by commas, where `\` takes `\`, `,` and `=` as they
    /// are. Empty parts count for nothing.
    ///
    /// # Errors
    /// What is wrong with it and where; also when it is longer than [`MAX_LEN`](super::MAX_LEN) or has more than
    /// [`MAX_TERMS`](super::MAX_TERMS) terms.
    pub fn parse(text: &str) -> Result<Self, SelectorError> {
        check_len(text)?;
        let mut terms = Vec::new();
        for (at, part) in split(text) {
            if part.is_empty() {
                continue;
            }
            check_terms(terms.len() + 1, at)?;
            let (field, value_at, value, equal) = comparison(part).ok_or_else(|| {
                SelectorError::new(at, format!("invalid selector: '{text}'; can't understand '{part}'"))
            })?;
            let value = unescape(at + value_at, value)?;
            terms.push(FieldTerm { field: field.to_owned(), equal, value });
        }
        Ok(Self { terms })
    }

    /// Whether it selects everything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }

    /// The comparisons, all of which must hold.
    #[must_use]
    pub fn terms(&self) -> &[FieldTerm] {
        &self.terms
    }

    /// The first field that is none of `known`.
    #[must_use]
    pub fn unknown(&self, known: &[&str]) -> Option<&str> {
        self.terms.iter().map(|term| term.field.as_str()).find(|field| !known.contains(field))
    }

    /// Whether it selects the object whose fields `field` tells. What is absent is the empty text.
    pub fn matches<T: AsRef<str>>(&self, field: impl Fn(&str) -> Option<T>) -> bool {
        self.terms.iter().all(|term| {
            let found = field(&term.field);
            (found.as_ref().map_or("", AsRef::as_ref) == term.value) == term.equal
        })
    }
}

/// In the canonical form, which reads back as the same selector.
impl fmt::Display for FieldSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, term) in self.terms.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            let operator = if term.equal { "=" } else { "!=" };
            write!(f, "{comma}{}{operator}", term.field)?;
            for c in term.value.chars() {
                if matches!(c, '\\' | ',' | '=') {
                    f.write_str("\\")?;
                }
                write!(f, "{c}")?;
            }
        }
        Ok(())
    }
}

/// Splits at commas that aren't escaped, and tells where each part begins.
fn split(text: &str) -> Vec<(usize, &str)> {
    let mut parts = Vec::new();
    let (mut start, mut escaped) = (0, false);
    for (at, c) in text.char_indices() {
        if c == ',' && !escaped {
            parts.push((start, text.get(start..at).unwrap_or_default()));
            start = at + 1;
        }
        escaped = c == '\\' && !escaped;
    }
    parts.push((start, text.get(start..).unwrap_or_default()));
    parts
}

/// Field, where the value begins, the value, and whether they are to be equal. The first operator counts.
fn comparison(part: &str) -> Option<(&str, usize, &str, bool)> {
    part.char_indices().find_map(|(at, _)| {
        let (field, rest) = part.split_at(at);
        let operators = [("!=", false), ("==", true), ("=", true)];
        let (operator, equal) = operators.into_iter().find(|(operator, _)| rest.starts_with(operator))?;
        let value_at = at + operator.len();
        Some((field, value_at, part.get(value_at..)?, equal))
    })
}

fn unescape(start: usize, value: &str) -> Result<String, SelectorError> {
    let mut text = String::new();
    let mut chars = value.char_indices();
    while let Some((at, c)) = chars.next() {
        let at = start + at;
        let c = match c {
            '\\' => match chars.next() {
                Some((_, c @ ('\\' | ',' | '='))) => c,
                other => {
                    let sequence: String = ['\\'].into_iter().chain(other.map(|(_, c)| c)).collect();
                    let message = format!("invalid field selector: invalid escape sequence: {sequence}");
                    return Err(SelectorError::new(at, message));
                }
            },
            '=' | ',' => {
                let message = format!("invalid field selector: unescaped character in value: '{c}'");
                return Err(SelectorError::new(at, message));
            }
            c => c,
        };
        text.push(c);
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::selector::{MAX_LEN, MAX_TERMS};

    fn phase_is_running(field: &str) -> Option<&'static str> {
        match field {
            "status.phase" => Some("Running"),
            "metadata.name" => Some("a,b=c\\"),
            _ => None,
        }
    }

    #[test]
    fn comparisons() {
        let selects = |text: &str| FieldSelector::parse(text).unwrap().matches(phase_is_running);
        for text in [
            "",
            ",",
            "status.phase=Running",
            "status.phase==Running,metadata.name=a\\,b\\=c\\\\",
            "status.phase!=Pending,",
            "spec.nodeName=",
        ] {
            assert!(selects(text), "{text}");
        }
        for text in ["status.phase=Pending", "metadata.name=a", "spec.nodeName!=", "status.phase=running"] {
            assert!(!selects(text), "{text}");
        }
        let selector = FieldSelector::parse("a==x\\,,b!=y").unwrap();
        assert_eq!(selector.to_string(), "a=x\\,,b!=y");
        assert_eq!((selector.unknown(&["a"]), selector.unknown(&["b", "a"])), (Some("b"), None));
    }

    #[test]
    fn t49_what_is_malformed_is_refused_with_its_place() {
        for (text, at, message) in [
            ("a=b,c", 4, "invalid selector: 'a=b,c'; can't understand 'c'"),
            ("!", 0, "invalid selector: '!'; can't understand '!'"),
            ("a=b=c", 3, "invalid field selector: unescaped character in value: '='"),
            ("\u{e4}=\u{e4}\\x", 5, "invalid field selector: invalid escape sequence: \\x"),
            ("a=b\\", 3, "invalid field selector: invalid escape sequence: \\"),
        ] {
            let error = FieldSelector::parse(text).unwrap_err();
            assert_eq!((error.at(), error.message()), (at, message), "{text}");
        }
        assert_eq!(FieldSelector::parse(&"a".repeat(MAX_LEN + 1)).unwrap_err().at(), MAX_LEN);
        assert!(FieldSelector::parse(&"a=b,".repeat(MAX_TERMS)).is_ok());
        let many = FieldSelector::parse(&"a=b,".repeat(MAX_TERMS + 1)).unwrap_err();
        assert_eq!(many.at(), 4 * MAX_TERMS);
    }

    proptest! {
        #[test]
        fn canonical_text_reads_back_the_same(text in "[ab.=!,\\\\\u{e4} ]{0,12}") {
            if let Ok(selector) = FieldSelector::parse(&text) {
                prop_assert_eq!(FieldSelector::parse(&selector.to_string()).unwrap(), selector);
            }
        }

        #[test]
        fn t49_a_value_never_becomes_another_term(value in "\\PC{0,20}") {
            let term = FieldTerm { field: "metadata.name".into(), equal: true, value };
            let selector = FieldSelector { terms: vec![term] };
            prop_assert_eq!(FieldSelector::parse(&selector.to_string()).unwrap(), selector);
        }

        #[test]
        fn never_panics(text in "\\PC{0,40}") {
            let _ = FieldSelector::parse(&text);
        }
    }
}
