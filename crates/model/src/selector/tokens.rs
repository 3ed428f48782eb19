//! Words and symbols of a label selector.

use std::{iter::Peekable, str::CharIndices};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) text: String,
    /// Where it begins, in bytes.
    pub(super) at: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    End,
    Error,
    Identifier,
    In,
    NotIn,
    Not,
    Equals,
    NotEquals,
    Greater,
    Less,
    Open,
    Close,
    Comma,
}

fn is_symbol(c: char) -> bool {
    matches!(c, '=' | '!' | '(' | ')' | ',' | '>' | '<')
}

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

fn symbol(text: &str) -> Option<Kind> {
    Some(match text {
        "(" => Kind::Open,
        ")" => Kind::Close,
        "," => Kind::Comma,
        "!" => Kind::Not,
        "=" | "==" => Kind::Equals,
        "!=" => Kind::NotEquals,
        ">" => Kind::Greater,
        "<" => Kind::Less,
        _ => return None,
    })
}

/// Splits `text`.
pub(super) fn tokens(text: &str) -> Vec<Token> {
    let mut chars = text.char_indices().peekable();
    let mut tokens = Vec::new();
    loop {
        while chars.next_if(|(_, c)| is_space(*c)).is_some() {}
        match chars.peek().copied() {
            None => return tokens,
            Some((at, c)) if is_symbol(c) => tokens.push(scan_symbol(at, &mut chars)),
            Some((at, _)) => tokens.push(scan_word(at, &mut chars)),
        }
    }
}

/// The longest symbol that the characters ahead begin with.
fn scan_symbol(at: usize, chars: &mut Peekable<CharIndices<'_>>) -> Token {
    let mut text = String::new();
    let mut found = None;
    while let Some((_, c)) = chars.peek().copied().filter(|(_, c)| is_symbol(*c)) {
        text.push(c);
        match symbol(&text) {
            Some(kind) => found = Some(kind),
            None if found.is_some() => {
                text.pop();
                break;
            }
            None => {}
        }
        chars.next();
    }
    match found {
        Some(kind) => Token { kind, text, at },
        None => Token { kind: Kind::Error, text: format!("error expected: keyword found '{text}'"), at },
    }
}

fn scan_word(at: usize, chars: &mut Peekable<CharIndices<'_>>) -> Token {
    let mut text = String::new();
    while let Some((_, c)) = chars.next_if(|(_, c)| !is_symbol(*c) && !is_space(*c)) {
        text.push(c);
    }
    let kind = match text.as_str() {
        "in" => Kind::In,
        "notin" => Kind::NotIn,
        _ => Kind::Identifier,
    };
    Token { kind, text, at }
}
