//! Where to resume: an opaque text that a consumer keeps with what it made of the events.
//!
//! `nxt1` and in hex, integers little-endian:
//!
//! | offset | bytes | field                                                        |
//! |--------|-------|--------------------------------------------------------------|
//! | 0      | 16    | zone id                                                      |
//! | 16     | 8     | incarnation                                                  |
//! | 24     | 8     | seq: everything up to it was told or filtered                |
//! | 32     | 16    | hash of the filter                                           |
//! | 48     | 8     | the first bytes of BLAKE3 of `nxt1` and all before           |
//!
//! The checksum guards against cut and mistyped tokens. A token opens nothing: the gate is asked as for any tail.

use nexus_log::event::Reason;
use nexus_log::ids::{Incarnation, Seq, ZoneId, ZoneIdentity};

use super::Filter;
use crate::error::Error;

const VERSION: &str = "nxt1";
const SUMMED: usize = 48;
const BYTES: usize = SUMMED + 8;
const _: () = assert!(32 + Filter::HASH_BYTES == SUMMED);

/// Why a token is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    #[error("the token is not whole")]
    Malformed,
    #[error("the token was made by another release")]
    OtherVersion,
    #[error("the token is of zone {0}")]
    OtherZone(ZoneId),
    /// A restored copy has a history of its own from its restore on.
    #[error("the token is of incarnation {} of the zone", .0.0)]
    OtherIncarnation(Incarnation),
    #[error("the token was made with another filter")]
    OtherFilter,
    /// The log had more when the token was made: its files were put back to an earlier state.
    #[error("the token is of position {seq}, and the log ends at {last}")]
    Future { seq: Seq, last: Seq },
}

impl From<TokenError> for Error {
    fn from(error: TokenError) -> Error {
        let (kind, message) = match error {
            TokenError::Malformed => (Reason::Invalid, "this is no resume token, or not all of it"),
            TokenError::OtherVersion => (Reason::Unsupported, "the resume token was made by another release"),
            TokenError::OtherZone(_) => (Reason::CrossZone, "the resume token is of another zone; begin anew here"),
            TokenError::OtherIncarnation(_) => {
                (Reason::CrossZone, "the resume token is of another life of this zone; begin anew here")
            }
            TokenError::OtherFilter => {
                (Reason::Invalid, "the resume token was made with another filter; give the same, or begin anew")
            }
            TokenError::Future { .. } => {
                (Reason::Invalid, "the resume token is of a position that this log does not have; was it put back?")
            }
        };
        Error::new(kind, message).because(error)
    }
}

/// A position of a tail, bound to its zone and filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token {
    pub(super) identity: ZoneIdentity,
    pub(super) seq: Seq,
    pub(super) filter: [u8; Filter::HASH_BYTES],
}

impl Token {
    /// Of a tail with `filter` that has told or filtered everything up to `seq`.
    #[must_use]
    pub fn new(identity: ZoneIdentity, seq: Seq, filter: &Filter) -> Token {
        Token { identity, seq, filter: filter.hash() }
    }

    /// Everything up to it was told or filtered.
    #[must_use]
    pub fn seq(&self) -> Seq {
        self.seq
    }

    /// Does `text` look like a token, rather than a position or a time?
    #[must_use]
    pub fn is_meant(text: &str) -> bool {
        text.starts_with("nxt")
    }

    pub fn parse(text: &str) -> Result<Token, TokenError> {
        let Some(hex) = text.strip_prefix(VERSION) else {
            let digits = text.strip_prefix("nxt").map(|rest| rest.bytes().take_while(u8::is_ascii_digit).count());
            return Err(if digits.is_some_and(|n| n > 0) { TokenError::OtherVersion } else { TokenError::Malformed });
        };
        let bytes: [u8; BYTES] = unhex(hex).ok_or(TokenError::Malformed)?;
        if checksum(&bytes[..SUMMED]) != bytes[SUMMED..] {
            return Err(TokenError::Malformed);
        }
        let u64_at = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"));
        let zone = ZoneId(bytes[..16].try_into().expect("sixteen bytes"));
        let identity = ZoneIdentity { zone, incarnation: Incarnation(u64_at(16)) };
        let filter = bytes[32..SUMMED].try_into().expect("sixteen bytes");
        Ok(Token { identity, seq: Seq(u64_at(24)), filter })
    }

    /// May a tail of this zone, with this filter, whose log ends at `last`, go on from here?
    pub fn check(&self, identity: ZoneIdentity, filter: &Filter, last: Seq) -> Result<(), TokenError> {
        if self.identity.zone != identity.zone {
            return Err(TokenError::OtherZone(self.identity.zone));
        }
        if self.identity.incarnation != identity.incarnation {
            return Err(TokenError::OtherIncarnation(self.identity.incarnation));
        }
        if self.filter != filter.hash() {
            return Err(TokenError::OtherFilter);
        }
        if self.seq > last { Err(TokenError::Future { seq: self.seq, last }) } else { Ok(()) }
    }
}

impl std::fmt::Display for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut bytes = [0; BYTES];
        bytes[..16].copy_from_slice(&self.identity.zone.0);
        bytes[16..24].copy_from_slice(&self.identity.incarnation.0.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.seq.0.to_le_bytes());
        bytes[32..SUMMED].copy_from_slice(&self.filter);
        let sum = checksum(&bytes[..SUMMED]);
        bytes[SUMMED..].copy_from_slice(&sum);
        f.write_str(VERSION)?;
        bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

fn checksum(bytes: &[u8]) -> [u8; 8] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(VERSION.as_bytes()).update(bytes);
    *hasher.finalize().as_bytes().first_chunk().expect("a hash is longer")
}

fn unhex(text: &str) -> Option<[u8; BYTES]> {
    let digits = text.as_bytes();
    if digits.len() != 2 * BYTES {
        return None;
    }
    let value = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; BYTES];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = value(pair[0])? << 4 | value(pair[1])?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use nexus_log::ids::Inode;
    use proptest::prelude::*;

    use super::*;
    use crate::watch::Scope;

    fn identity() -> ZoneIdentity {
        ZoneIdentity { zone: ZoneId([7; 16]), incarnation: Incarnation(3) }
    }

    #[test]
    fn a_token_reads_back_and_no_change_of_it_does() {
        let token = Token::new(identity(), Seq(4711), &Filter::default());
        let text = token.to_string();
        assert_eq!(Token::parse(&text), Ok(token));
        for at in 0..text.len() {
            for other in ["0", "f", "x", "\u{e9}"] {
                let changed = format!("{}{other}{}", &text[..at], &text[at + 1..]);
                assert!(changed == text || Token::parse(&changed).is_err(), "{changed}");
            }
            assert!(Token::parse(&text[..at]).is_err());
        }
        assert_eq!(Token::parse(&text.replace("nxt1", "nxt2")), Err(TokenError::OtherVersion));
        assert_eq!(Token::parse(&text.to_uppercase()), Err(TokenError::Malformed));
    }

    #[test]
    fn a_token_is_good_for_one_zone_one_life_one_filter_and_no_future() {
        let token = Token::new(identity(), Seq(10), &Filter::default());
        let check = |identity, filter: &Filter, last| token.check(identity, filter, Seq(last));
        assert_eq!(check(identity(), &Filter::default(), 10), Ok(()));
        let future = TokenError::Future { seq: Seq(10), last: Seq(9) };
        assert_eq!(check(identity(), &Filter::default(), 9), Err(future));
        let other = ZoneIdentity { zone: ZoneId([8; 16]), ..identity() };
        assert_eq!(check(other, &Filter::default(), 10), Err(TokenError::OtherZone(ZoneId([7; 16]))));
        let other = ZoneIdentity { incarnation: Incarnation(4), ..identity() };
        assert_eq!(check(other, &Filter::default(), 10), Err(TokenError::OtherIncarnation(Incarnation(3))));
        let other = Filter { scope: Scope::Inode(Inode(1)), ..Filter::default() };
        assert_eq!(check(identity(), &other, 10), Err(TokenError::OtherFilter));
    }

    proptest! {
        #[test]
        fn any_text_is_a_token_or_an_error(text in "\\PC{0,200}", hex in "nxt1[0-9a-f]{112}") {
            let _ = Token::parse(&text);
            prop_assert_eq!(Token::parse(&hex), Err(TokenError::Malformed));
        }
    }
}
