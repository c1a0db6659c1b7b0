//! From the file to what it says.
//!
//! *Invariant:* every problem of a file is told at once, each with the place it is at; a file with a problem says
//! nothing.

use std::collections::BTreeMap;

use shared::limits::TagPattern;
use shared::repository_pattern::RepositoryPattern;

use super::super::barrier::Barrier;
use super::super::grant::{Conditions, Effect, InvalidConditions};
use super::super::grant_spec::{GrantSpec, NamedWhat};
use super::super::grant_subject::GrantSubject;
use super::super::namespace::NamespaceSpec;
use super::super::namespace::{self, CreatePolicy, Visibility};
use super::super::principal_name::PrincipalName;
use super::super::right::RightSet;
use super::super::role::Role;
use super::super::team_member::TeamMember;
use super::super::words::{moment, remark};
use super::document::{BarrierPart, Document, GrantPart, NamespacePart, RolePart, VERSION, WorkloadPart};
use super::thing::{Key, Thing};

/// What a file says, in the order of making.
pub type Things = BTreeMap<Key, Thing>;

/// All that is wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the policy makes no sense: {}", .0.join("; "))]
pub struct Problems(pub Vec<String>);

/// Understands a file.
pub fn read(document: &Document) -> Result<Things, Problems> {
    let mut reader = Reader::default();
    for (name, part) in &document.roles {
        reader.take(&format!("roles.{name}"), role(name, part));
    }
    for (name, part) in &document.workloads {
        reader.take(&format!("workloads.{name}"), workload(name, part));
    }
    for (name, members) in &document.teams {
        let place = format!("teams.{name}");
        reader.take(&place, team(name));
        for member in members {
            reader.take(&place, self::member(name, member));
        }
    }
    for (name, members) in &document.maintainers {
        for member in members {
            reader.make_maintainer(&format!("maintainers.{name}"), self::member(name, member));
        }
    }
    for (name, part) in &document.namespaces {
        reader.take(&format!("namespaces.{name}"), self::namespace(name, part));
    }
    for (index, part) in document.grants.iter().enumerate() {
        reader.take(&format!("grants[{index}]"), grant(part));
    }
    for (index, part) in document.barriers.iter().enumerate() {
        reader.take(&format!("barriers[{index}]"), barrier(part));
    }
    if reader.problems.is_empty() { Ok(reader.things) } else { Err(Problems(reader.problems)) }
}

#[derive(Default)]
struct Reader {
    things: Things,
    problems: Vec<String>,
}

impl Reader {
    fn take(&mut self, place: &str, read: Result<Thing, String>) {
        match read {
            Ok(thing) => {
                if let Some(twin) = self.things.insert(thing.key(), thing) {
                    self.problems.push(format!("{place}: {twin} is there twice"));
                }
            }
            Err(problem) => self.problems.push(format!("{place}: {problem}")),
        }
    }

    /// Says of somebody who is in a team that they maintain it.
    fn make_maintainer(&mut self, place: &str, read: Result<Thing, String>) {
        let made = read.and_then(|thing| {
            let known = self.things.get_mut(&thing.key());
            match known {
                Some(Thing::Member { member, .. }) if !member.can_maintain() => {
                    Err(format!("{member} cannot maintain a team; its members can, one by one"))
                }
                Some(Thing::Member { member, is_maintainer: true, .. }) => {
                    Err(format!("{member} is there twice"))
                }
                Some(Thing::Member { is_maintainer, .. }) => {
                    *is_maintainer = true;
                    Ok(())
                }
                _ => Err(format!("{thing} is not among `teams`, and only who is in a team can maintain it")),
            }
        });
        self.problems.extend(made.err().map(|problem| format!("{place}: {problem}")));
    }
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

fn rights(words: &[String]) -> Result<RightSet, String> {
    RightSet::parse(&words.join(",")).map_err(text)
}

fn role(name: &str, part: &RolePart) -> Result<Thing, String> {
    Role::check_new_name(name).map_err(text)?;
    remark::check(part.description.as_deref()).map_err(text)?;
    let (rights, description) = (rights(&part.actions)?, part.description.clone());
    Ok(Thing::Role { name: name.to_owned(), rights, description })
}

fn team(name: &str) -> Result<Thing, String> {
    Ok(Thing::Team(PrincipalName::parse_new(name).map_err(text)?))
}

fn workload(name: &str, part: &WorkloadPart) -> Result<Thing, String> {
    remark::check(part.description.as_deref()).map_err(text)?;
    let name = PrincipalName::parse_new(name).map_err(text)?;
    Ok(Thing::Workload { name, description: part.description.clone() })
}

fn member(team: &str, member: &str) -> Result<Thing, String> {
    let team = PrincipalName::parse(team).map_err(text)?;
    let member = TeamMember::parse(member).map_err(|error| format!("`{member}`: {error}"))?;
    Ok(Thing::Member { team, member, is_maintainer: false })
}

fn namespace(name: &str, part: &NamespacePart) -> Result<Thing, String> {
    let name = PrincipalName::parse_new(name).map_err(text)?;
    namespace::all_of(&name).map_err(text)?;
    let owner = namespace::parse_owner(&part.owner).map_err(text)?;
    let visibility = match part.visibility.as_deref() {
        None => Visibility::Private,
        Some(word) => Visibility::parse(word)
            .ok_or_else(|| format!("`{word}` is no visibility; use private, internal or public"))?,
    };
    let create = match part.create.as_deref() {
        None => CreatePolicy::Pushers,
        Some(word) => CreatePolicy::parse(word).ok_or_else(|| {
            format!("`{word}` does not say who makes repositories; use pushers, admins or nobody")
        })?,
    };
    Ok(Thing::Namespace { name, spec: NamespaceSpec { owner, visibility, create } })
}

fn grant(part: &GrantPart) -> Result<Thing, String> {
    let effect = match part.effect.as_deref() {
        None => Effect::Allow,
        Some(word) => {
            Effect::parse(word).ok_or_else(|| format!("`{word}` is no effect; use allow or deny"))?
        }
    };
    let what = match (&part.role, &part.actions) {
        (Some(role), None) if effect == Effect::Allow => NamedWhat::Role(role.clone()),
        (Some(_), None) => return Err("what is denied is listed as actions".to_owned()),
        (None, Some(words)) => NamedWhat::Rights(rights(words)?),
        _ => return Err("a grant names either a role or actions".to_owned()),
    };
    remark::check(part.reason.as_deref()).map_err(text)?;
    let moment = |text: &Option<String>| text.as_deref().map(moment::parse).transpose();
    let networks = part.networks.iter().map(|network| Conditions::parse_network(network));
    let conditions = Conditions {
        not_before: moment(&part.not_before).map_err(text)?,
        expires_at: moment(&part.expires_at).map_err(text)?,
        networks: networks.collect::<Result<_, _>>().map_err(text)?,
        second_factor: part.second_factor,
    };
    if conditions.second_factor && effect == Effect::Deny {
        return Err(InvalidConditions::DeniedWithSecondFactor.to_string());
    }
    let spec = GrantSpec {
        subject: GrantSubject::parse(&part.subject).map_err(text)?,
        effect,
        what,
        pattern: RepositoryPattern::parse(&part.pattern).map_err(text)?,
        tags: part.tags.as_deref().map(TagPattern::parse).transpose().map_err(text)?,
    };
    Ok(Thing::Grant { spec: Box::new(spec), conditions, reason: part.reason.clone() })
}

fn barrier(part: &BarrierPart) -> Result<Thing, String> {
    let pattern = RepositoryPattern::parse(&part.pattern).map_err(text)?;
    let rights = rights(&part.actions)?;
    remark::check(part.reason.as_deref()).map_err(text)?;
    Barrier::new(pattern.clone(), rights).map_err(text)?;
    Ok(Thing::Barrier { pattern, rights, reason: part.reason.clone() })
}

/// The file that says these things.
pub fn write<'a>(things: impl IntoIterator<Item = &'a Thing>) -> Document {
    let mut document = Document {
        version: VERSION,
        roles: BTreeMap::new(),
        teams: BTreeMap::new(),
        maintainers: BTreeMap::new(),
        workloads: BTreeMap::new(),
        namespaces: BTreeMap::new(),
        grants: Vec::new(),
        barriers: Vec::new(),
    };
    let words = |rights: RightSet| rights.to_string().split(',').map(str::to_owned).collect::<Vec<_>>();
    for thing in things {
        match thing {
            Thing::Role { name, rights, description } => {
                let part = RolePart { actions: words(*rights), description: description.clone() };
                document.roles.insert(name.clone(), part);
            }
            Thing::Team(name) => {
                document.teams.entry(name.to_string()).or_default();
            }
            Thing::Workload { name, description } => {
                let part = WorkloadPart { description: description.clone() };
                document.workloads.insert(name.to_string(), part);
            }
            Thing::Member { team, member, is_maintainer } => {
                if *is_maintainer {
                    document.maintainers.entry(team.to_string()).or_default().push(member.to_string());
                }
                document.teams.entry(team.to_string()).or_default().push(member.to_string());
            }
            Thing::Namespace { name, spec } => {
                let part = NamespacePart {
                    owner: spec.owner.to_string(),
                    visibility: Some(spec.visibility.to_string()),
                    create: Some(spec.create.to_string()),
                };
                document.namespaces.insert(name.to_string(), part);
            }
            Thing::Grant { spec, conditions, reason } => {
                let (role, actions) = match &spec.what {
                    NamedWhat::Role(role) => (Some(role.clone()), None),
                    NamedWhat::Rights(rights) => (None, Some(words(*rights))),
                };
                document.grants.push(GrantPart {
                    subject: spec.subject.to_string(),
                    effect: (spec.effect == Effect::Deny).then(|| spec.effect.as_str().to_owned()),
                    role,
                    actions,
                    pattern: spec.pattern.to_string(),
                    tags: spec.tags.as_ref().map(ToString::to_string),
                    not_before: conditions.not_before.map(moment::written),
                    expires_at: conditions.expires_at.map(moment::written),
                    networks: conditions.networks.iter().map(ToString::to_string).collect(),
                    second_factor: conditions.second_factor,
                    reason: reason.clone(),
                });
            }
            Thing::Barrier { pattern, rights, reason } => document.barriers.push(BarrierPart {
                pattern: pattern.to_string(),
                actions: words(*rights),
                reason: reason.clone(),
            }),
        }
    }
    document
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r"
version: 1
roles:
  deployer: {actions: [pull, push], description: Deploys}
teams:
  core: []
  platform: [alice, team:core, robot:platform/ci, workload:nightly]
maintainers:
  platform: [alice, robot:platform/ci]
workloads:
  nightly: {description: the nightly build}
  bare: {}
namespaces:
  platform: {owner: team:platform, visibility: internal, create: admins}
grants:
  - {subject: team:platform, role: deployer, pattern: 'apps/**', tags: 'pr-*', reason: CHG-1}
  - {subject: everyone, effect: deny, actions: [push], pattern: 'prod/**'}
  - {subject: 'workload:nightly', role: publisher, pattern: 'nightly/**'}
  - subject: user:ben
    actions: [pull]
    pattern: a
    not_before: 2027-01-01T00:00:00Z
    expires_at: 2028-01-01T00:00:00Z
    networks: [10.0.0.0/8]
barriers:
  - {pattern: 'prod/**', actions: [push, delete]}
";

    #[test]
    fn what_is_written_reads_back_as_the_same() {
        let things = read(&Document::parse(FILE).unwrap()).unwrap();
        assert_eq!(things.len(), 15);
        let written = write(things.values()).written().unwrap();
        assert_eq!(read(&Document::parse(&written).unwrap()).unwrap(), things, "{written}");
    }

    #[test]
    fn what_is_not_known_is_refused_with_its_place() {
        for (file, part) in [
            ("version: 2\n", "version 2"),
            ("grants: []\n", "version"),
            ("version: 1\nteam: {}\n", "team"),
            ("version: 1\ngrants:\n  - {subject: everyone, role: viewer, pattern: a, tag: x}\n", "tag"),
            ("version: 1\nteams: {a: [], a: []}\n", "a"),
        ] {
            let error = Document::parse(file).unwrap_err().to_string();
            assert!(error.contains(part), "{file}: {error}");
        }
    }

    #[test]
    fn all_problems_are_told_at_once() {
        let file = r"
version: 1
roles: {owner: {actions: [pull]}, x: {actions: [fly]}}
teams: {Everyone: [], a: [b/c, x, team:x]}
maintainers: {a: [y, x, x, team:x]}
workloads: {a/b: {}}
namespaces: {b: {owner: everyone}, c: {owner: user:a, visibility: secret}}
grants:
  - {subject: everyone, pattern: a}
  - {subject: everyone, effect: deny, role: viewer, pattern: a}
  - {subject: everyone, role: viewer, pattern: a}
  - {subject: everyone, role: viewer, pattern: a}
  - {subject: nobody, role: viewer, pattern: a}
barriers: [{pattern: a, actions: [pull]}]
";
        let Problems(problems) = read(&Document::parse(file).unwrap()).unwrap_err();
        let expected = [
            "roles.owner: `owner` is built in",
            "roles.x: `fly`",
            "workloads.a/b: a name has",
            "teams.Everyone: the name `everyone` is reserved",
            "teams.a: `b/c`",
            "maintainers.a: member of team a: y is not among",
            "maintainers.a: x is there twice",
            "maintainers.a: team:x cannot maintain",
            "namespaces.b: a namespace belongs",
            "namespaces.c: `secret`",
            "grants[0]: a grant names either",
            "grants[1]: what is denied",
            "grants[3]: grant everyone viewer a is there twice",
            "grants[4]: write a subject",
            "barriers[0]: a barrier stands",
        ];
        assert_eq!(problems.len(), expected.len(), "{problems:#?}");
        for (problem, expected) in problems.iter().zip(expected) {
            assert!(problem.starts_with(expected), "{problem}");
        }
    }
}
