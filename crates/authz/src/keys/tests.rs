use proptest::prelude::*;

use super::*;

const OLD: &[u8] = b"an old secret of thirty-two bytes";
const NEW: &[u8] = b"a new secret, also of 32 bytes..";

fn ring(current: &[u8], previous: &[&[u8]]) -> KeyRing {
    KeyRing::known(SessionKeys::new(current, previous.iter().copied()).unwrap())
}

#[test]
fn t11_a_short_secret_is_refused() {
    assert_eq!(SessionKeys::new(&[7; 31], []).unwrap_err(), SealError::WeakSecret { bytes: 31 });
    assert_eq!(SessionKeys::new(b"", []).unwrap_err(), SealError::WeakSecret { bytes: 0 });
    assert!(SessionKeys::new(NEW, [&b"short"[..]]).is_err());
    assert!(SessionKeys::secret_from_jwt_secret(&[7; 31]).is_err());
}

#[test]
fn t17_a_value_of_the_previous_key_is_good_until_that_key_goes() {
    let before = ring(OLD, &[]);
    let signed = before.sign(Purpose::Session, b"hello").unwrap();
    let sealed = before.seal(Purpose::Refresh, b"", b"hello").unwrap();

    let during = ring(NEW, &[OLD]);
    assert_eq!(during.verify(Purpose::Session, &signed).unwrap(), b"hello");
    assert_eq!(during.open(Purpose::Refresh, b"", &sealed).unwrap(), b"hello");
    assert!(during.sign(Purpose::Session, b"x").unwrap().contains(during.current_id().unwrap().as_str()));

    let after = ring(NEW, &[]);
    let old_id = before.current_id().unwrap();
    assert_eq!(after.verify(Purpose::Session, &signed), Err(SealError::UnknownKey(old_id)));
    assert_eq!(after.open(Purpose::Refresh, b"", &sealed), Err(SealError::UnknownKey(old_id)));
}

#[tokio::test]
async fn t17_an_unknown_key_asks_the_owner_to_reload() {
    let signed = ring(NEW, &[]).sign(Purpose::Session, b"hello").unwrap();
    let replica = ring(OLD, &[]);
    assert!(replica.verify(Purpose::Session, &signed).is_err());
    replica.wanted().await;
    replica.set(SessionKeys::new(NEW, [OLD]).unwrap());
    assert_eq!(replica.verify(Purpose::Session, &signed).unwrap(), b"hello");
}

#[test]
fn a_ring_without_keys_makes_and_accepts_nothing() {
    let empty = KeyRing::default();
    assert!(!empty.is_known());
    assert_eq!(empty.sign(Purpose::Session, b""), Err(SealError::NotReady));
    assert_eq!(empty.seal(Purpose::Refresh, b"", b""), Err(SealError::NotReady));
    let signed = ring(NEW, &[]).sign(Purpose::Session, b"hello").unwrap();
    assert_eq!(empty.verify(Purpose::Session, &signed), Err(SealError::NotReady));
}

#[test]
fn t12_d40_signatures_are_compared_by_the_mac_itself_also_when_cut_short() {
    let ring = ring(NEW, &[]);
    let signed = ring.sign(Purpose::Session, b"hello").unwrap();
    let (head, mac) = signed.rsplit_once('.').unwrap();
    for cut in ["", &mac[..4], &mac[..40], &format!("{mac}AAAA")] {
        assert_eq!(
            ring.verify(Purpose::Session, &format!("{head}.{cut}")),
            Err(SealError::Malformed),
            "{cut}"
        );
    }
    assert_eq!(ring.verify(Purpose::Session, &format!("{head}.{}", "A".repeat(43))), Err(SealError::Forged));
}

#[test]
fn d58_the_jwt_secret_itself_signs_no_cookie() {
    let jwt_secret = [9_u8; 32];
    let derived = SessionKeys::secret_from_jwt_secret(&jwt_secret).unwrap();
    assert_ne!(derived, jwt_secret);
    let signed = ring(&derived, &[]).sign(Purpose::Session, b"hello").unwrap();
    let (head, mac) = signed.rsplit_once('.').unwrap();
    let direct =
        Hmac::<Sha256>::new_from_slice(&jwt_secret).unwrap().chain_update(head.as_bytes()).finalize();
    assert_ne!(URL_SAFE_NO_PAD.encode(direct.into_bytes()), mac);
}

#[test]
fn t20_no_debug_text_shows_key_material() {
    let text = format!("{:?}", ring(NEW, &[OLD]));
    assert!(!text.contains("secret"), "{text}");
}

#[test]
fn t61_a_handle_is_bound_to_its_owner() {
    let ring = ring(NEW, &[]);
    let handle = ring.seal(Purpose::Cursor, b"alice", b"after=ws-9").unwrap();
    assert_eq!(ring.open(Purpose::Cursor, b"alice", &handle).unwrap(), b"after=ws-9");
    assert_eq!(ring.open(Purpose::Cursor, b"bob", &handle), Err(SealError::Forged));
    assert_eq!(ring.open(Purpose::Cursor, b"", &handle), Err(SealError::Forged));
}

#[test]
fn values_of_version_1_are_refused() {
    let old_session =
        "eyJzdWIiOiJ1c2VyLTEiLCJyb2xlcyI6WyJhZG1pbiJdfQ.cb_PV3R1uqJzgItOotvodbeBrDGfWM9nGUurTfOm80w";
    let old_refresh = "AAECAwQFBgcICQoL.J94SsIJNoerSO7U7FA.jJ0-Xlz8A6ogd_3Nrw6yBQ";
    let ring = ring(b"test-secret-key-for-hmac-signing", &[]);
    assert_eq!(ring.verify(Purpose::Session, old_session), Err(SealError::Malformed));
    assert_eq!(ring.open(Purpose::Refresh, b"", old_refresh), Err(SealError::Malformed));
}

fn purpose() -> impl Strategy<Value = Purpose> {
    proptest::sample::select(Purpose::ALL.as_slice())
}

proptest! {
    #[test]
    fn what_was_made_is_read(purpose in purpose(), payload: Vec<u8>, context: Vec<u8>) {
        let ring = ring(NEW, &[OLD]);
        let signed = ring.sign(purpose, &payload).unwrap();
        prop_assert_eq!(&ring.verify(purpose, &signed).unwrap(), &payload);
        let sealed = ring.seal(purpose, &context, &payload).unwrap();
        prop_assert_eq!(&ring.open(purpose, &context, &sealed).unwrap(), &payload);
        prop_assert!(signed.bytes().chain(sealed.bytes()).all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)));
    }

    #[test]
    fn t18_no_value_of_one_purpose_opens_as_another(made in purpose(), read in purpose(), payload: Vec<u8>) {
        let ring = ring(NEW, &[]);
        let signed = ring.sign(made, &payload).unwrap();
        let sealed = ring.seal(made, b"", &payload).unwrap();
        prop_assert_eq!(ring.verify(read, &signed).is_ok(), made == read);
        prop_assert_eq!(ring.open(read, b"", &sealed).is_ok(), made == read);
        prop_assert!(ring.open(read, b"", &signed).is_err());
        prop_assert!(ring.verify(read, &sealed).is_err());
    }

    #[test]
    fn any_changed_byte_is_refused(payload: Vec<u8>, at: prop::sample::Index, other in 1_u8..128) {
        let ring = ring(NEW, &[]);
        for (text, sealed) in [
            (ring.sign(Purpose::Session, &payload).unwrap(), false),
            (ring.seal(Purpose::Session, b"", &payload).unwrap(), true),
        ] {
            let mut bytes = text.clone().into_bytes();
            let at = at.index(bytes.len());
            if bytes[at] == other {
                continue;
            }
            bytes[at] = other;
            let changed = String::from_utf8(bytes).unwrap();
            let result = if sealed {
                ring.open(Purpose::Session, b"", &changed)
            } else {
                ring.verify(Purpose::Session, &changed)
            };
            prop_assert!(result.is_err(), "{text} -> {changed}");
        }
    }

    #[test]
    fn no_text_panics(text in "\\PC{0,200}") {
        let ring = ring(NEW, &[]);
        prop_assert!(ring.verify(Purpose::Session, &text).is_err());
        prop_assert!(ring.open(Purpose::Session, b"", &text).is_err());
    }
}

#[test]
fn t12_d40_the_library_compares_macs_and_nothing_here_does() {
    // One place makes them, and one looks at them.
    let source = include_str!("../keys.rs");
    assert_eq!(source.matches(".verify_slice(").count(), 1);
    assert_eq!(source.matches(".into_bytes()").count(), 1);
}
