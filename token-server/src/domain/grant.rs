//! One row of the rights: who is given or denied what, where, and when it counts.
//!
//! *Invariant:* a row says the same whatever other rows there are.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;
use shared::limits::TagPattern;
use shared::repository_pattern::RepositoryPattern;
use time::OffsetDateTime;

use super::right::RightSet;
use super::role::Role;
use super::words::moment;
use crate::db::error::DbError;
use crate::db::grants::GrantRow;

/// Whether a row gives or takes away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Effect {
    /// It gives.
    Allow,
    /// It takes away, whatever else gives.
    Deny,
}

impl Effect {
    /// The word that is stored.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
        }
    }

    /// The effect of that word.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Allow, Self::Deny].into_iter().find(|effect| effect.as_str() == word)
    }
}

/// What a row gives or takes away: a role, or rights one by one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// Whatever the role allows.
    Role(Role),
    /// Exactly these.
    Rights(RightSet),
}

impl What {
    /// The rights it comes to.
    pub const fn rights(&self) -> RightSet {
        match self {
            Self::Role(role) => role.rights(),
            Self::Rights(rights) => *rights,
        }
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Role(role) => role.fmt(f),
            Self::Rights(rights) => rights.fmt(f),
        }
    }
}

/// One row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Its number in the database.
    pub id: i64,
    /// Inner number of the subject that holds it.
    pub holder: i64,
    /// Whether it gives or takes away.
    pub effect: Effect,
    /// What.
    pub what: What,
    /// On which repositories.
    pub pattern: RepositoryPattern,
    /// On which tags only.
    pub tags: Option<TagPattern>,
    /// When and from where it counts.
    pub conditions: Conditions,
}

/// When, from where and for which logins a row counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conditions {
    /// Not before.
    pub not_before: Option<OffsetDateTime>,
    /// No longer from then on.
    pub expires_at: Option<OffsetDateTime>,
    /// Only for clients in one of these networks; for all if there are none.
    pub networks: Vec<IpNet>,
    /// Only for people who logged in with a second factor.
    pub second_factor: bool,
}

/// Why conditions make no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidConditions {
    /// There would be no moment at which it counts.
    #[error("it would end before it begins to count")]
    NeverCounts,
    /// Not a network.
    #[error("`{0}` is neither a network nor an address")]
    Network(String),
    /// More than [`MAX_NETWORKS`].
    #[error("a right is limited to at most {MAX_NETWORKS} networks")]
    TooManyNetworks,
    /// A denial that could be escaped by logging in with less.
    #[error("a denial counts for every login, with a second factor and without")]
    DeniedWithSecondFactor,
}

/// More networks than anybody has; every decision looks at all of them.
pub const MAX_NETWORKS: usize = 64;

impl Conditions {
    /// Checks what is about to be stored.
    pub fn check(&self, effect: Effect, now: OffsetDateTime) -> Result<(), InvalidConditions> {
        if self.second_factor && effect == Effect::Deny {
            return Err(InvalidConditions::DeniedWithSecondFactor);
        }
        if self.expires_at.is_some_and(|end| end <= self.not_before.unwrap_or(now).max(now)) {
            return Err(InvalidConditions::NeverCounts);
        }
        if self.networks.len() > MAX_NETWORKS {
            return Err(InvalidConditions::TooManyNetworks);
        }
        Ok(())
    }

    /// Parses a network, or an address as a network of its own.
    pub fn parse_network(text: &str) -> Result<IpNet, InvalidConditions> {
        let parsed = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
        parsed.map(|network| network.trunc()).map_err(|_| InvalidConditions::Network(text.to_owned()))
    }
}

/// `from …, until …, in …, with a second factor`; nothing for a row that always counts.
impl fmt::Display for Conditions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut words = Vec::new();
        words.extend(self.not_before.map(|start| format!("from {}", moment::written(start))));
        words.extend(self.expires_at.map(|end| format!("until {}", moment::written(end))));
        words.extend(self.networks.iter().map(|network| format!("in {network}")));
        words.extend(self.second_factor.then(|| "with a second factor".to_owned()));
        f.write_str(&words.join(", "))
    }
}

/// What is known of a request besides who makes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Circumstances {
    /// Now.
    pub now: OffsetDateTime,
    /// Where the client is, if that is known.
    pub address: Option<IpAddr>,
    /// Whether it is made by somebody who showed a second factor, now or when what they log in with was made.
    pub second_factor: bool,
}

/// Why a row does not count at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotNow {
    /// It begins later.
    TooEarly,
    /// It has ended.
    Expired,
    /// The client is elsewhere.
    Elsewhere,
    /// It needs a second factor, and none was shown.
    NoSecondFactor,
}

impl Grant {
    /// Understands a stored row.
    pub fn read(row: GrantRow) -> Result<Self, DbError> {
        let wrong =
            |column, value: &str| DbError::Inconsistent { table: "acl_grant", column, value: value.into() };
        let what = match (row.role.as_deref(), row.rights.as_deref()) {
            (Some(role), None) => What::Role(match (Role::find_built_in(role), &row.role_rights) {
                (Some(role), _) => role,
                (None, Some(rights)) => {
                    let rights = RightSet::parse(rights).map_err(|_| wrong("role", role))?;
                    Role::stored(role.to_owned(), rights)
                }
                (None, None) => return Err(wrong("role", role)),
            }),
            (None, Some(rights)) => {
                What::Rights(RightSet::parse(rights).map_err(|_| wrong("rights", rights))?)
            }
            _ => return Err(wrong("role", "")),
        };
        let tags = row.tags.as_deref().map(|tags| TagPattern::parse(tags).map_err(|_| wrong("tags", tags)));
        Ok(Self {
            id: row.id,
            holder: row.subject_pid,
            effect: Effect::parse(&row.effect).ok_or_else(|| wrong("effect", &row.effect))?,
            what,
            pattern: RepositoryPattern::parse(&row.pattern).map_err(|_| wrong("pattern", &row.pattern))?,
            tags: tags.transpose()?,
            conditions: Conditions {
                not_before: row.not_before,
                expires_at: row.expires_at,
                networks: row.networks.unwrap_or_default(),
                second_factor: row.second_factor,
            },
        })
    }

    /// Whether it counts; a denial that depends on an address counts for clients whose address is not known.
    pub fn counts(&self, circumstances: Circumstances) -> Result<(), NotNow> {
        let Conditions { not_before, expires_at, networks, second_factor } = &self.conditions;
        if not_before.is_some_and(|start| circumstances.now < start) {
            return Err(NotNow::TooEarly);
        }
        if expires_at.is_some_and(|end| end <= circumstances.now) {
            return Err(NotNow::Expired);
        }
        let is_near = match circumstances.address {
            _ if networks.is_empty() => true,
            Some(address) => networks.iter().any(|network| network.contains(&address)),
            None => self.effect == Effect::Deny,
        };
        if !is_near {
            return Err(NotNow::Elsewhere);
        }
        // No denial has this condition; if one had, it would count for everybody.
        if *second_factor && self.effect == Effect::Allow && !circumstances.second_factor {
            return Err(NotNow::NoSecondFactor);
        }
        Ok(())
    }

    /// The next moment from which it counts otherwise than now.
    pub fn changes_after(&self, now: OffsetDateTime) -> Option<OffsetDateTime> {
        let moments = [self.conditions.not_before, self.conditions.expires_at];
        moments.into_iter().flatten().filter(|moment| *moment > now).min()
    }

    /// Its rights. With a pattern of tags it gives what can be confined to tags, and what is needed to push under one.
    pub fn rights(&self) -> RightSet {
        let rights = self.what.rights();
        match (&self.tags, self.effect) {
            (None, _) => rights,
            (Some(_), Effect::Allow) => rights.confined_to_tags(),
            (Some(_), Effect::Deny) => rights.intersection(RightSet::OF_TAGS),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_counts_in_its_time_and_its_networks() {
        let at = |second| OffsetDateTime::from_unix_timestamp(second).unwrap();
        let grant = |effect| Grant {
            id: 1,
            holder: 1,
            effect,
            what: What::Role(Role::VIEWER),
            pattern: RepositoryPattern::parse("a").unwrap(),
            tags: None,
            conditions: Conditions {
                not_before: Some(at(10)),
                expires_at: Some(at(20)),
                networks: vec!["192.0.2.0/24".parse().unwrap(), "2001:db8::/32".parse().unwrap()],
                second_factor: false,
            },
        };
        for (now, address, allow, deny) in [
            (9, Some("192.0.2.1"), Err(NotNow::TooEarly), Err(NotNow::TooEarly)),
            (10, Some("192.0.2.1"), Ok(()), Ok(())),
            (19, Some("2001:db8::1"), Ok(()), Ok(())),
            (20, Some("192.0.2.1"), Err(NotNow::Expired), Err(NotNow::Expired)),
            (15, Some("198.51.100.1"), Err(NotNow::Elsewhere), Err(NotNow::Elsewhere)),
            (15, None, Err(NotNow::Elsewhere), Ok(())),
        ] {
            let address = address.map(|address| address.parse().unwrap());
            let circumstances = Circumstances { now: at(now), address, second_factor: false };
            assert_eq!(grant(Effect::Allow).counts(circumstances), allow, "{now} {address:?}");
            assert_eq!(grant(Effect::Deny).counts(circumstances), deny, "{now} {address:?}");
        }
    }

    #[test]
    fn a_row_that_needs_a_second_factor_counts_with_one() {
        let grant = Grant {
            id: 1,
            holder: 1,
            effect: Effect::Allow,
            what: What::Role(Role::VIEWER),
            pattern: RepositoryPattern::parse("a").unwrap(),
            tags: None,
            conditions: Conditions { second_factor: true, ..Conditions::default() },
        };
        let with =
            |second_factor| Circumstances { now: OffsetDateTime::UNIX_EPOCH, address: None, second_factor };
        assert_eq!(grant.counts(with(true)), Ok(()));
        assert_eq!(grant.counts(with(false)), Err(NotNow::NoSecondFactor));
        let check = |effect| grant.conditions.check(effect, OffsetDateTime::UNIX_EPOCH);
        assert_eq!(check(Effect::Allow), Ok(()));
        assert_eq!(check(Effect::Deny), Err(InvalidConditions::DeniedWithSecondFactor));
    }

    #[test]
    fn conditions_are_written_as_they_are_read() {
        let at = |text| Some(moment::parse(text).unwrap());
        let conditions = Conditions {
            not_before: at("2027-01-31T12:00:00Z"),
            expires_at: at("2027-06-30T00:00:00Z"),
            networks: vec!["192.0.2.0/24".parse().unwrap()],
            second_factor: true,
        };
        let written =
            "from 2027-01-31T12:00:00Z, until 2027-06-30T00:00:00Z, in 192.0.2.0/24, with a second factor";
        assert_eq!(conditions.to_string(), written);
    }

    #[test]
    fn with_a_pattern_of_tags_a_row_is_about_tags() {
        let row = |effect, role| Grant {
            id: 1,
            holder: 1,
            effect,
            what: What::Role(role),
            pattern: RepositoryPattern::parse("a").unwrap(),
            tags: Some(TagPattern::parse("pr-*").unwrap()),
            conditions: Conditions::default(),
        };
        let rights = |effect, role| row(effect, role).rights().to_string();
        let writer = "list,pull,push-digest,tag-create,tag-update,repository-create";
        assert_eq!(rights(Effect::Allow, Role::WRITER), writer);
        let owner = "list,pull,push-digest,tag-create,tag-update,tag-delete,repository-create";
        assert_eq!(rights(Effect::Allow, Role::OWNER), owner);
        assert_eq!(rights(Effect::Allow, Role::SIGNER), "list,pull");
        assert_eq!(rights(Effect::Deny, Role::OWNER), "tag-create,tag-update,tag-delete");
    }
}
