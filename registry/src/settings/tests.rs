//! What the registry makes of settings people already have.

use reqwest::header::HeaderValue;

use super::*;
use crate::auth::revocations::WhenStale;
use crate::domain::manifests::rules::{Class, RequiredChildren, UrlRule};

fn load_yaml(yaml: &str) -> Result<(RegistrySettings, Vec<String>), SettingsError> {
    load_with(yaml, &[])
}

fn load_with(
    yaml: &str,
    environment: &[(&str, &str)],
) -> Result<(RegistrySettings, Vec<String>), SettingsError> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("config.yml");
    std::fs::write(&file, yaml).expect("writable");
    let environment = environment.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    load(Some(&file), environment)
}

#[test]
fn no_file_means_the_defaults_of_the_image_and_a_warning_that_it_is_open() {
    let (settings, warnings) = load(None, Vec::new()).expect("defaults work");
    assert_eq!(settings.http.listener.endpoint, Endpoint::Tcp(":5000".into()));
    assert_eq!(settings.storage.driver.folder().expect("files"), Path::new("/var/lib/registry"));
    assert!(!settings.storage.delete_enabled);
    assert!(matches!(settings.auth, AuthSettings::Open));
    assert!(warnings[0].contains("no `auth` section"), "{warnings:?}");
}

#[test]
fn the_file_of_the_image_is_understood() {
    let (settings, warnings) = load_yaml(
        "version: 0.1\nlog:\n  fields:\n    service: registry\nstorage:\n  cache:\n    blobdescriptor: inmemory\n  filesystem:\n    \
         rootdirectory: /data\nhttp:\n  addr: :5000\n  headers:\n    X-Content-Type-Options: [nosniff]\nhealth:\n  \
         storagedriver:\n    enabled: true\n    interval: 10s\n    threshold: 3\nauth: none\n",
    )
    .expect("starts");
    assert_eq!(settings.storage.driver.folder().expect("files"), Path::new("/data"));
    assert_eq!(warnings, ["`storage.cache` has no effect: nothing needs to be cached on a filesystem"]);
    let fields = &settings.log.application.fields;
    assert_eq!(fields.get("service").and_then(|value| value.as_str()), Some("registry"));
    let [check] = settings.health.as_slice() else { panic!("one check: {:?}", settings.health) };
    assert!(matches!(check.subject, Subject::Storage));
    assert_eq!((check.interval.as_secs(), check.threshold), (10, 3));
}

#[test]
fn log_settings_are_read_from_the_file_and_from_variables() {
    let (settings, _) = load_with(
        "loglevel: error\nlog: {accesslog: {disabled: true}, fields: {environment: staging}}",
        &[("REGISTRY_LOG_FIELDS_REPLICA", "2"), ("REGISTRY_LOG_REPORTCALLER", "true")],
    )
    .expect("starts");
    let log = settings.log();
    assert_eq!(log.level, "error".parse::<tracing::level_filters::LevelFilter>().expect("a level"));
    assert!(log.report_caller && !settings.has_access_log());
    let fields: Vec<String> = log.fields.iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(fields, ["environment=\"staging\"", "replica=2"]);
    let (settings, warnings) =
        load_yaml("auth: none\nlog: {hooks: [{type: mail, levels: [panic]}]}").expect("starts");
    assert!(settings.has_access_log());
    assert!(warnings[0].starts_with("`log.hooks` has no effect: no mail is sent"), "{warnings:?}");
    let error = load_yaml("auth: none\nlog: {level: loud}").expect_err("no level").to_string();
    assert!(error.contains("`log.level` is `loud`"), "{error}");
}

#[test]
fn the_listener_for_operators_has_an_address_and_perhaps_metrics() {
    let debug = |yaml: &str| load_yaml(&format!("auth: none\nhttp: {{debug: {yaml}}}")).expect(yaml);
    let (settings, warnings) = debug("{addr: ':5001', prometheus: {enabled: true, path: /numbers}}");
    let debug_settings = settings.http.debug.expect("a listener");
    assert_eq!(debug_settings.address, ":5001");
    assert_eq!(debug_settings.metrics_path.as_deref(), Some("/numbers"));
    assert_eq!(warnings, Vec::<String>::new());
    let (settings, _) = debug("{addr: ':5001'}");
    assert_eq!(settings.http.debug.expect("a listener").metrics_path, None);
    let (settings, warnings) = debug("{prometheus: {enabled: true}}");
    assert!(settings.http.debug.is_none());
    assert!(warnings[0].contains("`http.debug.addr` is not set"), "{warnings:?}");
    assert!(load_yaml("auth: none\nhttp: {debug: {addr: ':1', prometheus: {path: x}}}").is_err());
}

#[test]
fn health_checks_are_complete_or_refused() {
    let (settings, _) = load_yaml(
        "auth: none\nhealth:\n  file: [{file: /down}]\n  http:\n  - {uri: 'http://a/x', headers: {X-A: [b, c]}, \
         interval: 5s, threshold: 2, timeout: 1000000000}\n  - {uri: 'http://a/y', statuscode: 204}\n  tcp: [{addr: 'a:80'}]\n",
    )
    .expect("starts");
    let [file, first, second, tcp] = settings.health.as_slice() else { panic!("{:?}", settings.health) };
    assert!(matches!(&file.subject, Subject::NoFile(path) if path == Path::new("/down")));
    assert_eq!((file.interval.as_secs(), file.threshold), (10, 0));
    let Subject::Http { status, headers, timeout, .. } = &first.subject else { panic!("{first:?}") };
    assert_eq!((status.as_u16(), headers.len(), timeout.as_secs()), (200, 2, 1));
    assert_eq!((first.interval.as_secs(), first.threshold), (5, 2));
    assert!(matches!(&second.subject, Subject::Http { status, .. } if status.as_u16() == 204));
    assert!(matches!(&tcp.subject, Subject::Tcp { timeout, .. } if timeout.as_secs() == 10));
    for (yaml, word) in [
        ("http: [{uri: 'http://u:secret@a/'}]", "password"),
        ("http: [{uri: 'ftp://a/'}]", "ftp://a/"),
        ("http: [{uri: 'http://a/', statuscode: 99}]", "99"),
        ("tcp: [{addr: a}]", "host:port"),
        ("http: [{uri: 'http://a/', headers: {Authorization: 'Bearer secret'}}]", "Authorization"),
    ] {
        let error = load_yaml(&format!("auth: none\nhealth: {{{yaml}}}")).expect_err(yaml).to_string();
        assert!(error.contains(word) && !error.contains("secret"), "{error}");
    }
}

#[test]
fn maintenance_is_what_the_distribution_registry_makes_of_it() {
    let hours = std::time::Duration::from_hours;
    let maintenance = |yaml: &str| load_yaml(yaml).expect("starts").0.storage.maintenance;
    let usual = maintenance("auth: none");
    assert!(!usual.read_only);
    let purging = usual.purging.expect("on by default");
    assert_eq!((purging.age, purging.interval, purging.dry_run), (hours(168), hours(24), false));
    let given =
        "storage: {maintenance: {uploadpurging: {enabled: true, age: 1h, interval: 2h, dryrun: true}}}";
    let purging = maintenance(given).purging.expect("on");
    assert_eq!((purging.age, purging.interval, purging.dry_run), (hours(1), hours(2), true));
    assert_eq!(maintenance("storage: {maintenance: {uploadpurging: {enabled: false}}}").purging, None);
    let read_only = maintenance("storage: {maintenance: {readonly: {enabled: true}}}");
    assert!(read_only.read_only && read_only.purging.is_none(), "nothing is removed either");
    let problem = load_yaml("storage: {maintenance: {uploadpurging: {interval: 0s}}}").expect_err("for ever");
    assert!(problem.to_string().contains("uploadpurging.interval"), "{problem}");
}

#[test]
fn a_guarding_key_without_its_feature_stops_the_start() {
    for (yaml, key) in [
        ("auth: {silly: {realm: x, service: y}}", "auth.silly"),
        ("storage: {s3: {bucket: x}}", "storage.s3"),
        ("http: {tls: {clientcas: [x]}}", "http.tls.clientcas"),
        ("http: {tls: {certificate: a, key: b, letsencrypt: {email: x}}}", "http.tls.letsencrypt"),
        ("http: {net: udp}", "http.net"),
        ("proxy: {remoteurl: 'https://x'}", "proxy"),
        ("http: {tls: {minimumtls: ssl3.0}}", "http.tls.minimumtls"),
        ("version: 0.2", "version"),
        ("http: {tls: {certificate: a}}", "http.tls.key"),
        ("storage: {maintenance: {readonly: true}}", "storage.maintenance.readonly.enabled"),
        ("http: {tls: true}", "http.tls"),
        ("proxy: https://x", "proxy.remoteurl"),
        ("middleware: {storage: cloudfront}", "middleware.storage[].name"),
    ] {
        let error = load_yaml(yaml).expect_err(yaml).to_string();
        assert!(error.contains(key), "{yaml}: {error}");
    }
}

#[test]
fn rules_for_manifests_are_read_and_nonsense_stops_the_start() {
    let rules = |yaml: &str| load_yaml(yaml).map(|(settings, _)| settings.manifests);
    let none = rules("version: 0.1").expect("starts");
    assert!(matches!(none.urls, UrlRule::Any) && none.children == RequiredChildren::All);
    assert!(none.classes.is_empty());
    for (yaml, key) in [
        ("validation: {manifests: {urls: {allow: ['(']}}}", "validation.manifests.urls.allow"),
        ("validation: {manifests: {urls: {deny: ['a{9999999}']}}}", "validation.manifests.urls.deny"),
        ("validation: {manifests: {indexes: {platforms: some}}}", "validation.manifests.indexes.platforms"),
        (
            "validation: {manifests: {indexes: {platforms: list, platformlist: [{os: linux}]}}}",
            "validation.manifests.indexes.platformlist",
        ),
        ("policy: {repository: {classes: [images]}}", "policy.repository.classes"),
    ] {
        let error = rules(yaml).expect_err(yaml).to_string();
        assert!(error.contains(key), "{yaml}: {error}");
    }
    let variables = [
        ("REGISTRY_VALIDATION_MANIFESTS_URLS_ALLOW_0", "^https://"),
        ("REGISTRY_VALIDATION_MANIFESTS_INDEXES_PLATFORMS", "none"),
        ("REGISTRY_POLICY_REPOSITORY_CLASSES", "[image, plugin]"),
    ];
    let (settings, _) = load_with("version: 0.1", &variables).expect("starts");
    assert!(matches!(settings.manifests.urls, UrlRule::Matching { allow: Some(_), .. }));
    assert_eq!(settings.manifests.children, RequiredChildren::None);
    assert_eq!(settings.manifests.classes, [Class::Image, Class::Plugin]);
}

const TOKEN: &str = "auth: {token: {realm: 'https://t/token', service: s, issuer: i, jwks: 'https://t/keys'";

#[test]
fn token_settings_are_complete_or_refused_with_every_reason() {
    let (settings, warnings) = load_yaml(&format!("{TOKEN}}}}}")).expect("complete");
    assert!(matches!(settings.auth, AuthSettings::Token(_)));
    assert_eq!(warnings, Vec::<String>::new());
    let error = load_yaml("auth: {token: {service: s}}").expect_err("incomplete").to_string();
    for missing in ["issuer", "jwks", "realm"] {
        assert!(error.contains(missing), "{error}");
    }
    let error = load_yaml(&format!("{TOKEN}, signingalgorithms: [HS256]}}}}"))
        .expect_err("shared secret")
        .to_string();
    assert!(error.contains("whoever can check a token can also make one"), "{error}");
    assert!(
        load_yaml(&format!("{TOKEN}, forward: 'http://t/token'}}}}")).is_err(),
        "forwarding needs the same origin"
    );
}

#[test]
fn a_feed_of_revocations_is_complete_or_refused_with_every_reason() {
    let feed = |profile: &str, revocations: &str| {
        load_yaml(&format!("{TOKEN}, profile: {profile}, revocations: {{{revocations}}}}}}}"))
            .map(|(settings, _)| match settings.auth {
                AuthSettings::Token(token) => token.revocations,
                _ => panic!("a token is asked for"),
            })
            .map_err(|error| error.to_string())
    };
    let good = "url: 'https://t/revocations', secret: hush-hush";
    assert!(feed("strict", "").expect("none").is_none());
    assert!(feed("standard", "").expect("none").is_none());
    let settings = feed("strict", good).expect("complete").expect("a feed");
    assert_eq!((settings.when_stale, settings.max_entries), (WhenStale::Degrade, 100_000));
    assert!(!format!("{settings:?}").contains("hush"), "{settings:?}");
    let settings = feed("strict", &format!("{good}, stale: strict, maxentries: 5")).expect("complete");
    assert!(settings.is_some_and(|it| it.when_stale == WhenStale::Strict && it.max_entries == 5));
    for (profile, revocations, problem) in [
        ("standard", good.to_owned(), "needs `auth.token.profile: strict`"),
        ("strict", "url: 'https://t/revocations'".into(), "`auth.token.revocations.secret` is missing"),
        ("strict", "secret: hush-hush".into(), "`auth.token.revocations.url` is missing"),
        ("strict", "stale: strict".into(), "`auth.token.revocations.url` is missing"),
        ("strict", "url: 'ftp://t/', secret: hush-hush".into(), "`auth.token.revocations.url` is not"),
        ("strict", "url: 'https://u:hush-hush@t/', secret: x".into(), "`auth.token.revocations.url` holds"),
        ("strict", "url: 'https://t/', secret: \"hush-hush\\n!\"".into(), "cannot be sent in a header"),
        ("strict", format!("{good}, stale: sometimes"), "`auth.token.revocations.stale` is `sometimes`"),
        ("strict", format!("{good}, maxentries: 0"), "`auth.token.revocations.maxentries` is 0"),
    ] {
        let error = feed(profile, &revocations).expect_err(&revocations);
        assert!(error.contains(problem) && !error.contains("hush-hush"), "{revocations}: {error}");
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("secret");
    std::fs::write(&file, "hush-hush\n").expect("writable");
    let yaml = format!("{TOKEN}, profile: strict, revocations: {{url: 'https://t/revocations'}}}}}}");
    let variable = ("REGISTRY_AUTH_TOKEN_REVOCATIONS_SECRET_FILE", file.to_str().expect("a path"));
    let (settings, warnings) = load_with(&yaml, &[variable]).expect("complete");
    let AuthSettings::Token(token) = settings.auth else { panic!("a token is asked for") };
    assert_eq!(
        token.revocations.map(|feed| feed.authorization),
        Some(HeaderValue::from_static("Bearer hush-hush"))
    );
    assert_eq!(warnings, Vec::<String>::new());
}

#[test]
fn every_accepted_algorithm_can_be_listed_and_the_others_say_why_not() {
    let all = "EdDSA, RS256, RS384, RS512, ES256, ES384, PS256, PS384, PS512";
    for list in [all, ""] {
        let (settings, _) =
            load_yaml(&format!("{TOKEN}, signingalgorithms: [{list}]}}}}")).expect("a list of algorithms");
        let AuthSettings::Token(token) = settings.auth else { panic!("a token is asked for") };
        assert_eq!(token.expectations.algorithms.len(), 9, "{list}");
    }
    for (word, reason) in [
        ("HS256", "can also make one"),
        ("HS384", "can also make one"),
        ("HS512", "can also make one"),
        ("ES512", "P-521"),
        ("none", "no such algorithm"),
        ("es256", "no such algorithm"),
    ] {
        let yaml = format!("{TOKEN}, signingalgorithms: [ES256, {word}]}}}}");
        let error = load_yaml(&yaml).expect_err(word).to_string();
        assert!(error.contains(reason) && error.contains("PS512"), "{word}: {error}");
    }
}

#[test]
fn keys_come_from_a_set_or_from_certificates_or_from_both() {
    let token = |keys: &str| {
        let yaml = format!("auth: {{token: {{realm: 'https://t/token', service: s, issuer: i, {keys}}}}}");
        load_yaml(&yaml).map(|(settings, _)| match settings.auth {
            AuthSettings::Token(token) => token.keys,
            _ => panic!("a token is asked for"),
        })
    };
    let certificates = KeySource::Certificates("/bundle.pem".into());
    let file = KeySource::File("/keys.json".into());
    assert_eq!(token("rootcertbundle: /bundle.pem").expect("2.x"), std::slice::from_ref(&certificates));
    let both = token("rootcertbundle: /bundle.pem, jwks: /keys.json").expect("3.x");
    assert_eq!(both, [certificates, file]);
    let error = token("jwkscache: /x").expect_err("no keys").to_string();
    assert!(error.contains("auth.token.jwks") && error.contains("auth.token.rootcertbundle"), "{error}");
}

#[test]
fn a_realm_is_a_url_and_its_path_on_this_registry_is_its_own() {
    for realm in ["''", "auth.example/token", "ftp://t/token", "'https://user:secret@t/token'", "/auth/token"]
    {
        let yaml = format!("auth: {{token: {{realm: {realm}, service: s, issuer: i, jwks: /k}}}}");
        let error = load_yaml(&yaml).expect_err(realm).to_string();
        assert!(error.contains("auth.token.realm"), "{realm}: {error}");
        assert!(!error.contains("secret"), "{error}");
    }
    for (path, fits) in [
        ("/auth/token", true),
        ("/auth/token/", true),
        ("/t", true),
        ("auth/token", false),
        ("/", false),
        ("/v2", false),
        ("/v2/token", false),
        ("/v2x", true),
        ("/healthz", false),
        ("/{any}", false),
        ("/a?b", false),
    ] {
        let yaml = format!("{TOKEN}, autoredirect: true, autoredirectpath: '{path}'}}}}");
        assert_eq!(load_yaml(&yaml).is_ok(), fits, "{path}");
    }
    let yaml =
        format!("http: {{prefix: /auth/}}\n{TOKEN}, autoredirect: true, autoredirectpath: /auth/v2}}}}");
    let error = load_yaml(&yaml).expect_err("two things at one path").to_string();
    assert!(error.contains("http.prefix"), "{error}");
}

#[test]
fn a_password_file_is_named_with_its_realm_and_alone() {
    let (settings, warnings) =
        load_yaml("auth: {htpasswd: {realm: Our Registry, path: /etc/htpasswd}}").expect("complete");
    let AuthSettings::Htpasswd(htpasswd) = settings.auth else { panic!("a password is asked for") };
    assert_eq!(
        (htpasswd.realm.as_str(), htpasswd.path.as_path()),
        ("Our Registry", Path::new("/etc/htpasswd"))
    );
    assert_eq!(warnings, Vec::<String>::new());
    let variables = [
        ("REGISTRY_AUTH", "htpasswd"),
        ("REGISTRY_AUTH_HTPASSWD_REALM", "Registry Realm"),
        ("REGISTRY_AUTH_HTPASSWD_PATH", "/auth/htpasswd"),
    ];
    let (settings, _) = load_with("", &variables).expect("as in the tutorials");
    assert!(matches!(settings.auth, AuthSettings::Htpasswd(_)));
    for (yaml, problem) in [
        ("auth: {htpasswd: {realm: x}}", "auth.htpasswd.path"),
        ("auth: {htpasswd: {path: /x}}", "auth.htpasswd.realm"),
        ("auth: htpasswd", "auth.htpasswd.path"),
        (
            "auth: {htpasswd: {realm: x, path: /x}, token: {realm: 'https://t', service: s, issuer: i, jwks: /k}}",
            "exactly one",
        ),
        ("auth: {htpasswd: {realm: x, path: /x}, none: {}}", "exactly one"),
    ] {
        let error = load_yaml(yaml).expect_err(yaml).to_string();
        assert!(error.contains(problem), "{yaml}: {error}");
    }
}

#[test]
fn the_variables_of_tutorials_work() {
    let (settings, _) = load_with(
        "",
        &[
            ("REGISTRY_HTTP_ADDR", "127.0.0.1:5005"),
            ("REGISTRY_HTTP_SECRET", "0123"),
            ("REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY", "/images"),
            ("REGISTRY_STORAGE_DELETE_ENABLED", "true"),
            ("REGISTRY_AUTH", "token"),
            ("REGISTRY_AUTH_TOKEN_REALM", "https://t/token"),
            ("REGISTRY_AUTH_TOKEN_SERVICE", "s"),
            ("REGISTRY_AUTH_TOKEN_ISSUER", "i"),
            ("REGISTRY_AUTH_TOKEN_JWKS", "/keys.json"),
        ],
    )
    .expect("starts");
    assert_eq!(settings.http.listener.endpoint, Endpoint::Tcp("127.0.0.1:5005".into()));
    assert_eq!(settings.http.secret.expose(), "0123");
    assert_eq!(settings.storage.driver.folder().expect("files"), Path::new("/images"));
    assert!(settings.storage.delete_enabled);
    let AuthSettings::Token(token) = settings.auth else { panic!("a token is asked for") };
    assert_eq!(token.keys, [KeySource::File("/keys.json".into())]);
}

#[test]
fn images_in_memory_leave_nothing_on_disk_and_a_warning_in_the_log() {
    let token = TOKEN.trim_start_matches("auth: ");
    let chosen = [
        ("storage: inmemory", &[][..]),
        ("storage: {inmemory: {}}", &[]),
        ("storage: {inmemory: , delete: {enabled: true}}", &[]),
        ("storage: {filesystem: {rootdirectory: /images}}", &[("REGISTRY_STORAGE", "inmemory")]),
        ("storage: {delete: {enabled: true}}", &[("REGISTRY_STORAGE_INMEMORY", "{}")]),
    ];
    for (storage, variables) in chosen {
        let yaml = format!("{storage}\nauth: {token}}}}}");
        let (settings, warnings) = load_with(&yaml, variables).expect(storage);
        assert_eq!(settings.storage.driver.name(), "inmemory", "{storage}");
        assert!(warnings.iter().any(|warning| warning.contains("lost when the registry stops")), "{storage}");
        let AuthSettings::Token(token) = settings.auth else { panic!("a token is asked for") };
        assert!(matches!(&token.keys[..], [KeySource::Url { cache: None, .. }]), "{:?}", token.keys);
    }
    let yaml = format!("storage: inmemory\nauth: {token}, jwkscache: /keys.json}}}}");
    let AuthSettings::Token(token) = load_yaml(&yaml).expect("starts").0.auth else { panic!("a token") };
    let [KeySource::Url { cache, .. }] = &token.keys[..] else { panic!("a URL") };
    assert_eq!(cache.as_deref(), Some(Path::new("/keys.json")));
    for inmemory in ["{}", ""] {
        let yaml = format!("storage: {{inmemory: {inmemory}, filesystem: {{rootdirectory: /images}}}}");
        let both = load_yaml(&yaml).expect_err("two");
        assert!(both.to_string().contains("filesystem, inmemory"), "{both}");
    }
}

#[test]
fn the_example_file_is_the_table() {
    let written = include_str!("../../config.example.yml");
    assert_eq!(
        written,
        SCHEMA.example(),
        "run: cargo run --bin registry -- example-config > registry/config.example.yml"
    );
}

#[test]
fn the_page_of_settings_is_the_table() {
    let written = include_str!("../../README.md");
    assert!(
        written.ends_with(&format!("\n\n{}", manual())),
        "the table at the end of registry/README.md is printed by: cargo run --bin registry -- example-config --table"
    );
}

#[test]
fn an_auth_section_that_guards_nothing_stops_the_start() {
    for yaml in [
        "auth: {tokn: {realm: 'https://t/token', service: s, issuer: i, jwks: 'https://t/keys'}}",
        "auth: tokn",
        "auth: {oidc: {issuer: x}}",
        "auth: {token: }",
        "auth: {}",
        "auth:",
        "auth: token",
        "auth: {none: {}, token: {service: s}}",
        "auth: {none: , htpasswd: }",
        "auth: {none: , htpasswd: {}}",
        "auth: {htpasswd: true}",
    ] {
        let error = load_yaml(yaml).expect_err(yaml).to_string();
        assert!(error.contains("`auth"), "{yaml}: {error}");
    }
    assert!(load_with("", &[("REGISTRY_AUTH", "tokn")]).is_err());
    for yaml in ["auth: none", "auth: {none: }", "auth: {none: {}}"] {
        let (settings, warnings) = load_yaml(yaml).expect(yaml);
        assert!(matches!(settings.auth, AuthSettings::Open));
        assert_eq!(warnings, Vec::<String>::new(), "{yaml}");
    }
    let chosen = load_with("auth: none", &[("REGISTRY_AUTH", "token"), ("REGISTRY_AUTH_TOKEN_SERVICE", "s")]);
    assert!(chosen.expect_err("incomplete").to_string().contains("auth.token.issuer"));
}

#[test]
fn urls_with_a_password_are_refused() {
    let yaml = "auth: {token: {realm: 'https://t/token', service: s, issuer: i, jwks: 'https://u:p@t/keys'}}";
    let error = load_yaml(yaml).expect_err("it would be logged").to_string();
    assert!(error.contains("auth.token.jwks") && !error.contains("u:p"), "{error}");
}
