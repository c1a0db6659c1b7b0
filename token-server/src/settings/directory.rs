//! `signon.providers.NAME` of a directory.
//!
//! *Invariant:* a password goes over a network only where TLS protects it, or the operator says that it need not.

use std::net::IpAddr;
use std::time::Duration;

use serde::Deserialize;
use shared::server::settings::Duration as DurationText;
use url::Url;

use super::Problems;
use super::signon::RawProvider;
use crate::domain::signon::directory::{filters, tls};
use crate::domain::signon::provider::{AttributeNames, Directory};

#[derive(Debug, Default, Deserialize)]
pub(super) struct RawAttributes {
    subject: Option<String>,
    name: Option<String>,
    displayname: Option<String>,
    group: Option<String>,
}

const USER_FILTER: &str = "(&(objectClass=person)(uid={user}))";

const GROUP_FILTER: &str = "(member={dn})";

const TIMEOUT: Duration = Duration::from_secs(5);

const MAX_TIMEOUT: Duration = Duration::from_mins(1);

const CONNECTIONS: usize = 4;

const MAX_CONNECTIONS: usize = 1_000;

/// Before the name of a directory, where it is said who says so.
const ISSUER: &str = "ldap:";

/// The address of a directory, which may be alone in it.
fn address(text: &str) -> Option<Url> {
    let url: Url = text.parse().ok()?;
    let is_address = matches!(url.scheme(), "ldap" | "ldaps")
        && url.host_str().is_some_and(|host| !host.is_empty())
        && matches!(url.path(), "" | "/")
        && url.query().is_none()
        && url.username().is_empty()
        && url.password().is_none();
    is_address.then_some(url)
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

fn urls(raw: &RawProvider, key: &impl Fn(&str) -> String, problems: &mut Problems) -> Vec<Url> {
    let mut urls = Vec::new();
    for text in &raw.url {
        let Some(url) = address(text) else {
            problems.add(format!("{} must be addresses such as ldaps://host or ldap://host:389", key("url")));
            continue;
        };
        let has_tls = raw.starttls || url.scheme() == "ldaps";
        if !has_tls && !raw.allowplaintext && !is_loopback(&url) {
            problems.add(format!(
                "{} would send passwords to {text} in the clear; use ldaps://, or `starttls: true`, or allow it with \
                 `allowplaintext: true`",
                key("url")
            ));
        }
        if has_tls && url.host_str().is_some_and(|host| host.starts_with('[')) {
            problems.add(format!("{} must have a name or an address of IPv4 where there is TLS", key("url")));
        }
        urls.push(url);
    }
    if raw.url.is_empty() {
        problems.add(format!("{} is not set", key("url")));
    }
    urls
}

/// Reads it.
pub(super) fn directory(raw: &RawProvider, name: &str, problems: &mut Problems) -> Option<Directory> {
    let key = |rest: &str| format!("`signon.providers.{name}.{rest}`");
    let before = problems.0.len();
    let urls = urls(raw, &key, problems);
    let config = raw.cafile.as_ref().and_then(|file| {
        let read = std::fs::read(file).map_err(|error| error.to_string());
        match read.and_then(|pem| tls::believing(&pem).map_err(|error| error.to_string())) {
            Ok(config) => Some(config),
            Err(error) => {
                problems.add(format!("{}: {} cannot be used: {error}", key("cafile"), file.display()));
                None
            }
        }
    });
    if raw.binddn.is_empty() != raw.bindpassword.is_empty() {
        problems.add(format!("{} and {} go together", key("binddn"), key("bindpassword")));
    }
    if raw.base.is_empty() {
        problems.add(format!("{} is not set", key("base")));
    }
    let given = |given: &Option<String>, usual: &str| given.clone().unwrap_or_else(|| usual.to_owned());
    let user_filter = given(&raw.userfilter, USER_FILTER);
    let group_filter = Some(given(&raw.groupfilter, GROUP_FILTER)).filter(|filter| !filter.is_empty());
    let disabled_filter = raw.disabledfilter.clone().filter(|filter| !filter.is_empty());
    let filters_given = [
        ("userfilter", Some(&user_filter)),
        ("groupfilter", group_filter.as_ref()),
        ("disabledfilter", disabled_filter.as_ref()),
    ];
    for (of, filter) in filters_given {
        if filter.is_some_and(|filter| !filters::is_sound(filter)) {
            problems.add(format!("{} is no filter; it looks like (uid={{user}})", key(of)));
        }
    }
    if !user_filter.contains(filters::USER) {
        problems.add(format!(
            "{} must have {} in it, or everybody would be meant",
            key("userfilter"),
            filters::USER
        ));
    }
    // Whether somebody is still there is asked with a star in the place of the name.
    if user_filter.contains(&format!(":={}", filters::USER)) {
        problems.add(format!("{} must compare the name with `=`", key("userfilter")));
    }
    let asks_by = |filter: &String| filter.contains(filters::DN) || filter.contains(filters::USER);
    if group_filter.as_ref().is_some_and(|filter| !asks_by(filter)) {
        problems.add(format!("{} must have {} or {} in it", key("groupfilter"), filters::DN, filters::USER));
    }
    let timeout = raw.timeout.unwrap_or(DurationText(TIMEOUT));
    problems.range(key("timeout").trim_matches('`'), timeout, Duration::from_millis(100), MAX_TIMEOUT);
    let connections = raw.connections.unwrap_or(CONNECTIONS);
    if !(1..=MAX_CONNECTIONS).contains(&connections) {
        problems.add(format!("{} must be between 1 and {MAX_CONNECTIONS}", key("connections")));
    }
    (problems.0.len() == before).then(|| Directory {
        issuer: format!("{ISSUER}{name}"),
        urls,
        start_tls: raw.starttls,
        tls: config,
        bind_dn: raw.binddn.clone(),
        bind_password: raw.bindpassword.clone(),
        base: raw.base.clone(),
        user_filter,
        disabled_filter,
        attributes: AttributeNames {
            subject: given(&raw.attributes.subject, "entryUUID"),
            name: given(&raw.attributes.name, "uid"),
            display_name: given(&raw.attributes.displayname, "cn"),
            group: given(&raw.attributes.group, "cn"),
        },
        group_base: given(&raw.groupbase, &raw.base),
        group_filter,
        nested_groups: raw.nestedgroups.unwrap_or(true),
        timeout: timeout.0,
        connections,
    })
}

#[cfg(test)]
mod tests {
    use shared::server::settings::SettingsError;

    use super::super::{TokenServerSettings, load};
    use super::*;

    /// The directory `corp` of these settings, or what is wrong with it.
    fn read(keys: &str) -> Result<Directory, String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        let yaml = format!(
            "database: {{url: postgres://x}}\nsecret: {}\nsignon: {{providers: {{corp: {{kind: ldap, {keys}}}}}}}",
            "s".repeat(32)
        );
        std::fs::write(file.path(), yaml).unwrap();
        let read =
            load(Some(file.path()), Vec::new()).and_then(|loaded| TokenServerSettings::validate(&loaded));
        let settings = read.map_err(|error: SettingsError| error.to_string())?;
        let provider = settings.sign_on.providers.get("corp").expect("it is there");
        assert_eq!((provider.issuer(), provider.open_id().is_none()), ("ldap:corp", true));
        Ok(provider.directory().expect("a directory").clone())
    }

    const ENOUGH: &str = "url: [ldaps://ldap.example], base: 'dc=example'";

    #[test]
    fn an_address_and_a_base_are_all_that_is_needed() {
        let directory = read(ENOUGH).unwrap();
        assert_eq!(directory.user_filter, "(&(objectClass=person)(uid={user}))");
        assert_eq!(directory.group_filter.as_deref(), Some("(member={dn})"));
        assert_eq!((directory.group_base.as_str(), directory.bind_dn.as_str()), ("dc=example", ""));
        assert_eq!((directory.timeout, directory.connections), (TIMEOUT, CONNECTIONS));
        assert_eq!((directory.nested_groups, directory.start_tls), (true, false));
        let names = directory.attributes;
        assert_eq!(
            [names.subject, names.name, names.display_name, names.group],
            ["entryUUID", "uid", "cn", "cn"]
        );
        let none = read(&format!("{ENOUGH}, groupfilter: '', nestedgroups: false")).unwrap();
        assert_eq!((none.group_filter, none.nested_groups), (None, false));
    }

    #[test]
    fn what_the_manual_shows_can_be_used() {
        let manual = include_str!("../../README.md").split("### Users of an LDAP directory").nth(1).unwrap();
        let examples = manual.split("\n### ").next().unwrap().split("```yaml").skip(1);
        let mut names = Vec::new();
        for example in examples {
            let example = example.split("```").next().unwrap();
            let of_this_machine =
                |line: &&str| line.contains("cafile:") || line.contains("bindpasswordfile:");
            let lines: Vec<&str> = example.lines().filter(|line| !of_this_machine(line)).collect();
            let own = format!("database: {{url: postgres://x}}\nsecret: {}\n", "s".repeat(32));
            let yaml = own + &lines.join("\n").replace("binddn:", "bindpassword: a\n      binddn:");
            let file = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(file.path(), yaml).unwrap();
            let settings =
                TokenServerSettings::validate(&load(Some(file.path()), Vec::new()).unwrap()).unwrap();
            let told = settings.sign_on.providers.iter().map(|provider| provider.issuer().to_owned());
            names.extend(told);
        }
        assert_eq!(names, ["ldap:corp", "ldap:ad"]);
    }

    #[test]
    fn passwords_go_in_the_clear_only_within_the_machine_or_where_that_is_allowed() {
        for url in ["ldap://127.0.0.1:389", "ldap://localhost", "ldap://[::1]:389", "ldaps://ldap.example"] {
            assert!(read(&format!("url: ['{url}'], base: a")).is_ok(), "{url}");
        }
        let told = read("url: [ldaps://a.example, ldap://b.example], base: a").unwrap_err();
        assert!(told.contains("passwords to ldap://b.example in the clear"), "{told}");
        for more in ["starttls: true", "allowplaintext: true"] {
            assert!(read(&format!("url: [ldap://b.example], base: a, {more}")).is_ok(), "{more}");
        }
    }

    #[test]
    fn what_cannot_work_is_said_by_its_key() {
        for (keys, key) in [
            ("base: a", "url"),
            ("url: [http://a], base: a", "url"),
            ("url: ['ldaps://user:password@a'], base: a", "url"),
            ("url: ['ldaps://[::1]'], base: a", "url"),
            ("url: [ldaps://a]", "base"),
            ("url: [ldaps://a], base: a, binddn: cn=a", "bindpassword"),
            ("url: [ldaps://a], base: a, bindpassword: a", "binddn"),
            ("url: [ldaps://a], base: a, userfilter: (uid=alice)", "userfilter"),
            ("url: [ldaps://a], base: a, userfilter: '(uid={user}'", "userfilter"),
            ("url: [ldaps://a], base: a, userfilter: '(uid:dn:={user})'", "userfilter"),
            ("url: [ldaps://a], base: a, groupfilter: (cn=a)", "groupfilter"),
            ("url: [ldaps://a], base: a, disabledfilter: a=b)", "disabledfilter"),
            ("url: [ldaps://a], base: a, timeout: 2m", "timeout"),
            ("url: [ldaps://a], base: a, connections: 0", "connections"),
            ("url: [ldaps://a], base: a, cafile: /nowhere", "cafile"),
        ] {
            let told = read(keys).unwrap_err();
            assert!(told.contains(&format!("`signon.providers.corp.{key}`")), "{keys}: {told}");
        }
    }
}
