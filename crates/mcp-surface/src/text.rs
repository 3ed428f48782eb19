//! Texts that other programs and people wrote (event messages, status messages, descriptions), made safe to show to a
//! model and on a terminal.

use std::fmt::Write as _;

use serde::Serialize;

/// One line of at most `max` characters: without control characters, terminal escapes and invisible characters; line
/// breaks become blanks.
pub(crate) fn line(text: &str, max: usize) -> String {
    let mut out = String::new();
    for c in visible(text) {
        let c = if c.is_whitespace() { ' ' } else { c };
        if !(c == ' ' && (out.is_empty() || out.ends_with(' '))) {
            out.push(c);
        }
    }
    out.truncate(out.trim_end().len());
    cut(out, max)
}

/// Likewise, but line breaks and tabs stay.
pub(crate) fn block(text: &str, max: usize) -> String {
    cut(visible(text).collect(), max)
}

fn cut(text: String, max: usize) -> String {
    match text.char_indices().nth(max) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

/// The text without what does not show. Control characters stay: in JSON they are escaped, and they may be meant.
pub(crate) fn without_invisible(text: &str) -> String {
    text.chars().filter(|c| !is_invisible(*c)).collect()
}

/// JSON on many lines, with every control character escaped: the format itself leaves those from U+007F on as they are.
pub(crate) fn json(value: &impl Serialize) -> String {
    let mut out = String::new();
    for c in serde_json::to_string_pretty(value).unwrap_or_default().chars() {
        if c.is_control() && c != '\n' {
            let _ = write!(out, "\\u{:04x}", u32::from(c));
        } else {
            out.push(c);
        }
    }
    out
}

/// The characters of `text` that can be seen, and line breaks and tabs.
fn visible(text: &str) -> impl Iterator<Item = char> {
    let mut rest = text.chars().peekable();
    std::iter::from_fn(move || {
        loop {
            let c = rest.next()?;
            if c == '\u{1b}' && rest.next_if_eq(&'[').is_some() {
                // A terminal's control sequence (ECMA-48) ends with the first character from '@' to '~'.
                while rest.next_if(|c| !('@'..='~').contains(c)).is_some() {}
                rest.next();
            } else if !is_hidden(c) {
                return Some(c);
            }
        }
    })
}

/// Control characters, and those that reorder, hide or join text without showing: they serve to make a text look
/// different to a person than to a model.
fn is_hidden(c: char) -> bool {
    (c.is_control() && c != '\n' && c != '\t') || is_invisible(c)
}

fn is_invisible(c: char) -> bool {
    matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// A table with tab-separated columns.
pub(crate) fn table<const N: usize>(
    header: Option<[&str; N]>,
    rows: impl IntoIterator<Item = [String; N]>,
) -> String {
    let mut out = header.map(|names| names.join("\t")).unwrap_or_default();
    for row in rows {
        if !out.is_empty() {
            out.push('\n');
        }
        for (column, cell) in row.iter().enumerate() {
            let _ = write!(out, "{}{}", if column == 0 { "" } else { "\t" }, line(cell, 200));
        }
    }
    out
}

/// A text with warnings under it.
pub(crate) fn with_warnings(text: String, warnings: &[String]) -> String {
    warnings.iter().fold(text, |text, warning| format!("{text}\n⚠ {warning}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t63_json_shows_what_a_terminal_would_obey() {
        let value = serde_json::json!({"args": ["\u{1b}[31m\u{9b}\u{7f}", "a\nb"]});
        let text = json(&value);
        assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), value);
        assert_eq!(without_invisible("a\u{202e}b\u{200b}\u{1b}\tc"), "ab\u{1b}\tc");
    }

    #[test]
    fn t63_hidden_characters_are_removed() {
        let nasty = "a\u{1b}[31;1mred\u{1b}[0m\u{7}\u{0}\u{202e}b\u{200b}\u{e0041}\r\nc\u{9b}d";
        assert_eq!(line(nasty, 100), "aredb cd");
        assert_eq!(block(nasty, 100), "aredb\ncd");
        assert_eq!(line("unfinished \u{1b}[31", 100), "unfinished");
        assert_eq!(line("  grüße,\t 日本 ", 100), "grüße, 日本");
    }

    #[test]
    fn t63_size_is_capped() {
        assert_eq!(line("äöü", 2), "äö…");
        assert_eq!(line("äöü", 3), "äöü");
        assert_eq!(block(&"x".repeat(10_000), 100).chars().count(), 101);
    }

    #[test]
    fn cells_keep_to_their_cell() {
        let rows = [["a\tb".to_owned(), "c\nd".to_owned()]];
        assert_eq!(table(Some(["X", "Y"]), rows.clone()), "X\tY\na b\tc d");
        assert_eq!(table(None, rows), "a b\tc d");
    }
}
