//! What the API's types look like: one table that decoding, strategic merge, server-side apply and the published
//! OpenAPI document all read.

pub(crate) mod decode;
pub(crate) mod duplicates;
pub(crate) mod quantity;

#[cfg(test)]
mod tests;

use std::{collections::HashMap, sync::LazyLock};

/// The table in source form; its head explains the notation.
const SOURCE: &str = include_str!("types.txt");

static TYPES: LazyLock<HashMap<&'static str, ObjectType>> =
    LazyLock::new(|| parse(SOURCE).into_iter().map(|object| (object.name, object)).collect());

/// A type with named members.
#[derive(Debug)]
pub(crate) struct ObjectType {
    /// Its name: `PodSpec`.
    pub(crate) name: &'static str,
    /// Its OpenAPI package: `io.k8s.api.core.v1`.
    pub(crate) package: &'static str,
    /// Server-side apply owns it as a whole.
    pub(crate) atomic: bool,
    /// Its members, in the order they are written.
    pub(crate) fields: Vec<Field>,
}

/// A member.
#[derive(Debug)]
pub(crate) struct Field {
    /// Its name in JSON.
    pub(crate) name: &'static str,
    /// Its type.
    pub(crate) shape: Shape,
    /// Whether it is written when it holds nothing.
    pub(crate) presence: Presence,
    /// The member by which strategic merge matches list items.
    pub(crate) merge_key: Option<&'static str>,
    /// A list of plain values that strategic merge unites.
    pub(crate) merge_set: bool,
    /// Whether the `$retainKeys` directive applies.
    pub(crate) retain_keys: bool,
    /// How server-side apply divides it among managers.
    pub(crate) ownership: Ownership,
}

/// The type of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Shape {
    Text,
    Bool,
    Int32,
    Int64,
    Float,
    Bytes,
    Quantity,
    Time,
    MicroTime,
    IntOrString,
    Any,
    List(Box<Shape>),
    Map(Box<Shape>),
    Object(&'static str),
}

/// Whether a member is written when it holds nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Presence {
    /// Always.
    Always,
    /// Empty and absent are different.
    Distinct,
    /// Left out when empty.
    WhenSet,
}

/// How server-side apply divides a member among managers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ownership {
    /// One manager owns all of it.
    Atomic,
    /// Each member, or entry, by itself.
    Granular,
    /// Each item, known by these members.
    Keyed(Vec<&'static str>),
    /// Each value.
    Set,
}

/// The type of this name.
pub(crate) fn object_type(name: &str) -> Option<&'static ObjectType> {
    TYPES.get(name)
}

/// All types.
pub(crate) fn object_types() -> impl Iterator<Item = &'static ObjectType> {
    TYPES.values()
}

impl ObjectType {
    /// The member of this name.
    pub(crate) fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.name == name)
    }
}

#[cfg(test)]
impl Shape {
    /// The object type behind it, if it is one, or a list or map of one.
    pub(crate) fn object(&self) -> Option<&'static ObjectType> {
        match self {
            Self::Object(name) => object_type(name),
            Self::List(item) | Self::Map(item) => item.object(),
            _ => None,
        }
    }
}

fn parse(source: &'static str) -> Vec<ObjectType> {
    let mut types: Vec<ObjectType> = Vec::new();
    for line in source.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let mut words = line.split_whitespace();
        let Some(name) = words.next() else { continue };
        if line.starts_with(' ') {
            let (shape, presence) = words.next().map_or((Shape::Any, Presence::WhenSet), parse_type);
            let field = parse_options(name, shape, presence, words);
            if let Some(object) = types.last_mut() {
                object.fields.push(field);
            }
        } else {
            let mut object =
                ObjectType { name, package: "io.k8s.api.core.v1", atomic: false, fields: Vec::new() };
            for word in words {
                match word.strip_prefix('@') {
                    Some(package) => object.package = package,
                    None => object.atomic = word == "atomic",
                }
            }
            types.push(object);
        }
    }
    types
}

fn parse_type(word: &'static str) -> (Shape, Presence) {
    let (word, presence) = if let Some(word) = word.strip_suffix('!') {
        (word, Presence::Always)
    } else if let Some(word) = word.strip_suffix('?') {
        (word, Presence::Distinct)
    } else {
        (word, Presence::WhenSet)
    };
    (parse_shape(word), presence)
}

fn parse_shape(word: &'static str) -> Shape {
    if let Some(item) = word.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return Shape::List(Box::new(parse_shape(item)));
    }
    if let Some(item) = word.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
        return Shape::Map(Box::new(parse_shape(item)));
    }
    match word {
        "string" => Shape::Text,
        "bool" => Shape::Bool,
        "int32" => Shape::Int32,
        "int64" => Shape::Int64,
        "float64" => Shape::Float,
        "bytes" => Shape::Bytes,
        "quantity" => Shape::Quantity,
        "time" => Shape::Time,
        "microTime" => Shape::MicroTime,
        "intOrString" => Shape::IntOrString,
        "any" => Shape::Any,
        object => Shape::Object(object),
    }
}

fn parse_options(
    name: &'static str,
    shape: Shape,
    presence: Presence,
    options: impl Iterator<Item = &'static str>,
) -> Field {
    let mut merge_key = None;
    let (mut merge_set, mut retain_keys) = (false, false);
    let mut ownership = match &shape {
        Shape::Map(_) | Shape::Object(_) => Ownership::Granular,
        _ => Ownership::Atomic,
    };
    for option in options {
        match option.split_once('=') {
            Some(("key", key)) => {
                merge_key = Some(key);
                ownership = Ownership::Keyed(vec![key]);
            }
            Some(("ssa", "-")) => ownership = Ownership::Atomic,
            Some(("ssa", keys)) => ownership = Ownership::Keyed(keys.split(',').collect()),
            None if option == "set" => {
                merge_set = true;
                ownership = Ownership::Set;
            }
            None if option == "retain" => retain_keys = true,
            None if option == "atomic" => ownership = Ownership::Atomic,
            _ => {}
        }
    }
    Field { name, shape, presence, merge_key, merge_set, retain_keys, ownership }
}
