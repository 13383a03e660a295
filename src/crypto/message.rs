//! Messages on their way to signatures: digested while they stream by, held whole only for Ed25519.
//!
//! Pure. ECDSA and RSA sign a digest, so a message of any length takes constant memory. Ed25519 reads its message
//! twice (RFC 8032, 5.1.6) and so needs it whole; that copy is bounded by
//! [`Limits::two_pass_message_bytes`](crate::limits::Limits::two_pass_message_bytes).

use std::fmt;

use aws_lc_rs::digest as backend;
use bytes::Bytes;

use super::algorithm::KeyAlgorithm;
use crate::digest::{Digest, DigestAlgorithm};
use crate::limits::Limits;

/// Takes a message in pieces and keeps what a set of keys needs of it.
///
/// ```
/// use attestry::crypto::{KeyAlgorithm, MessageDigester};
/// use attestry::limits::Limits;
/// let mut digester = MessageDigester::for_algorithms([KeyAlgorithm::EcdsaP256], &Limits::default());
/// digester.update(b"hello ");
/// digester.update(b"world");
/// let message = digester.finish();
/// # let _ = message;
/// ```
pub struct MessageDigester {
    contexts: Vec<(DigestAlgorithm, backend::Context)>,
    whole: Collecting,
}

enum Collecting {
    Unneeded,
    Kept { bytes: Vec<u8>, limit_bytes: u64 },
    TooLarge { limit_bytes: u64 },
}

impl MessageDigester {
    /// Starts with nothing read, for keys of these algorithms.
    ///
    /// The whole message is kept only if an Ed25519 key is among them.
    pub fn for_algorithms(algorithms: impl IntoIterator<Item = KeyAlgorithm>, limits: &Limits) -> Self {
        let mut digester = Self { contexts: Vec::new(), whole: Collecting::Unneeded };
        for algorithm in algorithms {
            for digest in algorithm.digest_algorithms() {
                digester.add(*digest);
            }
            if algorithm.needs_whole_message() {
                digester.whole = Collecting::Kept { bytes: Vec::new(), limit_bytes: limits.two_pass_message_bytes };
            }
        }
        digester
    }

    /// Has SHA-256 among the digests whatever the keys need, as a name of the message.
    #[must_use]
    pub fn named(mut self) -> Self {
        self.add(DigestAlgorithm::Sha256);
        self
    }

    /// Adds bytes.
    ///
    /// Past the bound for Ed25519 the collected bytes are dropped; digests go on.
    pub fn update(&mut self, piece: &[u8]) {
        for (_, context) in &mut self.contexts {
            context.update(piece);
        }
        if let Collecting::Kept { bytes, limit_bytes } = &mut self.whole {
            let length = bytes.len().saturating_add(piece.len());
            if u64::try_from(length).is_ok_and(|length| length <= *limit_bytes) {
                bytes.extend_from_slice(piece);
            } else {
                self.whole = Collecting::TooLarge { limit_bytes: *limit_bytes };
            }
        }
    }

    /// What the keys need of all that was added.
    pub fn finish(self) -> MessageDigests {
        let digests = self.contexts.into_iter().map(|(algorithm, context)| (algorithm, context.finish())).collect();
        let whole = match self.whole {
            Collecting::Unneeded => Whole::Unneeded,
            Collecting::Kept { bytes, .. } => Whole::Kept(Bytes::from(bytes)),
            Collecting::TooLarge { limit_bytes } => Whole::TooLarge { limit_bytes },
        };
        MessageDigests { digests, whole }
    }

    fn add(&mut self, algorithm: DigestAlgorithm) {
        if self.contexts.iter().all(|(present, _)| *present != algorithm) {
            self.contexts.push((algorithm, backend::Context::new(backend_of(algorithm))));
        }
    }
}

impl fmt::Debug for MessageDigester {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digests: Vec<_> = self.contexts.iter().map(|(algorithm, _)| algorithm.as_str()).collect();
        formatter.debug_struct("MessageDigester").field("digests", &digests).finish_non_exhaustive()
    }
}

/// What keys need of one message: its digests, and the message itself where an Ed25519 key asked for it.
///
/// Cloning copies no message.
#[derive(Clone)]
pub struct MessageDigests {
    digests: Vec<(DigestAlgorithm, backend::Digest)>,
    whole: Whole,
}

/// The message itself.
#[derive(Clone)]
pub(super) enum Whole {
    /// No Ed25519 key was among the keys.
    Unneeded,
    /// All of it.
    Kept(Bytes),
    /// It was longer than the bound.
    TooLarge {
        /// The bound.
        limit_bytes: u64,
    },
}

impl MessageDigests {
    /// Digests a message in memory for every algorithm.
    ///
    /// It copies the message and has no bound; large messages go through [`MessageDigester`].
    pub fn of(message: &[u8]) -> Self {
        let digests = DigestAlgorithm::ALL
            .into_iter()
            .map(|algorithm| (algorithm, backend::digest(backend_of(algorithm), message)))
            .collect();
        Self { digests, whole: Whole::Kept(Bytes::copy_from_slice(message)) }
    }

    /// SHA-256 of the message; `None` when neither a key nor [`MessageDigester::named`] asked for it.
    pub fn sha256(&self) -> Option<Digest> {
        Digest::from_bytes(DigestAlgorithm::Sha256, self.digest(DigestAlgorithm::Sha256)?.as_ref())
    }

    /// One digest; `None` when no key asked for it.
    pub(super) fn digest(&self, algorithm: DigestAlgorithm) -> Option<&backend::Digest> {
        self.digests.iter().find(|(present, _)| *present == algorithm).map(|(_, digest)| digest)
    }

    /// The message itself.
    pub(super) const fn whole(&self) -> &Whole {
        &self.whole
    }
}

impl fmt::Debug for MessageDigests {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digests: Vec<_> = self.digests.iter().map(|(algorithm, _)| algorithm.as_str()).collect();
        formatter.debug_struct("MessageDigests").field("digests", &digests).finish_non_exhaustive()
    }
}

fn backend_of(algorithm: DigestAlgorithm) -> &'static backend::Algorithm {
    match algorithm {
        DigestAlgorithm::Sha256 => &backend::SHA256,
        DigestAlgorithm::Sha384 => &backend::SHA384,
        DigestAlgorithm::Sha512 => &backend::SHA512,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERY: [KeyAlgorithm; 4] =
        [KeyAlgorithm::EcdsaP256, KeyAlgorithm::EcdsaP384, KeyAlgorithm::Ed25519, KeyAlgorithm::Rsa { bits: 2048 }];

    fn in_pieces(message: &[u8], piece_bytes: usize, limits: &Limits) -> MessageDigests {
        let mut digester = MessageDigester::for_algorithms(EVERY, limits);
        for piece in message.chunks(piece_bytes) {
            digester.update(piece);
        }
        digester.finish()
    }

    #[test]
    fn a_message_in_odd_pieces_gives_what_the_whole_message_gives() {
        let message: Vec<u8> = (0..=255).cycle().take(1000).collect();
        let whole = MessageDigests::of(&message);
        for piece_bytes in [1, 3, 63, 64, 65, 999, 1000] {
            let pieces = in_pieces(&message, piece_bytes, &Limits::default());
            for algorithm in DigestAlgorithm::ALL {
                let digest = |digests: &MessageDigests| digests.digest(algorithm).unwrap().as_ref().to_vec();
                assert_eq!(digest(&pieces), digest(&whole), "{}", algorithm.as_str());
            }
            assert!(matches!(pieces.whole(), Whole::Kept(bytes) if **bytes == *message));
        }
    }

    #[test]
    fn only_what_the_keys_need_is_kept() {
        let mut digester = MessageDigester::for_algorithms([KeyAlgorithm::EcdsaP256], &Limits::default());
        digester.update(b"message");
        let message = digester.finish();
        assert!(message.digest(DigestAlgorithm::Sha256).is_some());
        assert!(message.digest(DigestAlgorithm::Sha384).is_none());
        assert!(matches!(message.whole(), Whole::Unneeded));
    }

    #[test]
    fn a_message_of_just_the_limit_is_kept_and_one_byte_more_is_not() {
        let limits = Limits { two_pass_message_bytes: 4, ..Limits::default() };
        assert!(matches!(in_pieces(b"1234", 3, &limits).whole(), Whole::Kept(bytes) if bytes == "1234"));
        let over = in_pieces(b"12345", 2, &limits);
        assert!(matches!(over.whole(), Whole::TooLarge { limit_bytes: 4 }));
        assert!(over.digest(DigestAlgorithm::Sha256).is_some(), "digests go on");
    }
}
