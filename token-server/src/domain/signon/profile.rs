//! What a provider says of somebody who proved to be them.
//!
//! *Invariant:* texts of others are cut and printable before anything is done with them, and a name is only a wish.

use serde_json::{Map, Value};

use super::super::principal_name::{MAX_NAME_BYTES, PrincipalName};
use super::super::record::audit;
use super::super::trust::claims::TokenClaims;
use super::provider::ClaimNames;

/// So many groups of somebody are looked at.
pub const MAX_GROUPS: usize = 2_000;

/// A longer identifier is none.
const MAX_SUBJECT_BYTES: usize = 500;

/// A longer name of a group is none.
const MAX_GROUP_BYTES: usize = 500;

/// A longer name is cut.
const MAX_DISPLAY_CHARACTERS: usize = 100;

/// Somebody, as their provider knows them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// Who says so.
    pub issuer: String,
    /// What never changes there and is given to nobody else.
    pub subject: String,
    /// How they are called there.
    pub name: String,
    /// How people call them.
    pub display_name: Option<String>,
    /// Which groups they are in; nothing if the provider said nothing about groups.
    pub groups: Option<Vec<String>>,
}

impl Profile {
    /// Puts together what was said; nothing without a usable subject.
    pub fn new(
        issuer: &str,
        subject: &str,
        name: &str,
        display_name: Option<&str>,
        groups: Option<Vec<String>>,
    ) -> Option<Self> {
        let is_usable = !subject.is_empty()
            && subject.len() <= MAX_SUBJECT_BYTES
            && !subject.chars().any(char::is_control);
        let groups = groups.map(|mut groups| {
            groups
                .retain(|group| !group.is_empty() && group.len() <= MAX_GROUP_BYTES && !group.contains('\0'));
            groups.truncate(MAX_GROUPS);
            groups.sort_unstable();
            groups.dedup();
            groups
        });
        is_usable.then(|| Self {
            issuer: issuer.to_owned(),
            subject: subject.to_owned(),
            name: shown(name),
            display_name: display_name.map(shown).filter(|name| !name.is_empty()),
            groups,
        })
    }

    /// What the claims of a provider say; nothing if they do not say who it is.
    pub fn from_claims(issuer: &str, claims: &Map<String, Value>, names: &ClaimNames) -> Option<Self> {
        let read = TokenClaims::new(claims);
        let subject = read.one(&names.subject)?;
        let name = read.one(&names.name).unwrap_or(subject);
        // Some providers leave the claim out for somebody who is in no group.
        let groups = (!are_groups_elsewhere(claims, names)).then(|| read.values(&names.groups).to_vec());
        Self::new(issuer, subject, name, read.one(&names.display_name), groups)
    }

    /// The name of the user that they would be.
    pub fn user_name(&self) -> Option<PrincipalName> {
        user_name_of(&self.name)
    }
}

/// The name of the user whom a provider calls so: what stands before an `@`, folded, with a dash for what no name has.
pub fn user_name_of(name: &str) -> Option<PrincipalName> {
    let before = name.split('@').next().unwrap_or_default();
    let fitting = |letter: char| letter.is_ascii_alphanumeric() || "._-".contains(letter);
    let name: String =
        before.trim().chars().map(|letter| if fitting(letter) { letter } else { '-' }).collect();
    let name = name.trim_start_matches(['.', '_', '-']);
    let name = &name[..name.len().min(MAX_NAME_BYTES)];
    PrincipalName::parse_new(name).ok()
}

/// Whether claims say anything about groups.
pub fn says_groups(claims: &Map<String, Value>, names: &ClaimNames) -> bool {
    // A claim can have a slash in its name, or be inside another one.
    claims.contains_key(&names.groups) || claims.contains_key(outermost(names))
}

/// Whether there are too many groups for a token, which says where to ask instead (OpenID Connect Core §5.6.2): then
/// nothing is known of them.
fn are_groups_elsewhere(claims: &Map<String, Value>, names: &ClaimNames) -> bool {
    claims.get("_claim_names").and_then(|elsewhere| elsewhere.get(outermost(names))).is_some()
}

fn outermost(names: &ClaimNames) -> &str {
    names.groups.split('/').next().unwrap_or_default()
}

fn shown(text: &str) -> String {
    audit::printable(text).chars().take(MAX_DISPLAY_CHARACTERS).collect::<String>().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn names() -> ClaimNames {
        ClaimNames {
            subject: "sub".into(),
            name: "preferred_username".into(),
            display_name: "name".into(),
            groups: "groups".into(),
        }
    }

    fn read(claims: &Value) -> Option<Profile> {
        Profile::from_claims("https://id.example", claims.as_object().unwrap(), &names())
    }

    #[test]
    fn claims_become_a_profile() {
        let said = json!({"sub": "7", "preferred_username": "Alice@acme.example", "name": "Alice\n A.",
                          "groups": ["b", "a", "b", ""]});
        let profile = read(&said).unwrap();
        assert_eq!(profile.groups, Some(vec!["a".into(), "b".into()]));
        assert_eq!(profile.user_name().unwrap().as_str(), "alice");
        assert!(!profile.display_name.unwrap().contains('\n'));
        assert_eq!(read(&json!({"preferred_username": "alice"})), None, "nobody without a subject");
        assert_eq!(read(&json!({"sub": ""})), None);
    }

    #[test]
    fn groups_that_are_told_elsewhere_are_not_no_groups() {
        assert_eq!(read(&json!({"sub": "7"})).unwrap().groups, Some(vec![]));
        assert_eq!(read(&json!({"sub": "7", "groups": []})).unwrap().groups, Some(vec![]));
        let overflow = json!({"sub": "7", "_claim_names": {"groups": "src1"}, "groups": []});
        assert_eq!(read(&overflow).unwrap().groups, None);
    }

    #[test]
    fn names_become_names_of_users_where_they_can() {
        let name = |text: &str| {
            let profile = Profile::new("i", "7", text, None, None).unwrap();
            profile.user_name().map(|name| name.to_string())
        };
        assert_eq!(name("Bob Builder@x"), Some("bob-builder".into()));
        assert_eq!(name("CORP\\carol"), Some("corp-carol".into()));
        assert_eq!(name("..dave"), Some("dave".into()));
        assert_eq!(name(&"e".repeat(90)).map(|name| name.len()), Some(63));
        for reserved in ["oidc", "everyone@x", "@x", "", "pcr_x"] {
            assert_eq!(name(reserved), None, "{reserved}");
        }
    }
}
