//! Reading a request's object the way a real server does: into its type and out again. What the type doesn't know is
//! dropped (and reported), `null` and empty optional members disappear, and values are checked for their type.

use base64::{Engine, engine::general_purpose::STANDARD};
use jiff::{Timestamp, tz::TimeZone};
use serde_json::{Map, Value};

use super::{Field, ObjectType, Presence, Shape, object_type, quantity};
use crate::object;

/// An object in the form it is stored.
#[derive(Debug)]
pub(crate) struct Decoded {
    /// The object.
    pub(crate) value: Value,
    /// Paths of members its type doesn't have.
    pub(crate) unknown: Vec<String>,
}

/// Decodes `value` as an object of type `name`.
///
/// # Errors
/// A sentence saying which value has the wrong type.
pub(crate) fn decode(name: &str, value: Value) -> Result<Decoded, String> {
    let object = object_type(name).ok_or_else(|| format!("no kind \"{name}\" is registered"))?;
    let mut decoder = Decoder::default();
    let value = decoder.object(object, value)?;
    Ok(Decoded { value, unknown: decoder.unknown })
}

/// Brings the values of `value` into the form they are stored in, but leaves out nothing and adds nothing: what a
/// configuration names counts, also when it is empty. Answers with the paths of unknown members.
///
/// # Errors
/// As [`decode`].
pub(crate) fn canonical(name: &str, value: Value) -> Result<(Value, Vec<String>), String> {
    let object = object_type(name).ok_or_else(|| format!("no kind \"{name}\" is registered"))?;
    let mut decoder = Decoder { partial: true, ..Decoder::default() };
    let value = decoder.object(object, value)?;
    Ok((value, decoder.unknown))
}

/// An object of this type with nothing in it, as bookmarks carry it.
pub(crate) fn empty(name: &str) -> Value {
    decode(name, Value::Object(Map::new())).map_or(Value::Null, |decoded| decoded.value)
}

#[derive(Default)]
struct Decoder {
    /// Whether only what is there is read: nothing is left out for being empty, nothing filled in for being absent.
    partial: bool,
    /// Names of the type and of the members on the way, as errors give them.
    trail: Vec<&'static str>,
    /// The same with indices, as reports of unknown members give it.
    path: String,
    unknown: Vec<String>,
}

impl Decoder {
    fn object(&mut self, object: &'static ObjectType, value: Value) -> Result<Value, String> {
        let members = match value {
            Value::Object(members) => members,
            Value::Null => Map::new(),
            other => return Err(self.mismatch(None, &other, &format!("v1.{}", object.name))),
        };
        let mut read = Map::new();
        for (name, value) in members {
            let length = self.path.len();
            if length > 0 {
                self.path.push('.');
            }
            self.path.push_str(&name);
            match object.field(&name) {
                Some(field) => {
                    self.trail.push(field.name);
                    if let Some(value) = self.field(object, field, value)? {
                        read.insert(name, value);
                    }
                    self.trail.pop();
                }
                None => self.unknown.push(self.path.clone()),
            }
            self.path.truncate(length);
        }
        let mut ordered = Map::new();
        for field in &object.fields {
            match read.shift_remove(field.name) {
                Some(value) => ordered.insert(field.name.into(), value),
                None if field.presence == Presence::Always && !self.partial => {
                    ordered.insert(field.name.into(), zero(&field.shape))
                }
                None => None,
            };
        }
        Ok(ordered.into())
    }

    fn field(
        &mut self,
        owner: &'static ObjectType,
        field: &Field,
        value: Value,
    ) -> Result<Option<Value>, String> {
        if value.is_null() {
            return Ok(None);
        }
        let value = self.value(owner, &field.shape, value)?;
        let dropped = !self.partial && field.presence == Presence::WhenSet && is_zero(&field.shape, &value);
        Ok((!dropped).then_some(value))
    }

    fn value(&mut self, owner: &'static ObjectType, shape: &Shape, value: Value) -> Result<Value, String> {
        match (shape, value) {
            (Shape::Any, value) => Ok(value),
            (Shape::Text, value @ Value::String(_)) | (Shape::Bool, value @ Value::Bool(_)) => Ok(value),
            (Shape::Float, value @ Value::Number(_)) => Ok(value),
            (Shape::Int32, Value::Number(number))
                if number.as_i64().is_some_and(|number| i32::try_from(number).is_ok()) =>
            {
                Ok(number.into())
            }
            (Shape::Int64, Value::Number(number)) if number.is_i64() => Ok(number.into()),
            (Shape::IntOrString, value @ Value::String(_)) => Ok(value),
            (Shape::IntOrString, Value::Number(number)) if number.is_i64() => Ok(number.into()),
            (Shape::Bytes, Value::String(text)) => bytes(&text),
            (Shape::Quantity, Value::String(text)) => parse_quantity(&text),
            (Shape::Quantity, Value::Number(number)) => parse_quantity(&number.to_string()),
            (Shape::Time, Value::String(text)) => time(&text).map(|time| object::seconds(time).into()),
            (Shape::MicroTime, Value::String(text)) => time(&text).map(|time| object::micros(time).into()),
            (Shape::Object(name), value @ (Value::Object(_) | Value::Null)) => {
                let object = object_type(name).ok_or_else(|| format!("no type {name}"))?;
                self.object(object, value)
            }
            (Shape::List(item), Value::Array(items)) => {
                let mut list = Vec::with_capacity(items.len());
                for (index, value) in items.into_iter().enumerate() {
                    list.push(self.item(owner, item, value, &format!("[{index}]"))?);
                }
                Ok(list.into())
            }
            (Shape::Map(item), Value::Object(entries)) => {
                let mut map = Map::new();
                for (key, value) in entries {
                    let value = self.item(owner, item, value, &format!(".{key}"))?;
                    map.insert(key, value);
                }
                Ok(map.into())
            }
            (shape, value) => Err(self.mismatch(Some(owner), &value, &go_type(shape))),
        }
    }

    fn item(
        &mut self,
        owner: &'static ObjectType,
        shape: &Shape,
        value: Value,
        step: &str,
    ) -> Result<Value, String> {
        let length = self.path.len();
        self.path.push_str(step);
        let value = if value.is_null() { Ok(zero(shape)) } else { self.value(owner, shape, value) };
        self.path.truncate(length);
        value
    }

    /// The sentence of Go's JSON decoder, which is what users of a real server see.
    fn mismatch(&self, owner: Option<&ObjectType>, value: &Value, wanted: &str) -> String {
        let what = match value {
            Value::Null => "null".to_owned(),
            Value::Bool(_) => "bool".to_owned(),
            Value::Number(number) if wanted.starts_with("int") => format!("number {number}"),
            Value::Number(_) => "number".to_owned(),
            Value::String(_) => "string".to_owned(),
            Value::Array(_) => "array".to_owned(),
            Value::Object(_) => "object".to_owned(),
        };
        match owner {
            Some(owner) => format!(
                "json: cannot unmarshal {what} into Go struct field {}.{} of type {wanted}",
                owner.name,
                self.trail.join(".")
            ),
            None => format!("json: cannot unmarshal {what} into Go value of type {wanted}"),
        }
    }
}

fn go_type(shape: &Shape) -> String {
    match shape {
        Shape::Text | Shape::Time | Shape::MicroTime | Shape::Quantity | Shape::IntOrString | Shape::Any => {
            "string".into()
        }
        Shape::Bool => "bool".into(),
        Shape::Int32 => "int32".into(),
        Shape::Int64 => "int64".into(),
        Shape::Float => "float64".into(),
        Shape::Bytes => "[]uint8".into(),
        Shape::List(item) => format!("[]{}", go_type(item)),
        Shape::Map(item) => format!("map[string]{}", go_type(item)),
        Shape::Object(name) => format!("v1.{name}"),
    }
}

fn zero(shape: &Shape) -> Value {
    match shape {
        Shape::Text | Shape::Bytes => "".into(),
        Shape::Bool => false.into(),
        Shape::Int32 | Shape::Int64 | Shape::Float | Shape::IntOrString => 0.into(),
        Shape::Quantity => "0".into(),
        Shape::Object(name) => empty(name),
        Shape::Time | Shape::MicroTime | Shape::Any | Shape::List(_) | Shape::Map(_) => Value::Null,
    }
}

/// Whether an optional member holds nothing. Objects held by value are never nothing: they are written as `{}`.
fn is_zero(shape: &Shape, value: &Value) -> bool {
    match (shape, value) {
        (_, Value::Null) => true,
        (Shape::Text, Value::String(text)) => text.is_empty(),
        (Shape::Bool, Value::Bool(value)) => !value,
        (Shape::Int32 | Shape::Int64, Value::Number(number)) => number.as_i64() == Some(0),
        (Shape::List(_), Value::Array(items)) => items.is_empty(),
        (Shape::Map(_), Value::Object(entries)) => entries.is_empty(),
        _ => false,
    }
}

fn parse_quantity(text: &str) -> Result<Value, String> {
    let quantity = quantity::Quantity::parse(text.trim()).ok_or(quantity::MALFORMED)?;
    Ok(quantity.to_string().into())
}

fn bytes(text: &str) -> Result<Value, String> {
    // Line breaks are allowed, as in Go's decoder.
    let compact: String = text.chars().filter(|c| !matches!(c, '\r' | '\n')).collect();
    STANDARD.decode(&compact).map_err(|error| {
        let at = match error {
            base64::DecodeError::InvalidByte(at, _) | base64::DecodeError::InvalidLastSymbol(at, _) => at,
            _ => compact.len() / 4 * 4,
        };
        format!("illegal base64 data at input byte {at}")
    })?;
    Ok(compact.into())
}

fn time(text: &str) -> Result<Timestamp, String> {
    text.parse::<Timestamp>().map(|time| time.to_zoned(TimeZone::UTC).timestamp()).map_err(|_| {
        format!(
            "parsing time \"{text}\" as \"2006-01-02T15:04:05Z07:00\": cannot parse \"{text}\" as \"2006\""
        )
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn unknown_members_are_dropped_and_reported() {
        let decoded = decode(
            "Pod",
            json!({ "spec": { "containers": [{ "name": "c", "imge": "x" }], "foo": 1 }, "bar": {} }),
        )
        .expect("decodes");
        assert_eq!(decoded.unknown, ["spec.containers[0].imge", "spec.foo", "bar"]);
        assert_eq!(
            decoded.value,
            json!({ "metadata": {}, "spec": { "containers": [{ "name": "c", "resources": {} }] }, "status": {} })
        );
    }

    #[test]
    fn empty_optional_members_disappear_and_pointers_stay() {
        let spec = json!({
            "containers": [], "nodeName": "", "hostNetwork": false, "automountServiceAccountToken": false,
            "securityContext": {}, "volumes": [], "nodeSelector": null, "terminationGracePeriodSeconds": 0,
        });
        let decoded = decode("PodSpec", spec).expect("decodes").value;
        let expected = json!({
            "automountServiceAccountToken": false, "containers": [], "securityContext": {},
            "terminationGracePeriodSeconds": 0,
        });
        assert_eq!(decoded, expected);
    }

    #[test]
    fn wrong_types_are_named_as_a_real_server_names_them() {
        let error = |kind: &str, value: Value| decode(kind, value).expect_err("is refused");
        assert_eq!(
            error("Pod", json!({ "spec": { "containers": [{ "env": [{ "name": "A", "value": 5 }] }] } })),
            "json: cannot unmarshal number into Go struct field EnvVar.spec.containers.env.value of type string"
        );
        assert_eq!(
            error("ConfigMap", json!({ "data": { "k": 1 } })),
            "json: cannot unmarshal number into Go struct field ConfigMap.data of type string"
        );
        assert_eq!(
            error("Pod", json!({ "spec": { "containers": {} } })),
            "json: cannot unmarshal object into Go struct field PodSpec.spec.containers of type []v1.Container"
        );
        assert_eq!(
            error("Pod", json!({ "spec": [] })),
            "json: cannot unmarshal array into Go struct field Pod.spec of type v1.PodSpec"
        );
        assert_eq!(
            error("PodSpec", json!({ "terminationGracePeriodSeconds": 1.5 })),
            "json: cannot unmarshal number 1.5 into Go struct field PodSpec.terminationGracePeriodSeconds of type int64"
        );
        assert_eq!(error("Secret", json!({ "data": { "k": "%%" } })), "illegal base64 data at input byte 0");
    }

    #[test]
    fn quantities_and_times_become_canonical() {
        let limits = json!({ "limits": { "cpu": 0.5, "memory": "1024Mi" } });
        assert_eq!(
            decode("ResourceRequirements", limits).expect("decodes").value,
            json!({ "limits": { "cpu": "500m", "memory": "1Gi" } })
        );
        let meta = json!({ "creationTimestamp": "2026-01-01T02:00:00.5+02:00" });
        assert_eq!(
            decode("ObjectMeta", meta).expect("decodes").value,
            json!({ "creationTimestamp": "2026-01-01T00:00:00Z" })
        );
    }

    #[test]
    fn a_configuration_keeps_what_it_names_and_nothing_else() {
        let (value, unknown) = canonical(
            "Pod",
            json!({ "spec": { "hostNetwork": false, "containers": [{ "name": "c", "resources": { "limits": { "cpu": "0.5" } } }] } }),
        )
        .expect("decodes");
        assert!(unknown.is_empty());
        assert_eq!(
            value,
            json!({ "spec": { "hostNetwork": false, "containers": [{ "name": "c", "resources": { "limits": { "cpu": "500m" } } }] } })
        );
    }

    #[test]
    fn an_empty_pod_is_what_bookmarks_carry() {
        assert_eq!(empty("Pod"), json!({ "metadata": {}, "spec": { "containers": null }, "status": {} }));
        assert_eq!(empty("ConfigMap"), json!({ "metadata": {} }));
    }
}
