//! Filters with what somebody typed in them.
//!
//! *Invariant:* whatever is put into a filter is a value there and nothing else: no letter of it means anything to the
//! directory.
//!
//! Spec: RFC 4515 §3.

use std::fmt::Write as _;

/// Where the name stands that was typed.
pub const USER: &str = "{user}";

/// Where the name of the entry stands whose groups are asked for.
pub const DN: &str = "{dn}";

/// Names that were typed are at most so long.
const MAX_NAME_BYTES: usize = 200;

/// Whether somebody could have that name. Directories take many spellings for the same name (spaces, letters that look
/// alike, letters that are not seen), of which each would be a user of its own to whoever counts wrong passwords.
pub fn is_name(typed: &str) -> bool {
    !typed.is_empty() && typed.len() <= MAX_NAME_BYTES && typed.bytes().all(|byte| byte.is_ascii_graphic())
}

/// A text as a value in a filter.
pub fn escaped(text: &str) -> String {
    let mut filter = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '*' | '(' | ')' | '\\' | '\0' => push_byte(&mut filter, letter as u8),
            letter => filter.push(letter),
        }
    }
    filter
}

/// Bytes as a value in a filter.
pub fn escaped_bytes(bytes: &[u8]) -> String {
    let mut filter = String::with_capacity(bytes.len() * 3);
    for byte in bytes {
        push_byte(&mut filter, *byte);
    }
    filter
}

fn push_byte(filter: &mut String, byte: u8) {
    // A text takes everything.
    let _ = write!(filter, "\\{byte:02x}");
}

/// The filter that finds somebody of that name.
pub fn of_user(template: &str, name: &str) -> String {
    template.replace(USER, &escaped(name))
}

/// The filter that finds everybody, whatever their name is.
pub fn of_anybody(template: &str) -> String {
    template.replace(USER, "*")
}

/// The filter that finds the groups that one of these entries is in, the first of which is called `name`.
pub fn of_groups(template: &str, name: &str, dns: &[String]) -> String {
    let of = |dn: &String| {
        // One after the other: what was put in is not looked at again.
        let parts: Vec<String> = template.split(DN).map(|part| part.replace(USER, &escaped(name))).collect();
        parts.join(&escaped(dn))
    };
    match dns {
        [one] => of(one),
        several => format!("(|{})", several.iter().map(of).collect::<String>()),
    }
}

/// The filter that both filters let through.
pub fn both(one: &str, other: &str) -> String {
    format!("(&{one}{other})")
}

/// Whether a template makes filters.
pub fn is_sound(template: &str) -> bool {
    let filter = template.replace(USER, "a").replace(DN, "a");
    ldap3::parse_filter(filter).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_into_a_filter_means_nothing_there() {
        for (typed, expected) in [
            ("alice", "alice"),
            ("*", "\\2a"),
            ("a*)(uid=*", "a\\2a\\29\\28uid=\\2a"),
            ("a\0b", "a\\00b"),
            ("back\\slash", "back\\5cslash"),
            ("müller|&!=", "müller|&!="),
        ] {
            assert_eq!(escaped(typed), expected);
            assert_eq!(ldap3::ldap_escape(typed), expected, "both agree");
        }
        assert_eq!(escaped_bytes(&[0, 0x2a, 0xff]), "\\00\\2a\\ff");
        assert_eq!(
            of_user("(&(objectClass=person)(uid={user}))", ")("),
            "(&(objectClass=person)(uid=\\29\\28))"
        );
        assert_eq!(of_anybody("(|(uid={user})(mail={user}))"), "(|(uid=*)(mail=*))");
    }

    #[test]
    fn groups_are_asked_for_by_entry_and_name() {
        let dns = ["cn=a (b)".to_owned(), "cn={user}".to_owned()];
        assert_eq!(of_groups("(member={dn})", "a", &dns[..1]), "(member=cn=a \\28b\\29)");
        assert_eq!(of_groups("(member={dn})", "a", &dns), "(|(member=cn=a \\28b\\29)(member=cn={user}))");
        assert_eq!(of_groups("(memberUid={user})", "{dn}", &dns[..1]), "(memberUid={dn})");
    }

    #[test]
    fn only_filters_are_sound() {
        for sound in
            ["(uid={user})", "(&(objectClass=person)(uid={user}))", "(member:1.2.840.113556.1.4.1941:={dn})"]
        {
            assert!(is_sound(sound), "{sound}");
        }
        for unsound in ["", "(uid={user}", "(&(uid={user})", "()", "(uid={user})(cn=a)"] {
            assert!(!is_sound(unsound), "{unsound}");
        }
    }

    #[test]
    fn names_have_one_spelling() {
        for name in ["alice", "CORP\\alice", "alice@corp.example", "*", ")(uid=*"] {
            assert!(is_name(name), "{name}");
        }
        for none in [
            "",
            "alice ",
            " alice",
            "al ice",
            "al\u{ad}ice",
            "ａlice",
            "müller",
            "a\0",
            "a\n",
            &"a".repeat(201),
        ] {
            assert!(!is_name(none), "{none:?}");
        }
    }
}
