//! Tables of what loading does, run with the environment in shuffled order.

use super::*;

const KEYS: &[Key] = &[
    Key::new("version", Kind::Scalar, "0.1", "Version of the format."),
    Key::new("http.addr", Kind::Scalar, "\":5000\"", "Address."),
    Key::new("http.secret", Kind::Secret, "", "Secret."),
    Key::new("http.tls.clientcas", Kind::List, "", "Files."),
    Key::new("http.headers", Kind::Map, "", "Headers."),
    Key::new("http.drain", Kind::Scalar, "30s", "How long."),
    Key::new("storage", Kind::Selector, "", "Driver."),
    Key::new("storage.filesystem.rootdirectory", Kind::Scalar, "", "Folder."),
    Key::new("storage.delete.enabled", Kind::Scalar, "false", "Deletes."),
    Key::new("audiences.*.verifier", Kind::Scalar, "", "Verifier."),
    Key::new("hooks[].type", Kind::Scalar, "mail", "Type."),
    Key::new("hooks[].levels", Kind::List, "", "Levels."),
    Key::new("hooks[].options.to", Kind::List, "", "Receivers."),
    Key::new("hooks[].options.password", Kind::Secret, "", "Password."),
    Key::new("storage.azure.max_retries", Kind::Scalar, "5", "Retries.").refused("there is no Azure here"),
    Key::new("cache.size", Kind::Scalar, "7", "Size.").no_effect("there is no cache"),
    Key::new("cache.kind", Kind::Scalar, "", "Kind.").no_effect("there is no cache"),
];

const SCHEMA: Schema = Schema {
    env_prefix: "REGISTRY_",
    keys: &[KEYS],
    unknown: UnknownKeys::Warn,
    variable_names: &[("hooks[].options", "mailoptions"), ("hooks", "loghooks")],
    synonyms: &[("storage.azureold", "storage.azure")],
};

#[derive(Debug, Deserialize, PartialEq)]
struct Read {
    version: String,
    http: Http,
    #[serde(default)]
    storage: Storage,
    #[serde(default)]
    hooks: Vec<Hook>,
}

#[derive(Debug, Deserialize, PartialEq)]
struct Http {
    addr: String,
    secret: Option<crate::secret::Secret>,
    #[serde(default)]
    tls: Tls,
    #[serde(default)]
    headers: std::collections::BTreeMap<String, Vec<String>>,
    drain: Duration,
}

#[derive(Debug, Default, Deserialize, PartialEq)]
struct Tls {
    #[serde(default)]
    clientcas: Vec<String>,
}

#[derive(Debug, Default, Deserialize, PartialEq)]
struct Storage {
    filesystem: Option<Filesystem>,
    delete: Delete,
}

#[derive(Debug, Default, Deserialize, PartialEq)]
#[serde(default)]
struct Hook {
    r#type: String,
    levels: Vec<String>,
    options: HookOptions,
}

#[derive(Debug, Default, Deserialize, PartialEq)]
#[serde(default)]
struct HookOptions {
    to: Vec<String>,
    password: crate::secret::Secret,
}

#[derive(Debug, Default, Deserialize, PartialEq)]
struct Filesystem {
    rootdirectory: Option<String>,
}

#[derive(Debug, Default, Deserialize, PartialEq)]
struct Delete {
    enabled: bool,
}

fn load(yaml: &str, environment: &[(&str, &str)]) -> Result<Loaded, SettingsError> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("config.yml");
    fs::write(&file, yaml).expect("a temporary file");
    let mut variables: Vec<(String, String)> =
        environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    variables.reverse();
    SCHEMA.load(Some(&file), variables)
}

fn read(yaml: &str, environment: &[(&str, &str)]) -> Read {
    load(yaml, environment).expect("loads").read().expect("fits")
}

#[test]
fn defaults_lie_below_the_file_and_the_environment_above_it() {
    assert_eq!(read("", &[]).http.addr, ":5000");
    assert_eq!(read("http: {addr: ':1'}", &[]).http.addr, ":1");
    assert_eq!(read("http: {addr: ':1'}", &[("REGISTRY_HTTP_ADDR", ":2")]).http.addr, ":2");
    assert_eq!(read("http:", &[]).http.addr, ":5000", "an empty section is no section");
    assert_eq!(read("version: 0.1", &[]).version, "0.1");
}

#[test]
fn values_of_the_environment_stay_texts() {
    let read = read("", &[("REGISTRY_HTTP_SECRET", "0123456789")]);
    assert_eq!(read.http.secret.expect("set").expose(), "0123456789");
}

#[test]
fn quotes_and_comments_are_no_part_of_a_value_and_nothing_is_no_value() {
    for (text, expected) in [
        ("\":2\"", ":2"),
        ("':2'", ":2"),
        (" :2 # for now", ":2"),
        ("[::1]:2", "[::1]:2"),
        ("a:2#3", "a:2#3"),
        ("\"half", "\"half"),
        ("007", "007"),
        ("!x y", "!x y"),
        ("a: b", "a: b"),
    ] {
        assert_eq!(read("", &[("REGISTRY_HTTP_ADDR", text)]).http.addr, expected, "{text}");
    }
    let loaded = load("http: {addr: ':1'}", &[("REGISTRY_HTTP_ADDR", " ")]).expect("loads");
    assert_eq!(loaded.read::<Read>().expect("fits").http.addr, ":1");
    assert!(loaded.warnings()[0].contains("is empty"), "{:?}", loaded.warnings());
}

#[test]
fn a_section_may_be_given_in_any_style_of_yaml_and_what_is_none_stops_the_start() {
    for text in ["{enabled: true}", "enabled: true", "enabled: true\n", "<<: {enabled: true}"] {
        assert!(read("", &[("REGISTRY_STORAGE_DELETE", text)]).storage.delete.enabled, "{text}");
    }
    let hooks = "- type: mail\n  levels:\n  - error\n";
    assert_eq!(read("", &[("REGISTRY_HOOKS", hooks)]).hooks[0].levels, ["error"]);
    let error = load("", &[("REGISTRY_STORAGE_DELETE", "{enabled: true")]).expect_err("open").to_string();
    assert!(error.contains("REGISTRY_STORAGE_DELETE") && error.contains("line"), "{error}");
}

#[test]
fn a_key_that_is_written_twice_is_told_or_refused() {
    let yaml = "http: {addr: ':1', addr: ':2'}\nversion: 0.1\n";
    let loaded = load(yaml, &[]).expect("loads");
    assert_eq!(loaded.read::<Read>().expect("fits").http.addr, ":2");
    assert!(loaded.warnings()[0].contains("`http.addr` is written twice"), "{:?}", loaded.warnings());
    let strict = Schema { unknown: UnknownKeys::Refuse, ..SCHEMA };
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    fs::write(file.path(), yaml).expect("writable");
    assert!(strict.load(Some(file.path()), Vec::new()).is_err());
}

#[test]
fn the_report_shows_addresses_without_what_is_secret_in_them() {
    for (address, shown) in [
        ("https://r.example/x", "https://r.example/x    ("),
        ("https://u:hush@r.example/x", "https://r.example/x [without user, password and query]"),
        ("https://r.example/x?key=hush", "https://r.example/x [without user, password and query]"),
        ("https://u:hush@[r", "[redacted]"),
        ("https://[r?key=hush", "[redacted]"),
        ("^https?://r\\.example/", "^https?://r\\.example/    ("),
    ] {
        let report = load("", &[("REGISTRY_HTTP_ADDR", address)]).expect("loads").report();
        assert!(report.contains(&format!("http.addr = {shown}")), "{report}");
        assert!(!report.contains("hush"), "{report}");
    }
}

#[test]
fn a_choice_and_its_details_work_together_in_any_order() {
    let variables = [
        ("REGISTRY_STORAGE", "filesystem"),
        ("REGISTRY_STORAGE_DELETE_ENABLED", "true"),
        ("REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY", "/images"),
    ];
    let mut turned = variables;
    turned.rotate_left(1);
    for variables in [variables, turned] {
        let read = read("storage: {filesystem: {rootdirectory: /old}}", &variables);
        assert_eq!(read.storage.filesystem.expect("chosen").rootdirectory.as_deref(), Some("/images"));
        assert!(read.storage.delete.enabled);
    }
    assert!(read("storage: filesystem", &[]).storage.filesystem.is_some());
}

#[test]
fn lists_come_numbered_as_yaml_or_as_one_text() {
    type Case<'a> = (&'a [(&'a str, &'a str)], &'a [&'a str]);
    let cases: &[Case<'_>] = &[
        (&[("REGISTRY_HTTP_TLS_CLIENTCAS_0", "a"), ("REGISTRY_HTTP_TLS_CLIENTCAS_1", "b")], &["a", "b"]),
        (&[("REGISTRY_HTTP_TLS_CLIENTCAS", "[a, b]")], &["a", "b"]),
        (&[("REGISTRY_HTTP_TLS_CLIENTCAS", "a.pem")], &["a.pem"]),
    ];
    for (variables, expected) in cases {
        assert_eq!(read("", variables).http.tls.clientcas, *expected);
    }
    assert!(load("", &[("REGISTRY_HTTP_TLS_CLIENTCAS_3", "a")]).is_err());
}

#[test]
fn names_in_maps_keep_the_spelling_of_the_file() {
    let read = read("http: {headers: {X-Frame: [a]}}", &[("REGISTRY_HTTP_HEADERS_X-FRAME", "[b]")]);
    assert_eq!(read.http.headers["X-Frame"], ["b"]);
}

#[test]
fn secrets_come_from_files_without_their_line_end() {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    fs::write(file.path(), "s3cret\n").expect("writable");
    let path = file.path().to_str().expect("an ordinary path");
    for name in ["REGISTRY_HTTP_SECRET_FILE", "REGISTRY_HTTP_SECRETFILE"] {
        assert_eq!(read("", &[(name, path)]).http.secret.expect("set").expose(), "s3cret");
    }
    let both = load("http: {secret: a}", &[("REGISTRY_HTTP_SECRET_FILE", path)]);
    assert!(both.expect_err("two sources").to_string().contains("both set"));
    assert!(load("http: {secretfile: /nowhere/at/all}", &[]).is_err());
}

#[test]
fn unknown_keys_name_the_nearest_known_one() {
    let loaded = load("http: {adress: x}\nfoo: {bar: 1}", &[("REGISTRY_PORT", "tcp://1"), ("OTHER", "1")])
        .expect("warns");
    assert!(loaded.has_unknown_keys());
    assert_eq!(
        loaded.warnings(),
        [
            "environment variable REGISTRY_PORT fits no setting and has no effect",
            "unknown key `foo.bar`",
            "unknown key `http.adress`; did you mean `http.addr`?",
        ]
    );
    let strict = Schema { unknown: UnknownKeys::Refuse, ..SCHEMA };
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    fs::write(file.path(), "http: {adress: x}").expect("writable");
    assert!(strict.load(Some(file.path()), Vec::new()).is_err());
}

#[test]
fn what_stands_in_the_place_of_a_section_is_refused_and_not_replaced_by_defaults() {
    for (yaml, named) in [
        ("http: {tls: yes}", "http.tls.clientcas"),
        ("storage: {delete: true}", "storage.delete.enabled"),
        ("storage: {delete: [enabled]}", "storage.delete.enabled"),
        ("storage: {delete: []}", "storage.delete.enabled"),
        ("cache: ''", "cache.size"),
        ("hooks: mail", "hooks[].type"),
        ("hooks: [mail]", "hooks[].type"),
        ("hooks: [{type: mail}, mail]", "hooks[].type"),
        ("hooks: {}", "hooks[].type"),
        ("hooks: [{options: x}]", "hooks[].options.to"),
    ] {
        let error = load(yaml, &[]).expect_err(yaml).to_string();
        assert!(error.contains(&format!("such as `{named}`")), "{yaml}: {error}");
    }
    for yaml in
        ["http: {tls: }", "http: {tls: {}}", "storage: {delete: {}}", "hooks: []", "hooks: ", "hooks: [{}]"]
    {
        assert!(load(yaml, &[]).is_ok(), "{yaml}");
    }
}

#[test]
fn a_variable_that_switches_a_section_on_is_refused_and_other_words_for_one_are_not_for_us() {
    for word in ["true", "yes", "On"] {
        let error = load("", &[("REGISTRY_STORAGE_DELETE", word)]).expect_err(word).to_string();
        assert!(error.contains("REGISTRY_STORAGE_DELETE_ENABLED"), "{error}");
    }
    for word in ["tcp://10.0.0.1:5000", "false", "1"] {
        let loaded = load("", &[("REGISTRY_STORAGE_DELETE", word)]).expect(word);
        assert!(loaded.warnings()[0].contains("fits no setting"), "{:?}", loaded.warnings());
    }
}

#[test]
fn a_secret_of_the_wrong_kind_is_not_told() {
    const SECRETS: &[Key] = &[Key::new("basic", Kind::SecretMap, "", "Secrets.")];
    #[derive(Debug, Deserialize)]
    struct Wrong {
        #[expect(dead_code, reason = "never read")]
        basic: std::collections::BTreeMap<String, Vec<String>>,
    }
    let schema = Schema { keys: &[SECRETS], ..SCHEMA };
    for secret in ["hunter2", "hun\"ter2", "12345"] {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        fs::write(file.path(), format!("basic: {{a: '{secret}'}}")).expect("writable");
        let loaded = schema.load(Some(file.path()), Vec::new()).expect("loads");
        let error = loaded.read::<Wrong>().expect_err("a text is no list").to_string();
        assert!(error.contains("basic") && error.contains("[redacted]"), "{error}");
        assert!(!error.contains("ter2") && !error.contains("12345"), "{error}");
    }
}

#[test]
fn the_report_names_sources_and_hides_secrets() {
    let loaded = load("http: {addr: ':1'}", &[("REGISTRY_HTTP_SECRET", "hunter2")]).expect("loads");
    let report = loaded.report();
    assert!(report.contains("http.addr = :1    ("), "{report}");
    assert!(
        report.contains("http.secret = [redacted]    (environment variable REGISTRY_HTTP_SECRET)"),
        "{report}"
    );
    assert!(report.contains("http.drain = 30s    (default)"), "{report}");
    assert!(!report.contains("hunter2"));
}

#[test]
fn the_example_means_the_same_as_an_empty_file() {
    assert_eq!(read(&SCHEMA.example(), &[]), read("", &[]));
    assert!(!load(&SCHEMA.example(), &[]).expect("loads").has_unknown_keys());
}

#[test]
fn durations_need_a_unit() {
    assert_eq!(read("http: {drain: 168h}", &[]).http.drain.0.as_secs(), 168 * 3600);
    assert_eq!(read("http: {drain: 0}", &[]).http.drain.0.as_secs(), 0);
    let error =
        load("http: {drain: 60}", &[]).expect("loads").read::<Read>().expect_err("no unit").to_string();
    assert!(error.contains("write a number with a unit"), "{error}");
}

#[test]
fn items_of_lists_of_sections_are_built_key_by_key() {
    let read = read(
        "hooks: [{type: other}]",
        &[
            ("REGISTRY_HOOKS_0_LEVELS_0", "panic"),
            ("REGISTRY_LOGHOOKS_1_LEVELS", "[error, warn]"),
            ("REGISTRY_LOGHOOKS_1_MAILOPTIONS_TO_0", "a@b"),
            ("REGISTRY_LOGHOOKS_1_OPTIONS_PASSWORD", "hunter2"),
            ("REGISTRY_HOOKS_1", "{type: mail}"),
        ],
    );
    assert_eq!(read.hooks.len(), 2);
    assert_eq!(
        (read.hooks[0].r#type.as_str(), read.hooks[0].levels.as_slice()),
        ("other", &["panic".to_owned()][..])
    );
    assert_eq!((read.hooks[1].r#type.as_str(), read.hooks[1].levels.len()), ("mail", 2));
    assert_eq!(read.hooks[1].options.to, ["a@b"]);
    assert_eq!(read.hooks[1].options.password.expose(), "hunter2");
    let whole = load("", &[("REGISTRY_HOOKS", "[{type: a}, {type: b}]")]).expect("loads");
    assert_eq!(whole.read::<Read>().expect("fits").hooks.len(), 2);
    let gap = load("", &[("REGISTRY_HOOKS_1_TYPE", "mail")]).expect_err("the first is missing").to_string();
    assert!(gap.contains("undefined index 1"), "{gap}");
}

#[test]
fn secrets_in_items_are_hidden_and_come_from_files() {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    fs::write(file.path(), "s3cret\n").expect("writable");
    let path = file.path().to_str().expect("an ordinary path");
    let loaded = load("", &[("REGISTRY_HOOKS_0_OPTIONS_PASSWORD_FILE", path)]).expect("loads");
    assert_eq!(loaded.read::<Read>().expect("fits").hooks[0].options.password.expose(), "s3cret");
    let report = loaded.report();
    assert!(report.contains("hooks.0.options.password = [redacted]"), "{report}");
}

#[test]
fn a_key_with_an_underscore_is_reached_and_another_name_of_a_section_is_understood() {
    for (yaml, variables) in [
        ("", &[("REGISTRY_STORAGE_AZURE_MAX_RETRIES", "3")][..]),
        ("storage: {azureold: {max_retries: 3}}", &[]),
    ] {
        let error = load(yaml, variables).expect_err(yaml).to_string();
        assert_eq!(error, "`storage.azure` is set, but there is no Azure here");
    }
    let both = load("storage: {azureold: {max_retries: 3}, azure: {max_retries: 3}}", &[]);
    assert!(both.expect_err("two").to_string().contains("two names of the same"));
}

#[test]
fn keys_without_effect_are_named_by_their_section() {
    let loaded = load("cache: {size: 3, kind: memory}", &[]).expect("warns");
    assert_eq!(loaded.warnings(), ["`cache` has no effect: there is no cache"]);
}

#[test]
fn a_refused_key_that_is_switched_off_is_fine() {
    for yaml in ["storage: {azure: {max_retries: 0}}", "storage: {azure: {max_retries: ''}}"] {
        assert!(load(yaml, &[]).is_ok(), "{yaml}");
    }
    assert!(load("storage: {azure: {max_retries: 1}}", &[]).is_err());
}

#[test]
fn a_choice_that_replaces_a_section_says_what_is_lost() {
    let loaded = load(
        "storage: {filesystem: {rootdirectory: /old}, delete: {enabled: true}}",
        &[("REGISTRY_STORAGE", "filesystem")],
    )
    .expect("loads");
    let warnings = loaded.warnings().join("\n");
    assert!(warnings.contains("`storage.delete.enabled`, `storage.filesystem.rootdirectory`"), "{warnings}");
}
