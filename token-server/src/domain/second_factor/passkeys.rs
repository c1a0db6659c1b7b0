//! Keys of devices of one person: adding, showing and taking away.
//!
//! *Invariant:* a challenge is for one browser and one errand, a few minutes, and one answer.

use std::time::Duration;

use uuid::Uuid;

use super::super::error::TokenServerError;
use super::super::random;
use super::super::record::audit::{Event, Origin};
use super::super::words::remark;
use super::factors::{Parts, Person, SecondFactors};
use super::passkey::{Answer, BadAnswer, CHALLENGE_BYTES, Known, RelyingParty, Shown};
use crate::db;
use crate::db::error::DbError;
use crate::db::passkeys::{self, NewPasskey, PasskeyRow};

/// So long somebody may look for their key.
const CHALLENGE_LASTS: Duration = Duration::from_mins(5);

/// A person has at most this many.
const MAX_PASSKEYS: usize = 20;

/// Longest name.
const MAX_NAME_BYTES: usize = 200;

const PASSKEY: &str = "passkey";

/// What a key is to sign for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Errand {
    /// Being added.
    Register,
    /// Standing for its owner beside a password or in a session.
    Prove,
}

impl Errand {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Register => "register",
            Self::Prove => "prove",
        }
    }
}

impl SecondFactors {
    /// For which place keys are, if they are for any.
    pub fn party(&self) -> Option<&RelyingParty> {
        self.parts.party.as_ref()
    }

    /// What a key is to sign in the browser of this mark.
    pub async fn challenge(
        &self,
        mark: &[u8; 32],
        errand: Errand,
    ) -> Result<[u8; CHALLENGE_BYTES], TokenServerError> {
        let Parts { pool, clock, random, .. } = &self.parts;
        let challenge = random::bytes(random)?;
        let ends_at = clock.now() + CHALLENGE_LASTS;
        passkeys::insert_challenge(pool, (mark, errand.as_str()), &challenge, ends_at).await?;
        Ok(challenge)
    }

    async fn take_challenge(
        &self,
        mark: &[u8; 32],
        errand: Errand,
    ) -> Result<Result<(Vec<u8>, &RelyingParty), BadAnswer>, TokenServerError> {
        let Parts { pool, clock, party, .. } = &self.parts;
        let challenge = passkeys::take_challenge(pool, (mark, errand.as_str()), clock.now()).await?;
        Ok(challenge.zip(party.as_ref()).ok_or(BadAnswer::WrongChallenge))
    }

    /// Adds the key of an answer; returns recovery codes if it is the first factor.
    pub async fn add_passkey(
        &self,
        person: Person<'_>,
        mark: &[u8; 32],
        (name, answer): (&str, &str),
        origin: &Origin,
    ) -> Result<Vec<String>, TokenServerError> {
        let Parts { pool, clock, random, .. } = &self.parts;
        remark::check(Some(name))?;
        let name = name.trim();
        if name.is_empty() || name.len() > MAX_NAME_BYTES {
            let sentence = "say in some words what the passkey is to be called, such as phone".to_owned();
            return Err(TokenServerError::Contradiction(sentence));
        }
        let taken = self.take_challenge(mark, Errand::Register).await?;
        let read = taken.and_then(|(challenge, party)| Answer::read(answer)?.registered(&challenge, party));
        let key = read.map_err(|_| TokenServerError::WrongSecondFactor)?;
        let mut tx = db::begin(pool).await?;
        let is_first = !self.has_any(&mut tx, person.pid).await?;
        if passkeys::list_passkeys(&mut *tx, person.pid).await?.len() >= MAX_PASSKEYS {
            let sentence = format!("{MAX_PASSKEYS} passkeys are as many as one may have; remove one first");
            return Err(TokenServerError::Contradiction(sentence));
        }
        let id = random::dated_id(random, &**clock)?;
        let row = NewPasskey {
            id,
            pid: person.pid,
            credential_id: &key.id,
            public_key: &key.public_key,
            sign_count: key.count,
            name,
        };
        let is_taken = |error: DbError| {
            let is_known = [passkeys::NAME_KEY, passkeys::CREDENTIAL_KEY];
            if is_known.into_iter().any(|constraint| error.is_conflict_with(constraint)) {
                TokenServerError::AlreadyThere { kind: PASSKEY, name: name.to_owned() }
            } else {
                error.into()
            }
        };
        passkeys::insert_passkey(&mut *tx, &row, clock.now()).await.map_err(is_taken)?;
        let codes = if is_first { self.make_codes(&mut tx, person).await? } else { Vec::new() };
        self.record(&mut tx, Event::SecondFactorAdded, person, &format!("{PASSKEY} {name}"), origin).await?;
        db::commit(tx).await?;
        Ok(codes)
    }

    /// Takes a key away.
    pub async fn remove_passkey(
        &self,
        person: Person<'_>,
        id: Uuid,
        origin: &Origin,
    ) -> Result<(), TokenServerError> {
        let mut tx = db::begin(&self.parts.pool).await?;
        let name = passkeys::delete_passkey(&mut *tx, person.pid, id).await?;
        let name = name.ok_or_else(|| TokenServerError::NotFound { kind: PASSKEY, name: id.to_string() })?;
        self.forget_codes_without_factor(&mut tx, person.pid).await?;
        let remark = format!("{PASSKEY} {name}");
        self.record(&mut tx, Event::SecondFactorRemoved, person, &remark, origin).await?;
        Ok(db::commit(tx).await?)
    }

    /// Accepts an answer of a key of somebody, once; says what it was.
    pub async fn check_passkey(
        &self,
        person: Person<'_>,
        mark: &[u8; 32],
        answer: &str,
        origin: &Origin,
    ) -> Result<&'static str, TokenServerError> {
        let Parts { pool, clock, .. } = &self.parts;
        let taken = self.take_challenge(mark, Errand::Prove).await?;
        let keys = passkeys::list_passkeys(pool, person.pid).await?;
        let checked = taken.and_then(|(challenge, party)| {
            let answer = Answer::read(answer)?;
            let id = answer.key_id()?;
            let key = keys.iter().find(|key| key.credential_id == id).ok_or(BadAnswer::UnknownKey)?;
            let owner = person.uid.as_bytes();
            let known = Known { public_key: &key.public_key, count: key.sign_count, owner };
            answer.shown(&challenge, party, known).map(|shown| (key, shown))
        });
        let reason = match checked {
            Ok((PasskeyRow { id, .. }, Shown { count, .. })) => {
                if passkeys::update_counted(pool, *id, count, clock.now()).await? {
                    return Ok(PASSKEY);
                }
                BadAnswer::Copied
            }
            Err(reason) => reason,
        };
        self.record_refused(person, reason.as_str(), origin).await?;
        Err(TokenServerError::WrongSecondFactor)
    }
}
