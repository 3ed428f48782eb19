//! Encryption of one answer for one asker: X25519 between two keys made for it, HKDF-SHA256, AES-256-GCM.

use aes_gcm::{
    Aes256Gcm, KeyInit as _,
    aead::{Aead as _, Payload},
};
use aws_lc_rs::{
    agreement::{EphemeralPrivateKey, UnparsedPublicKey, X25519, agree_ephemeral},
    rand::SystemRandom,
};
use hkdf::Hkdf;
use sha2::Sha256;

/// The key encrypts one message, so one nonce is enough.
const NONCE: [u8; 12] = [0; 12];

/// One side's half.
pub(super) struct Half {
    private: EphemeralPrivateKey,
    pub(super) public: Vec<u8>,
}

/// What both sides must agree on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Parties<'a> {
    /// Uid of the pod that asks.
    pub(super) asker: &'a str,
    /// Uid of the pod that answers.
    pub(super) peer: &'a str,
}

/// Which half is ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Asker,
    Peer,
}

impl Half {
    pub(super) fn generate() -> Option<Self> {
        let private = EphemeralPrivateKey::generate(&X25519, &SystemRandom::new()).ok()?;
        let public = private.compute_public_key().ok()?.as_ref().to_vec();
        Some(Self { private, public })
    }

    /// Encrypts for whoever has the other half of `theirs`.
    pub(super) fn seal(self, theirs: &[u8], parties: Parties<'_>, plain: &[u8]) -> Option<Vec<u8>> {
        let payload = Payload { msg: plain, aad: b"" };
        self.cipher(theirs, parties, Side::Peer)?.encrypt(&NONCE.into(), payload).ok()
    }

    /// Decrypts what [`Self::seal`] made on the other side.
    pub(super) fn open(self, theirs: &[u8], parties: Parties<'_>, sealed: &[u8]) -> Option<Vec<u8>> {
        let payload = Payload { msg: sealed, aad: b"" };
        self.cipher(theirs, parties, Side::Asker)?.decrypt(&NONCE.into(), payload).ok()
    }

    fn cipher(self, theirs: &[u8], parties: Parties<'_>, side: Side) -> Option<Aes256Gcm> {
        let Self { private, public } = self;
        let (asker, peer) = if side == Side::Asker { (&public[..], theirs) } else { (theirs, &public[..]) };
        let length = |text: &[u8]| (text.len() as u64).to_be_bytes();
        let (asker_uid, peer_uid) = (parties.asker.as_bytes(), parties.peer.as_bytes());
        let info = [
            b"no-crd session key\0".as_slice(),
            &length(asker),
            asker,
            &length(peer),
            peer,
            &length(asker_uid),
            asker_uid,
            &length(peer_uid),
            peer_uid,
        ]
        .concat();
        let theirs = UnparsedPublicKey::new(&X25519, theirs);
        agree_ephemeral(private, theirs, (), |shared| {
            let mut key = [0; 32];
            Hkdf::<Sha256>::new(None, shared).expand(&info, &mut key).map_err(drop)?;
            Aes256Gcm::new_from_slice(&key).map_err(drop)
        })
        .ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_two_of_this_exchange_can_read_it() {
        let parties = Parties { asker: "a", peer: "b" };
        let seal = |asker: &Half| {
            let peer = Half::generate().unwrap();
            let public = peer.public.clone();
            (public, peer.seal(&asker.public, parties, b"key").unwrap())
        };
        let asker = Half::generate().unwrap();
        let (public, sealed) = seal(&asker);
        assert!(!sealed.windows(3).any(|part| part == b"key"));
        assert_eq!(asker.open(&public, parties, &sealed).unwrap(), b"key");

        let (asker, stranger) = (Half::generate().unwrap(), Half::generate().unwrap());
        let (public, sealed) = seal(&asker);
        assert_eq!(stranger.open(&public, parties, &sealed), None);
        assert_eq!(asker.open(&public, Parties { asker: "a", peer: "c" }, &sealed), None);
        // Points of small order would make the shared secret known to everybody.
        assert_eq!(Half::generate().unwrap().seal(&[0; 32], parties, b"key"), None);
        assert_eq!(Half::generate().unwrap().seal(b"short", parties, b"key"), None);
    }
}
