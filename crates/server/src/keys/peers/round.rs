//! What came of asking everybody once. Pure.

use super::{super::material::Held, candidate::Rank};

/// What a peer said.
#[derive(Debug)]
pub(super) enum Said {
    /// This is the key.
    Key(Held),
    /// It has none, or there is nobody listening.
    Nothing,
    /// No word, or none that could be believed.
    Unclear,
}

/// The answers of all peers, with the place of each, oldest first.
#[derive(Debug)]
pub(in super::super) struct Round {
    pub(super) own: Option<Rank>,
    pub(super) is_eldest: bool,
    pub(super) answers: Vec<(Rank, Said)>,
}

impl Round {
    fn keys(&self) -> impl Iterator<Item = (&Rank, &Held)> {
        self.answers.iter().filter_map(|(rank, said)| match said {
            Said::Key(held) => Some((rank, held)),
            _ => None,
        })
    }

    /// The key of the oldest peer that has one. What other peers hold is accepted as well.
    pub(in super::super) fn eldest(&self) -> Option<Held> {
        let mut keys = self.keys().map(|(_, held)| held.clone());
        let first = keys.next()?;
        Some(keys.fold(first, |held, other| held.with([other.current]).with(other.previous)))
    }

    /// Whether nobody has a key, and it is for us to make one: all the others wait for the oldest.
    pub(in super::super) fn is_ours_to_make(&self) -> bool {
        self.is_eldest && self.answers.iter().all(|(_, said)| matches!(said, Said::Nothing))
    }

    /// Brings a key of ours together with those of the peers: should replicas have parted, all come to use the oldest
    /// one's, and go on accepting what the others made. Tells whether the key in use is still ours.
    pub(in super::super) fn combine(&self, own: Held) -> (Held, bool) {
        let older = self.keys().next().filter(|(rank, _)| self.own.as_ref().is_none_or(|own| *rank < own));
        let (base, is_ours) = match older {
            Some((_, held)) if held.current != own.current => {
                (Held::new(held.current.clone()).with([own.current]).with(own.previous), false)
            }
            _ => (own, true),
        };
        let all = self.keys().map(|(_, held)| held.clone());
        (all.fold(base, |held, other| held.with([other.current]).with(other.previous)), is_ours)
    }
}
