//! From text to typed values.

use std::{
    collections::BTreeSet,
    num::{NonZeroU16, NonZeroU32},
    path::PathBuf,
    time::Duration,
};

use ipnet::IpNet;
use nocrd_model::Namespace;
use secrecy::SecretString;
use url::Url;

use crate::kind::{Kind, Unit, parse_bool};

/// A type that the text of a setting can become.
pub(crate) trait Value: Sized {
    /// Reads the text; an error tells what is wrong beyond [`Kind::allowed`] and may be empty.
    fn parse(text: &str, kind: &Kind) -> Result<Self, String>;

    /// What stands for a setting that is not set and has no default; `None` for types that can't say so.
    fn absent() -> Option<Self> {
        None
    }
}

impl Value for bool {
    fn parse(text: &str, _: &Kind) -> Result<Self, String> {
        parse_bool(text).ok_or_else(String::new)
    }
}

impl Value for String {
    fn parse(text: &str, kind: &Kind) -> Result<Self, String> {
        kind.check(text)
    }

    fn absent() -> Option<Self> {
        Some(Self::new())
    }
}

impl Value for SecretString {
    fn parse(text: &str, kind: &Kind) -> Result<Self, String> {
        kind.check(text).map(Self::from)
    }
}

impl Value for PathBuf {
    fn parse(text: &str, kind: &Kind) -> Result<Self, String> {
        kind.check(text).map(Self::from)
    }
}

impl Value for Url {
    fn parse(text: &str, kind: &Kind) -> Result<Self, String> {
        Self::parse(&kind.check(text)?).map_err(|error| error.to_string())
    }
}

impl Value for Namespace {
    fn parse(text: &str, kind: &Kind) -> Result<Self, String> {
        Self::try_from(kind.check(text)?).map_err(|_| String::new())
    }
}

impl Value for IpNet {
    fn parse(text: &str, kind: &Kind) -> Result<Self, String> {
        kind.check(text)?.parse().map_err(|_| String::new())
    }
}

impl Value for Duration {
    fn parse(text: &str, kind: &Kind) -> Result<Self, String> {
        let number = kind.number(text)?;
        Ok(match kind {
            Kind::Number { unit: Unit::Milliseconds, .. } => Self::from_millis(number),
            _ => Self::from_secs(number),
        })
    }
}

macro_rules! numbers {
    ($($type:ty),*) => {
        $(impl Value for $type {
            fn parse(text: &str, kind: &Kind) -> Result<Self, String> {
                Self::try_from(kind.number(text)?).map_err(|_| String::new())
            }
        })*
    };
}

numbers!(u16, u32);

impl Value for NonZeroU16 {
    fn parse(text: &str, kind: &Kind) -> Result<Self, String> {
        Self::new(u16::parse(text, kind)?).ok_or_else(String::new)
    }
}

impl Value for NonZeroU32 {
    fn parse(text: &str, kind: &Kind) -> Result<Self, String> {
        Self::new(u32::parse(text, kind)?).ok_or_else(String::new)
    }
}

impl<T: Value> Value for Option<T> {
    fn parse(text: &str, kind: &Kind) -> Result<Self, String> {
        if kind.means_nothing(text) {
            return Ok(None);
        }
        T::parse(text, kind).map(Some)
    }

    fn absent() -> Option<Self> {
        Some(None)
    }
}

impl<T: Value> Value for Vec<T> {
    fn parse(text: &str, kind: &Kind) -> Result<Self, String> {
        let one = |item: &str, kind: &Kind| {
            T::parse(item, kind).map_err(|why| match (item == text.trim(), why.is_empty()) {
                (true, _) => why,
                (false, true) => format!("{:?} is not", shorten(item)),
                (false, false) => format!("{:?} is not: {why}", shorten(item)),
            })
        };
        match kind {
            Kind::List(item_kind) => text
                .split(',')
                .map(str::trim)
                .filter(|item| !item.is_empty())
                .map(|item| one(item, item_kind))
                .collect(),
            Kind::Paths => std::env::split_paths(text)
                .filter(|path| !path.as_os_str().is_empty())
                .map(|path| one(&path.to_string_lossy(), &Kind::Path))
                .collect(),
            _ => text.split_whitespace().map(|word| one(word, &Kind::Token)).collect(),
        }
    }

    fn absent() -> Option<Self> {
        Some(Self::new())
    }
}

impl<T: Value + Ord> Value for BTreeSet<T> {
    fn parse(text: &str, kind: &Kind) -> Result<Self, String> {
        Vec::parse(text, kind).map(|items| items.into_iter().collect())
    }

    fn absent() -> Option<Self> {
        Some(Self::new())
    }
}

/// Cuts a text to a length that is readable in a message.
pub(crate) fn shorten(text: &str) -> String {
    const LONGEST: usize = 80;
    let mut short: String = text.chars().take(LONGEST).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}
