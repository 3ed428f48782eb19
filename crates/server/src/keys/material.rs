//! Secrets of sessions as they are held and passed on.

use std::fmt;

use nocrd_authz::keys::{MIN_SECRET_BYTES, SealError, SessionKeys};
use secrecy::{ExposeSecret as _, SecretSlice};

/// Most earlier secrets that are still accepted.
const MAX_PREVIOUS: usize = 4;

/// A secret that keys of sessions are derived from.
#[derive(Clone)]
pub(super) struct Material(SecretSlice<u8>);

impl Material {
    /// A new one: 256 random bits, as 64 hexadecimal digits.
    pub(super) fn random() -> Self {
        const DIGITS: [u8; 16] = *b"0123456789abcdef";
        let random: [u8; 32] = rand::random();
        let digit = |nibble: u8| DIGITS.get(usize::from(nibble & 15)).copied().unwrap_or(b'0');
        Self(random.iter().flat_map(|byte| [digit(byte >> 4), digit(*byte)]).collect::<Vec<u8>>().into())
    }

    /// Takes what somebody stored. The line break that editors and `echo` leave at the end is not part of it.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, SealError> {
        let bytes = bytes.strip_suffix(b"\n").map_or(bytes, |line| line.strip_suffix(b"\r").unwrap_or(line));
        if bytes.len() < MIN_SECRET_BYTES {
            return Err(SealError::WeakSecret { bytes: bytes.len() });
        }
        Ok(Self(bytes.to_vec().into()))
    }

    pub(super) fn bytes(&self) -> &[u8] {
        self.0.expose_secret()
    }
}

impl PartialEq for Material {
    fn eq(&self, other: &Self) -> bool {
        use subtle::ConstantTimeEq as _;
        self.bytes().ct_eq(other.bytes()).into()
    }
}

impl fmt::Debug for Material {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Material")
    }
}

/// The secret in use, and those before it that are still accepted.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Held {
    pub(super) current: Material,
    pub(super) previous: Vec<Material>,
}

impl Held {
    pub(super) fn new(current: Material) -> Self {
        Self { current, previous: Vec::new() }
    }

    /// Accepts these too, as far as there is room.
    pub(super) fn with(mut self, earlier: impl IntoIterator<Item = Material>) -> Self {
        for one in earlier {
            if self.previous.len() < MAX_PREVIOUS && one != self.current && !self.previous.contains(&one) {
                self.previous.push(one);
            }
        }
        self
    }

    /// The keys, of which the one of `leader` makes values, and all others are accepted.
    pub(super) fn keys_led_by(&self, leader: &Material) -> Result<SessionKeys, SealError> {
        let all = std::iter::once(&self.current).chain(&self.previous);
        SessionKeys::new(leader.bytes(), all.filter(|one| *one != leader).map(Material::bytes))
    }

    pub(super) fn keys(&self) -> Result<SessionKeys, SealError> {
        SessionKeys::new(self.current.bytes(), self.previous.iter().map(Material::bytes))
    }
}

#[cfg(test)]
mod tests {
    use nocrd_authz::keys::{KeyRing, Purpose};

    use super::*;

    #[test]
    fn a_line_break_at_the_end_is_not_part_of_a_secret() {
        let text = "0123456789abcdef0123456789abcdef";
        let bare = Material::parse(text.as_bytes()).unwrap();
        for ending in ["\n", "\r\n"] {
            assert_eq!(Material::parse(format!("{text}{ending}").as_bytes()).unwrap(), bare);
        }
        assert!(Material::parse(&text.as_bytes()[1..]).is_err());
        assert!(Material::parse(format!("{}\n", &text[1..]).as_bytes()).is_err());
    }

    #[test]
    fn new_secrets_differ_and_are_not_shown() {
        let (a, b) = (Material::random(), Material::random());
        assert_ne!(a, b);
        assert_eq!(a.bytes().len(), 64);
        assert!(a.bytes().iter().all(u8::is_ascii_hexdigit));
        assert!(!format!("{:?}", Held::new(a.clone())).contains(std::str::from_utf8(a.bytes()).unwrap()));
    }

    #[test]
    fn a_new_secret_is_accepted_before_values_are_made_with_it() {
        let (old, new) = (Material::random(), Material::random());
        let held = Held::new(new.clone()).with([old.clone()]);
        let id = |material: &Material| Held::new(material.clone()).keys().unwrap().current_id();
        assert_eq!(held.keys_led_by(&old).unwrap().current_id(), id(&old));
        assert_eq!(held.keys().unwrap().current_id(), id(&new));
        // A cookie of either is good in both.
        for keys in [held.keys_led_by(&old).unwrap(), held.keys().unwrap()] {
            let ring = KeyRing::known(keys);
            for made_with in [&old, &new] {
                let made = KeyRing::known(Held::new(made_with.clone()).keys().unwrap());
                let sealed = made.sign(Purpose::Session, b"x").unwrap();
                assert!(ring.verify(Purpose::Session, &sealed).is_ok());
            }
        }
    }

    #[test]
    fn few_earlier_secrets_are_accepted_and_each_once() {
        let current = Material::random();
        let mut earlier: Vec<Material> = (0..6).map(|_| Material::random()).collect();
        earlier.insert(0, current.clone());
        let held = Held::new(current).with(earlier.clone()).with(earlier.clone());
        assert_eq!(held.previous, earlier[1..=MAX_PREVIOUS]);
    }
}
