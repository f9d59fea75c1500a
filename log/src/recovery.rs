//! What the end of a log means: the table of cases (DESIGN section 4, R13–R17).
//!
//! The last segment is walked from its start to the first place `B` where no valid record stands. Then everything
//! that is known is reduced to [`TailFacts`], and [`decide`] says what it means:
//!
//! | header | at `B`   | a proof covers `B` | non-zero far behind `B` | verdict |
//! |--------|----------|--------------------|-------------------------|---------|
//! | blank  | –        | no                 | –                       | create the segment anew (its creation was cut short) |
//! | blank  | –        | yes                | –                       | damage: the segment is gone |
//! | bad    | –        | –                  | –                       | damage, unless nothing but the header block was ever written: create anew |
//! | newer  | –        | –                  | –                       | refuse: a newer release wrote it |
//! | good   | zeros    | no                 | no                      | clean end |
//! | good   | zeros    | yes                | –                       | damage: records are missing |
//! | good   | bad      | no                 | yes                     | damage: not provably torn (R16) |
//! | good   | bad      | yes                | –                       | damage |
//! | good   | bad      | no                 | no                      | torn: cut at `B` |
//! | good   | newer    | –                  | –                       | refuse |
//!
//! "zeros" means zeros from `B` to the end of the file. **Proofs of flush** for a seq are: the watermark, the flushed
//! seq that any valid record carries (also one behind `B`: it was written later), the name of a later segment, what
//! the tables have applied and what was signed. Valid records behind `B` are no proof by themselves: pages of one
//! unacknowledged batch reach the disk in any order (R14).

use crate::ids::Seq;

/// What stands in the last segment's header block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderFact {
    Good,
    Blank,
    Bad,
    Newer,
}

/// What stands at `B`, the end of the valid records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndFact {
    /// Nothing but zeros up to the end of the file.
    Zeros,
    /// Something that is not the next record.
    Bad,
    /// A whole record of a newer format.
    Newer,
}

/// All that the decision depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TailFacts {
    pub header: HeaderFact,
    pub end: EndFact,
    /// A proof of flush covers the record expected at `B`.
    pub proven: bool,
    /// Non-zero bytes stand further behind `B` (with a bad header: behind the header block) than a batch can reach.
    pub far: bool,
    /// Something but zeros stands behind the header block.
    pub content: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The log ends at `B`.
    Clean,
    /// The log ends at `B`; what stands behind it was never acknowledged and is zeroed.
    Torn,
    /// The last segment holds no record and its header was not finished: write it again.
    Recreate,
    /// The log stays as it is and the zone does not start.
    Damage(DamageKind),
    /// A newer release wrote it.
    Refuse,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DamageKind {
    #[error("the header of the segment is damaged")]
    Header,
    #[error("records that were flushed are missing")]
    Missing,
    #[error("a record that was flushed is damaged")]
    Flushed,
    #[error("a damaged record is followed by more than a batch can hold, so it is not provably torn")]
    NotProvablyTorn,
}

/// The table of the module doc.
#[must_use]
pub fn decide(facts: &TailFacts) -> Verdict {
    match (facts.header, facts.end) {
        (HeaderFact::Newer, _) => Verdict::Refuse,
        (HeaderFact::Blank | HeaderFact::Bad, _) if facts.content => Verdict::Damage(DamageKind::Header),
        (HeaderFact::Blank | HeaderFact::Bad, _) if facts.proven => Verdict::Damage(DamageKind::Missing),
        (HeaderFact::Blank | HeaderFact::Bad, _) => Verdict::Recreate,
        (HeaderFact::Good, EndFact::Newer) => Verdict::Refuse,
        (HeaderFact::Good, EndFact::Zeros) if facts.proven => Verdict::Damage(DamageKind::Missing),
        (HeaderFact::Good, EndFact::Zeros) => Verdict::Clean,
        (HeaderFact::Good, EndFact::Bad) if facts.proven => Verdict::Damage(DamageKind::Flushed),
        (HeaderFact::Good, EndFact::Bad) if facts.far => Verdict::Damage(DamageKind::NotProvablyTorn),
        (HeaderFact::Good, EndFact::Bad) => Verdict::Torn,
    }
}

/// What others know to be flushed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Proofs {
    /// Highest seq that the tables have applied.
    pub applied: Seq,
    /// Highest seq under a published signature.
    pub signed: Seq,
}

impl Proofs {
    #[must_use]
    pub fn highest(&self) -> Seq {
        self.applied.max(self.signed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every combination of facts, against the rules said in another way: the table as data.
    #[test]
    fn every_case_has_the_verdict_of_the_table() {
        use DamageKind::{Flushed, Header, Missing, NotProvablyTorn};
        let mut cases = 0;
        for header in [HeaderFact::Good, HeaderFact::Blank, HeaderFact::Bad, HeaderFact::Newer] {
            for end in [EndFact::Zeros, EndFact::Bad, EndFact::Newer] {
                for bits in 0..8u8 {
                    let (proven, far, content) = (bits & 1 != 0, bits & 2 != 0, bits & 4 != 0);
                    let facts = TailFacts { header, end, proven, far, content };
                    let lines: [(bool, Verdict); 10] = [
                        (header == HeaderFact::Newer, Verdict::Refuse),
                        (header == HeaderFact::Good && end == EndFact::Newer, Verdict::Refuse),
                        (matches!(header, HeaderFact::Blank | HeaderFact::Bad) && content, Verdict::Damage(Header)),
                        (
                            matches!(header, HeaderFact::Blank | HeaderFact::Bad) && !content && proven,
                            Verdict::Damage(Missing),
                        ),
                        (
                            matches!(header, HeaderFact::Blank | HeaderFact::Bad) && !content && !proven,
                            Verdict::Recreate,
                        ),
                        (header == HeaderFact::Good && end == EndFact::Zeros && proven, Verdict::Damage(Missing)),
                        (header == HeaderFact::Good && end == EndFact::Zeros && !proven, Verdict::Clean),
                        (header == HeaderFact::Good && end == EndFact::Bad && proven, Verdict::Damage(Flushed)),
                        (
                            header == HeaderFact::Good && end == EndFact::Bad && !proven && far,
                            Verdict::Damage(NotProvablyTorn),
                        ),
                        (header == HeaderFact::Good && end == EndFact::Bad && !proven && !far, Verdict::Torn),
                    ];
                    let matching: Vec<Verdict> = lines.iter().filter(|l| l.0).map(|l| l.1).collect();
                    assert_eq!(matching.len(), 1, "{facts:?} matches {matching:?}");
                    assert_eq!(decide(&facts), matching[0], "{facts:?}");
                    cases += 1;
                }
            }
        }
        assert_eq!(cases, 96);
    }

    #[test]
    fn nothing_that_a_proof_covers_is_ever_cut() {
        for header in [HeaderFact::Good, HeaderFact::Blank, HeaderFact::Bad] {
            for end in [EndFact::Zeros, EndFact::Bad] {
                for (far, content) in [(false, false), (false, true), (true, true)] {
                    let verdict = decide(&TailFacts { header, end, proven: true, far, content });
                    assert!(matches!(verdict, Verdict::Damage(_)), "{header:?} {end:?}: {verdict:?}");
                }
            }
        }
    }
}
