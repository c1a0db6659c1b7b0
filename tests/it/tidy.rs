//! The rules of the code that no compiler checks: who may depend on whom, how long a file may be, what each file
//! says of itself.
//!
//! The checks are plain text scans of `use` lines and paths; they are meant to be read as the list of rules.
//!
//! *Invariant:* a rule is broken by a failing test, never by a reviewer's memory.

use std::fs;
use std::path::{Path, PathBuf};

/// A file may have this many lines besides its tests.
const MAX_LINES: usize = 500;

struct Source {
    /// From the root of the checkout, with `/`.
    path: String,
    /// Without the inline tests at its end.
    code: String,
    text: String,
}

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("..")
        .canonicalize()
        .expect("the checkout is where it was built")
}

fn sources() -> Vec<Source> {
    let mut folders: Vec<PathBuf> =
        ["shared", "registry", "token-server", "tests"].map(|member| root().join(member)).into();
    let mut sources = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder of the checkout").flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("a source file");
                let relative = path.strip_prefix(root()).expect("below the root").display().to_string();
                let end = text.find("\n#[cfg(test)]\nmod tests {").unwrap_or(text.len());
                sources.push(Source { path: relative, code: text[..end].to_owned(), text });
            }
        }
    }
    assert!(sources.len() > 50, "the checkout has more sources than that");
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    sources
}

fn is_test(path: &str) -> bool {
    path.starts_with("tests/") || path.ends_with("/tests.rs") || path.contains("/tests/")
}

/// Files whose code has one of these words outside comments, except below the allowed paths.
fn users_of(words: &[&str], allowed: &[&str]) -> Vec<String> {
    let uses = |source: &Source| {
        source.code.lines().any(|line| {
            let line = line.split("//").next().unwrap_or_default();
            words.iter().any(|word| line.contains(word))
        })
    };
    let is_allowed = |source: &Source| allowed.iter().any(|path| source.path.starts_with(path));
    let offenders = sources().into_iter().filter(|source| !is_test(&source.path) && !is_allowed(source));
    offenders.filter(uses).map(|source| source.path).collect()
}

fn assert_nobody(offenders: &[String], rule: &str) {
    assert!(offenders.is_empty(), "{rule}; not so in {offenders:?}");
}

#[test]
fn the_two_servers_do_not_know_each_other() {
    assert_nobody(&users_of(&["token_server::"], &["token-server/"]), "only the tests use token-server");
    // Libraries have modules of this name, which come after two colons.
    let paths = ["use registry", " registry::", "(registry::", "<registry::", "&registry::"];
    assert_nobody(&users_of(&paths, &["registry/"]), "only the tests use registry");
}

#[test]
fn only_the_database_layer_of_the_token_server_speaks_sql() {
    let rule = "sqlx is used in token-server/src/db and where the pool is built";
    assert_nobody(&users_of(&["sqlx::"], &["token-server/src/db", "token-server/src/app.rs"]), rule);
    let manifest = fs::read_to_string(root().join("registry/Cargo.toml")).expect("a manifest");
    assert!(!manifest.contains("sqlx"), "the registry has no database");
}

#[test]
fn only_the_http_layer_speaks_http() {
    let rule = "actix-web is used in src/http, src/ui, app, settings, main.rs and shared/src/server";
    let servers = ["registry", "token-server"];
    // Settings hold validated header values.
    let allowed =
        servers.map(|server| ["http", "ui", "app", "settings"].map(|part| format!("{server}/src/{part}")));
    let mains = servers.map(|server| format!("{server}/src/main.rs"));
    let mut allowed: Vec<_> = allowed.as_flattened().iter().chain(&mains).map(String::as_str).collect();
    allowed.push("shared/src/server");
    assert_nobody(&users_of(&["actix_web::", "actix_web "], &allowed), rule);
}

#[test]
fn lower_layers_do_not_import_upper_ones() {
    let layers = [
        ("registry/src/oci", &["crate::storage", "crate::domain", "crate::http", "crate::auth"][..]),
        ("registry/src/storage", &["crate::domain", "crate::http", "crate::auth"]),
        ("registry/src/domain", &["crate::http"]),
        ("registry/src/auth", &["crate::http", "crate::domain", "crate::storage"]),
        ("token-server/src/db", &["crate::domain", "crate::http", "crate::cli"]),
        ("token-server/src/domain", &["crate::http", "crate::ui", "crate::cli"]),
        ("token-server/src/http", &["crate::ui"]),
    ];
    for (layer, above) in layers {
        let sources = sources();
        let mut inside = sources.iter().filter(|source| source.path.starts_with(layer)).peekable();
        assert!(inside.peek().is_some(), "there is no layer {layer}");
        for source in inside {
            for upper in above {
                assert!(!source.code.contains(upper), "{} imports {upper}", source.path);
            }
        }
    }
}

#[test]
fn each_dangerous_tool_has_one_place() {
    let rules = [
        (
            &["jsonwebtoken::"][..],
            &[
                "shared/src/server/jwt_crypto.rs",
                "shared/src/server/signed_token",
                "registry/src/auth",
                // The list of accepted algorithms.
                "registry/src/settings",
                "token-server/src/domain/keys/signing",
            ][..],
        ),
        (&["argon2::"], &["token-server/src/domain/login/password"]),
        (&["env::var", "env::vars"], &["shared/src/server/settings"]),
        (&["now_utc(", "SystemTime::now("], &["shared/src/clock.rs"]),
        (&["#[allow("], &[]),
        (&["unsafe {"], &[]),
    ];
    for (words, allowed) in rules {
        assert_nobody(&users_of(words, allowed), &format!("{words:?} only in {allowed:?}"));
    }
}

#[test]
fn the_vocabulary_has_no_unordered_collections() {
    let offenders = users_of(&["HashMap", "HashSet"], &["registry", "token-server", "shared/src/server"]);
    assert_nobody(&offenders, "what reaches the wire is ordered");
}

#[test]
fn files_are_short_and_say_what_they_are_about() {
    for source in sources() {
        let lines = source.code.lines().count();
        let limited = !source.path.ends_with("/tests.rs");
        assert!(
            !limited || lines <= MAX_LINES,
            "{} has {lines} lines; the limit is {MAX_LINES}",
            source.path
        );
        assert!(
            (source.text.starts_with("//! ") || source.text.starts_with("#![doc")),
            "{} has no module doc",
            source.path
        );
        // A drawing between fences is not prose.
        let doc =
            source.text.lines().take_while(|line| line.starts_with("//!")).collect::<Vec<_>>().join("\n");
        let prose: usize = doc.split("```").step_by(2).map(|part| part.lines().count()).sum();
        assert!(prose <= 17, "the module doc of {} is longer than 15 lines", source.path);
    }
}

#[test]
fn nothing_is_left_for_later() {
    // Put together here, so that this file does not find itself.
    let words =
        [["TO", "DO"], ["FIX", "ME"], ["unimple", "mented!"], ["XX", "X:"]].map(|halves| halves.concat());
    for source in sources() {
        for word in &words {
            assert!(!source.text.contains(word.as_str()), "{} has {word}", source.path);
        }
        assert!(!source.text.contains(&["#[ig", "nore"].concat()), "{} ignores a test", source.path);
    }
}

#[test]
fn every_folder_has_its_documents() {
    let documents =
        ["README.md", "LICENSE", "registry", "token-server", "shared", "migrations", "tests", "compose"];
    for document in documents {
        let path = root().join(document);
        let path = if path.is_dir() { path.join("README.md") } else { path };
        let text = fs::read_to_string(&path).unwrap_or_default();
        assert!(text.len() > 200, "{} is missing or says nothing", path.display());
    }
}

#[test]
fn every_test_that_the_list_of_pitfalls_names_exists() {
    let manual = fs::read_to_string(root().join("tests/README.md")).expect("the README");
    let rows = manual.split("| pitfall | test |").nth(1).expect("the list").lines().skip(2);
    let cells = rows.take_while(|row| row.starts_with('|')).filter_map(|row| row.rsplit('|').nth(1));
    let names: Vec<&str> =
        cells.flat_map(|cell| cell.split(',')).map(|name| name.trim().trim_matches('`')).collect();
    let all: String = sources().into_iter().map(|source| source.text).collect();
    let missing: Vec<&&str> = names.iter().filter(|name| !all.contains(&format!("fn {name}("))).collect();
    assert!(names.len() > 25 && missing.is_empty(), "{missing:?}");
}
