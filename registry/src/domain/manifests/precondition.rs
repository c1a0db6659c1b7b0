//! What a request may demand of the present state before it changes it.
//!
//! *Invariant:* a precondition is judged while nothing else can change what it is about.
//!
//! Spec: RFC 9110 §13.

use crate::oci::digest::Digest;

/// What must be so.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Precondition {
    /// It is one of these.
    pub if_match: Option<Expected>,
    /// It is none of these.
    pub if_none_match: Option<Expected>,
}

/// What a state is compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    /// Whatever exists.
    Anything,
    /// One of these; an empty list is met by nothing.
    OneOf(Vec<Digest>),
}

/// Which demand was not met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unmet {
    /// [`Precondition::if_match`]
    Match,
    /// [`Precondition::if_none_match`]
    NoneMatch,
}

impl Precondition {
    /// Whether nothing is demanded.
    pub fn is_empty(&self) -> bool {
        self.if_match.is_none() && self.if_none_match.is_none()
    }

    /// Compares it with what is there now, in the order of RFC 9110 §13.2.2.
    pub fn judge(&self, current: Option<&Digest>) -> Result<(), Unmet> {
        if self.if_match.as_ref().is_some_and(|expected| !expected.holds(current)) {
            return Err(Unmet::Match);
        }
        if self.if_none_match.as_ref().is_some_and(|expected| expected.holds(current)) {
            return Err(Unmet::NoneMatch);
        }
        Ok(())
    }
}

impl Expected {
    fn holds(&self, current: Option<&Digest>) -> bool {
        let Some(current) = current else { return false };
        match self {
            Self::Anything => true,
            Self::OneOf(digests) => digests.contains(current),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn if_match_is_judged_before_if_none_match() {
        let (a, b) = (Digest::sha256_of(b"a"), Digest::sha256_of(b"b"));
        let one = |digest: &Digest| Some(Expected::OneOf(vec![digest.clone()]));
        let any = || Some(Expected::Anything);
        let none = || Some(Expected::OneOf(Vec::new()));
        for (if_match, if_none_match, absent, present) in [
            (None, None, Ok(()), Ok(())),
            (any(), None, Err(Unmet::Match), Ok(())),
            (one(&a), None, Err(Unmet::Match), Ok(())),
            (one(&b), None, Err(Unmet::Match), Err(Unmet::Match)),
            (none(), None, Err(Unmet::Match), Err(Unmet::Match)),
            (None, any(), Ok(()), Err(Unmet::NoneMatch)),
            (None, one(&a), Ok(()), Err(Unmet::NoneMatch)),
            (None, one(&b), Ok(()), Ok(())),
            (one(&b), any(), Err(Unmet::Match), Err(Unmet::Match)),
            (one(&a), any(), Err(Unmet::Match), Err(Unmet::NoneMatch)),
        ] {
            let precondition = Precondition { if_match, if_none_match };
            assert_eq!(precondition.judge(None), absent, "{precondition:?}");
            assert_eq!(precondition.judge(Some(&a)), present, "{precondition:?}");
        }
    }
}
