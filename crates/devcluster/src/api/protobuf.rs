//! Objects in Kubernetes' binary form.
//!
//! kubectl does most of its work with JSON, but some commands use Go types, and these travel as protocol buffers:
//! `auth can-i`, `create configmap` and others. So the kinds of those commands are read here. Nothing is written in this form:
//! clients that send it accept JSON.
//!
//! Field numbers are those of `generated.proto` in `k8s.io/api` and `k8s.io/apimachinery`, and as anywhere in protobuf never
//! change.

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Map, Value, json};

/// The media type.
pub(super) const MEDIA_TYPE: &str = "application/vnd.kubernetes.protobuf";

/// What every body begins with.
const MAGIC: &[u8] = b"k8s\0";

/// The fields of a message that are read: number, name in JSON, what it holds. Others are passed over, as new fields are by
/// old servers.
type Message = &'static [(u32, &'static str, Holds)];

#[derive(Clone, Copy)]
enum Holds {
    /// A string. Go always writes it; an empty one is an absent one.
    Text,
    Texts,
    Flag,
    Number,
    One(Message),
    Many(Message),
    /// Entries of a key and a string.
    TextMap,
    /// Entries of a key and bytes, which are base64 in JSON.
    BytesMap,
    /// Entries of a key and a quantity, which is a message of one string.
    QuantityMap,
}

use Holds::{BytesMap, Flag, Many, Number, One, QuantityMap, Text, TextMap, Texts};

/// The fields a client may set; times and the like are the server's.
const METADATA: Message = &[
    (1, "name", Text),
    (2, "generateName", Text),
    (3, "namespace", Text),
    (5, "uid", Text),
    (6, "resourceVersion", Text),
    (11, "labels", TextMap),
    (12, "annotations", TextMap),
    (13, "ownerReferences", Many(OWNER)),
    (14, "finalizers", Texts),
];
const OWNER: Message = &[
    (1, "kind", Text),
    (3, "name", Text),
    (4, "uid", Text),
    (5, "apiVersion", Text),
    (6, "controller", Flag),
    (7, "blockOwnerDeletion", Flag),
];
const REFERENCE: Message = &[
    (1, "kind", Text),
    (2, "namespace", Text),
    (3, "name", Text),
    (4, "uid", Text),
    (5, "apiVersion", Text),
    (6, "resourceVersion", Text),
    (7, "fieldPath", Text),
];
const RESOURCE: Message = &[
    (1, "namespace", Text),
    (2, "verb", Text),
    (3, "group", Text),
    (4, "version", Text),
    (5, "resource", Text),
    (6, "subresource", Text),
    (7, "name", Text),
];

/// The message of a kind, if it is read.
fn message(kind: &str) -> Option<Message> {
    let message: Message = match kind {
        "ConfigMap" => &[
            (1, "metadata", One(METADATA)),
            (2, "data", TextMap),
            (3, "binaryData", BytesMap),
            (4, "immutable", Flag),
        ],
        "DeleteOptions" => &[
            (1, "gracePeriodSeconds", Number),
            (2, "preconditions", One(&[(1, "uid", Text), (2, "resourceVersion", Text)])),
            (3, "orphanDependents", Flag),
            (4, "propagationPolicy", Text),
            (5, "dryRun", Texts),
        ],
        "Namespace" => &[(1, "metadata", One(METADATA)), (2, "spec", One(&[(1, "finalizers", Texts)]))],
        "ResourceQuota" => &[
            (1, "metadata", One(METADATA)),
            (2, "spec", One(&[(1, "hard", QuantityMap), (2, "scopes", Texts)])),
        ],
        "Secret" => &[
            (1, "metadata", One(METADATA)),
            (2, "data", BytesMap),
            (3, "type", Text),
            (4, "stringData", TextMap),
            (5, "immutable", Flag),
        ],
        "SelfSubjectAccessReview" => &[
            (1, "metadata", One(METADATA)),
            (
                2,
                "spec",
                One(&[
                    (1, "resourceAttributes", One(RESOURCE)),
                    (2, "nonResourceAttributes", One(&[(1, "path", Text), (2, "verb", Text)])),
                ]),
            ),
        ],
        "SelfSubjectReview" => &[(1, "metadata", One(METADATA))],
        "SelfSubjectRulesReview" => {
            &[(1, "metadata", One(METADATA)), (2, "spec", One(&[(1, "namespace", Text)]))]
        }
        "ServiceAccount" => &[
            (1, "metadata", One(METADATA)),
            (2, "secrets", Many(REFERENCE)),
            (3, "imagePullSecrets", Many(&[(1, "name", Text)])),
            (4, "automountServiceAccountToken", Flag),
        ],
        "TokenRequest" => &[
            (1, "metadata", One(METADATA)),
            (
                2,
                "spec",
                One(&[
                    (1, "audiences", Texts),
                    (
                        3,
                        "boundObjectRef",
                        One(&[
                            (1, "kind", Text),
                            (2, "apiVersion", Text),
                            (3, "name", Text),
                            (4, "uid", Text),
                        ]),
                    ),
                    (4, "expirationSeconds", Number),
                ]),
            ),
        ],
        _ => return None,
    };
    Some(message)
}

/// Whether objects of this kind are read in this form.
pub(super) fn reads(kind: &str) -> bool {
    message(kind).is_some()
}

/// Reads an object. The error says what is wrong with the bytes.
pub(super) fn decode(body: &[u8]) -> Result<Value, String> {
    let envelope = body.strip_prefix(MAGIC).ok_or("the prefix of a protobuf body is missing")?;
    let (mut api_version, mut kind, mut raw) = (String::new(), String::new(), &[][..]);
    for field in Fields(envelope) {
        match field? {
            (1, Content::Bytes(bytes)) => {
                for field in Fields(bytes) {
                    match field? {
                        (1, Content::Bytes(bytes)) => api_version = text(bytes)?,
                        (2, Content::Bytes(bytes)) => kind = text(bytes)?,
                        _ => {}
                    }
                }
            }
            (2, Content::Bytes(bytes)) => raw = bytes,
            _ => {}
        }
    }
    let message = message(&kind).ok_or_else(|| format!("objects of kind {kind:?} are read as JSON only"))?;
    let mut object =
        Map::from_iter([("apiVersion".into(), json!(api_version)), ("kind".into(), json!(kind))]);
    object.append(&mut decode_message(message, raw)?);
    Ok(Value::Object(object))
}

fn decode_message(message: Message, bytes: &[u8]) -> Result<Map<String, Value>, String> {
    let mut object = Map::new();
    for field in Fields(bytes) {
        let (number, content) = field?;
        let Some((_, name, holds)) = message.iter().find(|(known, ..)| *known == number) else { continue };
        match (holds, content) {
            (Text, Content::Bytes([])) => {}
            (Text, Content::Bytes(bytes)) => drop(object.insert((*name).into(), text(bytes)?.into())),
            (Texts, Content::Bytes(bytes)) => push(&mut object, name, text(bytes)?.into()),
            (Flag, Content::Number(value)) => drop(object.insert((*name).into(), (value != 0).into())),
            // Negative numbers are written as their two's complement.
            (Number, Content::Number(value)) => {
                drop(object.insert((*name).into(), value.cast_signed().into()))
            }
            (One(inner), Content::Bytes(bytes)) => {
                drop(object.insert((*name).into(), decode_message(inner, bytes)?.into()));
            }
            (Many(inner), Content::Bytes(bytes)) => {
                push(&mut object, name, decode_message(inner, bytes)?.into())
            }
            (TextMap | BytesMap | QuantityMap, Content::Bytes(bytes)) => {
                let (key, value) = entry(*holds, bytes)?;
                let map = object.entry(*name).or_insert_with(|| json!({}));
                if let Some(map) = map.as_object_mut() {
                    map.insert(key, value);
                }
            }
            _ => return Err(format!("{name} is of another type")),
        }
    }
    Ok(object)
}

fn push(object: &mut Map<String, Value>, name: &str, value: Value) {
    if let Some(list) = object.entry(name).or_insert_with(|| json!([])).as_array_mut() {
        list.push(value);
    }
}

/// The key and the value of an entry in a map.
fn entry(holds: Holds, bytes: &[u8]) -> Result<(String, Value), String> {
    let (mut key, mut value) = (String::new(), &[][..]);
    for field in Fields(bytes) {
        match field? {
            (1, Content::Bytes(bytes)) => key = text(bytes)?,
            (2, Content::Bytes(bytes)) => value = bytes,
            _ => {}
        }
    }
    let value = match holds {
        BytesMap => BASE64_STANDARD.encode(value).into(),
        QuantityMap => {
            decode_message(&[(1, "quantity", Text)], value)?.remove("quantity").unwrap_or_else(|| "0".into())
        }
        _ => text(value)?.into(),
    };
    Ok((key, value))
}

fn text(bytes: &[u8]) -> Result<String, String> {
    String::from_utf8(bytes.to_vec()).map_err(|error| error.to_string())
}

/// What a field of a message holds, as far as the wire tells.
enum Content<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    /// Of a fixed size: nothing that is read here.
    Other,
}

/// The fields of a message in a row, with their numbers.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn read(&mut self) -> Option<(u32, Content<'a>)> {
        let tag = self.number()?;
        let content = match tag & 7 {
            0 => Content::Number(self.number()?),
            1 => self.take(8).map(|_| Content::Other)?,
            2 => {
                let length = usize::try_from(self.number()?).ok()?;
                Content::Bytes(self.take(length)?)
            }
            5 => self.take(4).map(|_| Content::Other)?,
            _ => return None,
        };
        Some((u32::try_from(tag >> 3).ok()?, content))
    }

    /// A number in seven bits a byte, the least ones first.
    fn number(&mut self) -> Option<u64> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let [byte] = *self.take(1)? else { return None };
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u32, Content<'a>), String>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.read();
        if field.is_none() {
            // There is no finding the next field after a broken one.
            self.0 = &[];
        }
        Some(field.ok_or_else(|| "a field of the protobuf message is broken".into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Bodies that kubectl 1.32 sent.
    const LOG: &[u8] = b"k8s\x00\n2\n\x17authorization.k8s.io/v1\x12\x17SelfSubjectAccessReview\x12>\n\x10\n\x00\x12\x00\
        \x1a\x00\"\x00*\x002\x008\x00B\x00\x12 \n\x1e\n\x06nogoo9\x12\x03get\x1a\x00\"\x00*\x04pods2\x03log:\x00\
        \x1a\x08\x08\x00\x12\x00\x1a\x00 \x00\x1a\x00\"\x00";
    const CONFIG: &[u8] =
        b"k8s\x00\n\x0f\n\x02v1\x12\tConfigMap\x12(\n\x12\n\x02c1\x12\x00\x1a\x00\"\x00*\x002\x008\x00B\
        \x00\x12\x06\n\x01a\x12\x01b\x1a\n\n\x03bin\x12\x03ab\xff\x1a\x00\"\x00";
    const SECRET: &[u8] =
        b"k8s\x00\n\x0c\n\x02v1\x12\x06Secret\x12\x1e\n\x12\n\x02s1\x12\x00\x1a\x00\"\x00*\x002\x008\x00\
        B\x00\x12\x06\n\x01a\x12\x01b\x1a\x00\x1a\x00\"\x00";
    const QUOTA: &[u8] = b"k8s\x00\n\x13\n\x02v1\x12\rResourceQuota\x129\n\x11\n\x01q\x12\x00\x1a\x00\"\x00*\x002\x008\x00\
        B\x00\x12\"\n\x0b\n\x04pods\x12\x03\n\x012\n\x13\n\x0crequests.cpu\x12\x03\n\x011\x1a\x00\x1a\x00\"\x00";

    #[test]
    fn what_kubectl_sends_is_read() {
        assert_eq!(
            decode(LOG).expect("a review"),
            json!({
                "apiVersion": "authorization.k8s.io/v1",
                "kind": "SelfSubjectAccessReview",
                "metadata": {},
                "spec": { "resourceAttributes": {
                    "namespace": "nogoo9", "verb": "get", "resource": "pods", "subresource": "log",
                } },
            })
        );
        let config = decode(CONFIG).expect("a config map");
        assert_eq!((&config["kind"], &config["metadata"]), (&json!("ConfigMap"), &json!({ "name": "c1" })));
        assert_eq!(
            (&config["data"], &config["binaryData"]),
            (&json!({ "a": "b" }), &json!({ "bin": "YWL/" }))
        );
        assert_eq!(decode(SECRET).expect("a secret")["data"], json!({ "a": "Yg==" }));
        let quota = decode(QUOTA).expect("a quota");
        assert_eq!(quota["spec"], json!({ "hard": { "pods": "2", "requests.cpu": "1" } }));
    }

    #[test]
    fn broken_bodies_are_refused() {
        // Cut anywhere but after the type, as the object may be empty, and after the object, where nothing is read.
        for end in (0..CONFIG.len() - 4).filter(|end| *end != 21) {
            assert!(decode(&CONFIG[..end]).is_err(), "{end}");
        }
        let error = |body: &[u8]| decode(body).expect_err("broken");
        assert!(error(b"{}").contains("prefix"));
        assert!(error(b"k8s\0\x0a\x07\n\x02v1\x12\x01X").contains("\"X\" are read as JSON only"));
        // A length beyond the end, a number without an end, a wire type that there isn't.
        for body in [
            &b"k8s\0\x12\xff\xff\xff\xff\x0f"[..],
            &[b"k8s\0".as_slice(), &[0xff; 12]].concat(),
            b"k8s\0\x0b",
        ] {
            assert!(error(body).contains("broken"));
        }
    }
}
