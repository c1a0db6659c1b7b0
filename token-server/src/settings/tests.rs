//! Settings as operators write them.

use std::fs;

use shared::server::sockets::Endpoint;

use super::table::KEYS;
use super::*;
use crate::domain::audience::Verifier;
use crate::domain::keys::signing::KeyAlgorithm;

fn environment(variables: &[(&str, &str)]) -> Vec<(String, String)> {
    variables.iter().map(|(name, value)| (format!("TOKEN_SERVER_{name}"), (*value).to_owned())).collect()
}

const SECRET: &str = "0123456789abcdef0123456789abcdef";

fn required() -> Vec<(String, String)> {
    environment(&[("DATABASE_URL", "postgres://localhost/x"), ("SECRET", SECRET)])
}

fn read(yaml: &str, variables: Vec<(String, String)>) -> Result<TokenServerSettings, SettingsError> {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), yaml).unwrap();
    TokenServerSettings::validate(&load(Some(file.path()), variables)?)
}

fn problems(yaml: &str, variables: Vec<(String, String)>) -> String {
    read(yaml, variables).unwrap_err().to_string()
}

#[test]
fn database_and_secret_are_all_that_is_needed() {
    let settings = read("", required()).unwrap();
    assert_eq!(settings.listener.endpoint, Endpoint::Tcp(":5001".into()));
    assert_eq!(settings.issuer.lifetime, Duration::from_mins(5));
    assert_eq!(settings.token_paths, ["/auth", "/auth/token", "/token"]);
    assert_eq!(settings.issuer.audiences.resolve(None).unwrap().name, DEFAULT_AUDIENCE);
    assert_eq!(settings.database.migrate, Migrate::AtStart);
    assert!(settings.passwords.concurrency >= 1);
}

#[test]
fn all_problems_are_named_at_once() {
    let told = problems(
        "token: {lifetime: 10s, paths: [token, /api/x]}\nhttp: {tls: {key: k}, trustedproxies: [x]}\nlog: {level: loud}",
        Vec::new(),
    );
    for key in ["database.url", "secret", "token.lifetime", "token", "/api/x", "http.tls", "log.level"] {
        assert!(told.contains(&format!("`{key}`")) || told.contains(key), "{key} in {told}");
    }
}

#[test]
fn a_misspelt_key_is_refused_with_the_nearest_one() {
    let told = problems("token: {lifetimes: 60s}", required());
    assert!(told.contains("unknown key `token.lifetimes`; did you mean `token.lifetime`?"), "{told}");
    let told = problems("audiences: {a: {verifer: portcullis}}", required());
    assert!(told.contains("audiences.a.verifer"), "{told}");
}

#[test]
fn registries_are_named_as_they_call_themselves() {
    let settings = read(
        "audiences: {registry.example.com: {verifier: distribution2}, My_Registry: {verifier: portcullis}}",
        required(),
    )
    .unwrap();
    let resolve = |name| settings.issuer.audiences.resolve(Some(name)).unwrap().verifier;
    assert_eq!(resolve("registry.example.com"), Verifier::Distribution2);
    assert_eq!(resolve("My_Registry"), Verifier::Portcullis);
    assert!(problems("audiences: {a: {verifier: harbor}}", required()).contains("`audiences.a.verifier`"));
}

#[test]
fn a_registry_may_have_an_algorithm_and_a_lifetime_of_its_own() {
    let settings =
        read("audiences: {a: {algorithm: EdDSA, lifetime: 15m}, b: {verifier: distribution2}}", required())
            .unwrap();
    let resolve = |name| settings.issuer.audiences.resolve(Some(name)).unwrap();
    let (a, b) = (resolve("a"), resolve("b"));
    assert_eq!((a.verifier, a.algorithm), (Verifier::Portcullis, Some(KeyAlgorithm::EdDsa)));
    assert_eq!((a.lifetime, b.lifetime), (Some(Duration::from_mins(15)), None));
    assert_eq!(b.algorithm, None);
    assert_eq!(settings.keys.asked().collect::<Vec<_>>(), [(KeyAlgorithm::EdDsa, "a")]);
    for (yaml, part) in [
        ("a: {algorithm: HS256}", "use ES256, RS256 or EdDSA"),
        ("a: {verifier: distribution2, algorithm: EdDSA}", "2.x does not know"),
        ("a: {lifetime: 59s}", "`audiences.a.lifetime`"),
        ("a: {lifetime: 3601s}", "`audiences.a.lifetime`"),
    ] {
        let told = problems(&format!("audiences: {{{yaml}}}"), required());
        assert!(told.contains(part), "{yaml}: {told}");
    }
}

#[test]
fn keys_rotate_by_time_only_when_told_to_and_stay_longer_than_any_token() {
    let settings = read("", required()).unwrap();
    assert_eq!((settings.keys.rotation, settings.keys.verification), (None, Duration::from_hours(48)));
    let settings = read("keys: {rotation: 720h, verification: 3h}", required()).unwrap();
    assert_eq!(settings.keys.rotation, Some(Duration::from_hours(720)));
    for yaml in ["verification: 179m", "rotation: 59m", "rotation: 1h, verification: 21h"] {
        let told = problems(&format!("keys: {{{yaml}}}"), required());
        assert!(told.contains("`keys."), "{yaml}: {told}");
    }
}

#[test]
fn lists_and_numbers_come_from_the_environment_too() {
    let mut variables = required();
    variables.extend(environment(&[
        ("TOKEN_PATHS", "[/a, /b, /a]"),
        ("DATABASE_MIGRATE", "false"),
        ("PASSWORDS_CONCURRENCY", "3"),
        ("PASSWORDS_CACHE", "0"),
    ]));
    let settings = read("", variables).unwrap();
    assert_eq!(settings.token_paths, ["/a", "/b"]);
    assert_eq!(settings.database.migrate, Migrate::ByCommand);
    assert_eq!(settings.passwords.concurrency, 3);
    assert_eq!(settings.passwords.cache, Duration::ZERO);
}

#[test]
fn records_are_kept_for_ever_unless_a_time_is_given() {
    assert_eq!(read("", required()).unwrap().audit_retention, None);
    let settings = read("audit: {retention: 8760h}", required()).unwrap();
    assert_eq!(settings.audit_retention, Some(Duration::from_hours(8760)));
    for short in ["59m", "0"] {
        let told = problems(&format!("audit: {{retention: {short}}}"), required());
        assert!(told.contains("`audit.retention`"), "{told}");
    }
}

#[test]
fn the_example_file_is_the_table() {
    let example = include_str!("../../config.example.yml");
    assert_eq!(example, SCHEMA.example(), "regenerate it from the table");
    let settings = read(example, required()).unwrap();
    assert_eq!(settings.issuer, read("", required()).unwrap().issuer);
}

#[test]
fn the_manual_lists_every_key_with_its_default() {
    let manual = include_str!("../../README.md");
    for key in KEYS {
        let default =
            if key.default.is_empty() { "" } else { &format!("`{}`", key.default.trim_matches('"')) };
        let path = key.path.replace('*', "NAME");
        let row = format!("| `{path}` | {default} | {} |", key.doc).replace("|  |", "| |");
        assert!(manual.contains(&row), "{row}");
    }
}
