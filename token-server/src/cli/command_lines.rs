//! Commands as they can be typed into a shell.
//!
//! *Invariant:* what is printed parses back to the same row, with the same conditions.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::db::grants::GrantSummary;
use crate::domain::grant_subject::spelled;
use crate::domain::right::RightSet;

const PROGRAM: &str = "token-server";

/// Takes a row away, without asking.
pub(super) fn remove(grant: &GrantSummary) -> String {
    let row = &grant.row;
    let mut words = begin("remove", grant, row.rights.as_deref());
    words.push(quoted(&row.pattern));
    words.extend(option("--tags", row.tags.as_deref()));
    words.push("--yes".to_owned());
    words.join(" ")
}

/// Adds a row like another one, elsewhere and perhaps with fewer rights.
pub(super) fn add_smaller(grant: &GrantSummary, pattern: &str, rights: Option<RightSet>) -> String {
    let reason = option("--reason", grant.reason.as_deref());
    [Some(row(grant, pattern, rights)), reason].into_iter().flatten().collect::<Vec<_>>().join(" ")
}

/// What makes a row the same row, whatever it was added for: how it is added without a reason.
pub(super) fn row(grant: &GrantSummary, pattern: &str, rights: Option<RightSet>) -> String {
    let row = &grant.row;
    let rights = rights.map(|rights| rights.to_string());
    let mut words = begin("add", grant, rights.as_deref().or(row.rights.as_deref()));
    words.push(quoted(pattern));
    words.extend(option("--tags", row.tags.as_deref()));
    words.extend(option("--from", row.not_before.map(time).as_deref()));
    words.extend(option("--expires", row.expires_at.map(time).as_deref()));
    for network in row.networks.iter().flatten() {
        words.extend(option("--network", Some(&network.to_string())));
    }
    words.extend(row.second_factor.then(|| "--second-factor".to_owned()));
    words.join(" ")
}

/// Everything before the pattern.
fn begin(verb: &str, grant: &GrantSummary, rights: Option<&str>) -> Vec<String> {
    let mut words: Vec<String> = [PROGRAM, "grant", verb].map(str::to_owned).into();
    words.push(quoted(&spelled(&grant.subject_kind, &grant.subject_name)));
    match (rights, &grant.row.role) {
        (Some(rights), _) => words.extend(option("--actions", Some(rights))),
        (None, Some(role)) => words.push(quoted(role)),
        (None, None) => {}
    }
    words
}

fn option(name: &str, value: Option<&str>) -> Option<String> {
    value.map(|value| format!("{name} {}", quoted(value)))
}

fn time(at: OffsetDateTime) -> String {
    at.format(&Rfc3339).expect("times of the database are within the years that RFC 3339 can write")
}

/// One word of a shell.
fn quoted(word: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/:.,_-+@".contains(&byte);
    if !word.is_empty() && word.bytes().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::grants::GrantRow;

    fn grant(role: Option<&str>, rights: Option<&str>) -> GrantSummary {
        GrantSummary {
            subject_kind: "team".into(),
            subject_name: "platform".into(),
            row: GrantRow {
                id: 7,
                subject_pid: 100,
                effect: "allow".into(),
                role: role.map(str::to_owned),
                role_rights: None,
                rights: rights.map(str::to_owned),
                pattern: "apps/**".into(),
                tags: None,
                not_before: None,
                expires_at: None,
                networks: None,
                second_factor: false,
            },
            source: "manual".into(),
            reason: None,
            created_by: None,
            created_at: OffsetDateTime::UNIX_EPOCH,
        }
    }

    #[test]
    fn commands_are_quoted_and_keep_what_limits_a_row() {
        let writer = grant(Some("writer"), None);
        assert_eq!(remove(&writer), "token-server grant remove team:platform writer 'apps/**' --yes");
        let mut limited = grant(None, Some("pull,push"));
        limited.row.tags = Some("pr-*".into());
        limited.row.expires_at = Some(OffsetDateTime::UNIX_EPOCH);
        limited.row.networks = Some(vec!["192.0.2.0/24".parse().unwrap()]);
        limited.reason = Some("it's CHG-17".into());
        assert_eq!(
            remove(&limited),
            "token-server grant remove team:platform --actions pull,push 'apps/**' --tags 'pr-*' --yes"
        );
        assert_eq!(
            add_smaller(&limited, "apps/a", None),
            r"token-server grant add team:platform --actions pull,push apps/a --tags 'pr-*' --expires 1970-01-01T00:00:00Z --network 192.0.2.0/24 --reason 'it'\''s CHG-17'"
        );
        let pull = RightSet::parse("pull").unwrap();
        assert_eq!(
            add_smaller(&writer, "apps/a", Some(pull)),
            "token-server grant add team:platform --actions pull apps/a"
        );
    }
}
