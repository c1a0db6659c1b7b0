//! Everything that can be said to the distribution registry reaches our table.
//!
//! The list of keys is written down here a second time, from that program's point of view, so that no row can be lost.

use std::path::Path;

use shared::server::settings::{Key, Loaded, State};

use super::*;

/// Every key of the 2.x and 3.x lines, by section; `[]` is an item of a list.
const KEYS: &str = "
    version loglevel
    log. accesslog.disabled level formatter reportcaller hooks[].type hooks[].disabled hooks[].levels
        hooks[].options.smtp.addr hooks[].options.smtp.username hooks[].options.smtp.password
        hooks[].options.smtp.insecure hooks[].options.from hooks[].options.to
    storage. delete.enabled redirect.disable cache.blobdescriptor cache.layerinfo cache.blobdescriptorsize
        tag.concurrencylimit maintenance.uploadpurging.enabled maintenance.uploadpurging.age
        maintenance.uploadpurging.interval maintenance.uploadpurging.dryrun maintenance.readonly.enabled
    storage.filesystem. rootdirectory maxthreads
    storage.s3. accesskey secretkey region regionendpoint forcepathstyle redirectendpoint bucket encrypt keyid secure
        skipverify v4auth chunksize multipartcopychunksize multipartcopymaxconcurrency multipartcopythresholdsize
        rootdirectory storageclass objectacl usedualstack accelerate usefipsendpoint useragent loglevel
    storage.azure. accountname accountkey container credentials.type credentials.clientid credentials.tenantid
        credentials.secret realm serviceurl rootdirectory connectionstring max_retries retry_delay skipverify
    storage.gcs. bucket keyfile rootdirectory chunksize maxconcurrency useragent
    auth. silly.realm silly.service htpasswd.realm htpasswd.path token.realm token.service token.issuer
        token.rootcertbundle token.jwks token.signingalgorithms token.autoredirect token.autoredirectpath
    middleware. registry[].name registry[].disabled repository[].name repository[].disabled storage[].name
        storage[].disabled
    http. addr net prefix host secret relativeurls draintimeout http2.disabled h2c.enabled tls.certificate tls.key
        tls.clientcas tls.clientauth tls.minimumtls tls.ciphersuites tls.letsencrypt.cachefile
        tls.letsencrypt.email tls.letsencrypt.hosts tls.letsencrypt.directoryurl debug.addr
        debug.prometheus.enabled debug.prometheus.path
    catalog. maxentries
    tags. maxtags
    notifications. events.includereferences endpoints[].name endpoints[].disabled endpoints[].url
        endpoints[].timeout endpoints[].threshold endpoints[].backoff endpoints[].ignoredmediatypes
        endpoints[].ignore.mediatypes endpoints[].ignore.actions
    health. storagedriver.enabled storagedriver.interval storagedriver.threshold file[].file file[].interval
        file[].threshold http[].uri http[].statuscode http[].timeout http[].interval http[].threshold tcp[].addr
        tcp[].timeout tcp[].interval tcp[].threshold
    proxy. remoteurl username password exec.command exec.lifetime ttl cachewritetimeout
    validation. disabled enabled manifests.urls.allow manifests.urls.deny manifests.indexes.platforms
        manifests.indexes.platformlist[].architecture manifests.indexes.platformlist[].os
    policy. repository.classes
    redis. addrs clientname db protocol username password sentinelusername sentinelpassword maxretries
        minretrybackoff maxretrybackoff dialtimeout readtimeout writetimeout contexttimeoutenabled poolfifo poolsize
        pooltimeout minidleconns maxidleconns maxactiveconns connmaxidletime connmaxlifetime maxredirects readonly
        routebylatency routerandomly mastername disableidentity identitysuffix unstableresp3 tls.certificate tls.key
        tls.rootcas addr pool.maxidle pool.maxactive pool.idletimeout tls.enabled
    compatibility. schema1.enabled schema1.signingkeyfile
    reporting. bugsnag.apikey bugsnag.releasestage bugsnag.endpoint newrelic.licensekey newrelic.name
        newrelic.verbose";

/// Maps with free names, each with a name for the test.
const MAPS: [(&str, &str); 9] = [
    ("http.headers", "Access-Control-Allow-Origin"),
    ("log.fields", "environment"),
    ("storage.gcs.credentials", "private_key_id"),
    ("middleware.registry[].options", "baseurl"),
    ("middleware.repository[].options", "baseurl"),
    ("middleware.storage[].options", "baseurl"),
    ("notifications.endpoints[].headers", "Authorization"),
    ("health.http[].headers", "Authorization"),
    ("storage.inmemory", "nothing"),
];

/// Where variables carry the name of a field of the program instead of the key's.
const FIELD_NAMES: [(&str, &str); 6] = [
    ("HEALTH_FILE_", "HEALTH_FILECHECKERS_"),
    ("HEALTH_HTTP_", "HEALTH_HTTPCHECKERS_"),
    ("HEALTH_TCP_", "HEALTH_TCPCHECKERS_"),
    ("NOTIFICATIONS_EVENTS_", "NOTIFICATIONS_EVENTCONFIG_"),
    ("LOG_HOOKS_0_OPTIONS_", "LOG_HOOKS_0_MAILOPTIONS_"),
    ("COMPATIBILITY_SCHEMA1_SIGNINGKEYFILE", "COMPATIBILITY_SCHEMA1_TRUSTKEY"),
];

fn keys() -> Vec<String> {
    let mut section = "";
    let mut keys = Vec::new();
    for word in KEYS.split_whitespace() {
        if word.ends_with('.') {
            section = word;
        } else {
            keys.push(format!("{section}{word}"));
        }
    }
    keys
}

fn row(path: &str) -> &'static Key {
    SCHEMA.rows().find(|key| key.path == path).unwrap_or_else(|| panic!("`{path}` has no row"))
}

/// The same path in a tree, for the first item.
fn in_tree(path: &str) -> String {
    path.replace("[]", ".0")
}

/// All spellings of the variable for a key.
fn variables(path: &str) -> Vec<String> {
    let yaml = in_tree(path).replace('.', "_").to_uppercase();
    let field = FIELD_NAMES.iter().find(|(name, _)| yaml.starts_with(name));
    let field = field.map(|(name, field)| yaml.replacen(name, field, 1));
    std::iter::once(yaml).chain(field).map(|name| format!("REGISTRY_{name}")).collect()
}

fn gather(yaml: &str, variables: &[(&str, &str)]) -> Loaded {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("config.yml");
    std::fs::write(&file, yaml).expect("writable");
    let variables = variables.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    SCHEMA.gather(Some(&file), variables).expect("readable")
}

fn fits_nothing(loaded: &Loaded) -> bool {
    loaded.has_unknown_keys() || loaded.warnings().iter().any(|warning| warning.contains("fits no setting"))
}

#[test]
fn every_key_has_a_row_and_every_spelling_of_its_variable_reaches_it() {
    for path in keys() {
        let row = row(&path);
        if row.file_only {
            continue;
        }
        for variable in variables(&path) {
            let loaded = gather("", &[(&variable, "7")]);
            assert!(!fits_nothing(&loaded), "{variable}: {:?}", loaded.warnings());
            assert!(loaded.is_given(&in_tree(&path)), "{variable} does not reach {path}");
        }
    }
}

#[test]
fn every_list_takes_items_yaml_and_one_text() {
    let lists = SCHEMA.rows().filter(|key| key.kind == Kind::List);
    for key in lists {
        for name in variables(key.path) {
            let tree = in_tree(key.path);
            let one = gather("", &[(&name, "host:1")]);
            assert!(one.report().contains(&format!("{tree} = [host:1]")), "{name}: {}", one.report());
            let yaml = gather("", &[(&name, "[a, b]")]);
            assert!(yaml.report().contains(&format!("{tree} = [a, b]")), "{name}");
            let numbered = gather("", &[(&format!("{name}_1"), "b"), (&format!("{name}_0"), "a")]);
            assert!(numbered.report().contains(&format!("{tree} = [a, b]")), "{name}: {}", numbered.report());
            let gap = gather("", &[(&format!("{name}_3"), "a")]);
            assert!(gap.problems().iter().any(|problem| problem.contains("undefined index 3")), "{name}");
        }
    }
}

#[test]
fn every_map_takes_entries() {
    for (path, name) in MAPS {
        row(path);
        for variable in variables(path) {
            let loaded = gather("", &[(&format!("{variable}_{name}"), "[x]")]);
            assert!(!fits_nothing(&loaded), "{variable}: {:?}", loaded.warnings());
            let entry = format!("{}.{}", in_tree(path), name.to_lowercase());
            assert!(loaded.is_given(&entry), "{variable} makes no {entry}: {}", loaded.report());
        }
    }
}

#[test]
fn every_key_of_a_file_is_known() {
    for path in keys() {
        // JSON is YAML: each section wraps what is inside it.
        let yaml =
            path.rsplit('.').fold("'7'".to_owned(), |inside, segment| match segment.strip_suffix("[]") {
                Some(list) => format!("{{{list}: [{inside}]}}"),
                None => format!("{{{segment}: {inside}}}"),
            });
        let loaded = gather(&yaml, &[]);
        assert!(!loaded.has_unknown_keys(), "{yaml}{:?}", loaded.warnings());
        assert!(loaded.is_given(&in_tree(&path)), "{yaml}");
    }
}

/// The settings file of the images, 3.x and 2.x.
const IMAGE_3: &str = "
version: 0.1
log:
  fields:
    service: registry
storage:
  cache:
    blobdescriptor: inmemory
  filesystem:
    rootdirectory: /var/lib/registry
http:
  addr: :5000
  headers:
    X-Content-Type-Options: [nosniff]
health:
  storagedriver:
    enabled: true
    interval: 10s
    threshold: 3
";

#[test]
fn the_files_of_the_images_start_unchanged() {
    let image_2 = IMAGE_3.replace("  addr: :5000\n", "  addr: :5000\n  debug:\n    addr: :5001\n");
    for yaml in [IMAGE_3, &image_2] {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("config.yml");
        std::fs::write(&file, yaml).expect("writable");
        let examined = examine(Some(&file), Vec::new()).expect("readable");
        assert!(!examined.loaded.has_unknown_keys(), "{:?}", examined.warnings);
        let settings = examined.outcome.expect("starts");
        assert_eq!(settings.storage.driver.folder(), Some(Path::new("/var/lib/registry")));
    }
}

/// What a file and variables make of one key.
type Form<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a str, &'a str);

#[test]
fn the_forms_of_variables_mean_what_they_mean_there_and_those_that_crash_there_work() {
    let forms: &[Form<'_>] = &[
        ("", &[("REGISTRY_HTTP_ADDR", "127.0.0.1:5005")], "http.addr", "127.0.0.1:5005"),
        ("http: {addr: ':1'}", &[("REGISTRY_HTTP", "{addr: ':2'}")], "http.addr", ":2"),
        ("", &[("REGISTRY_HTTP", "{addr: ':2'}"), ("REGISTRY_HTTP_ADDR", ":3")], "http.addr", ":3"),
        ("", &[("REGISTRY_LOGLEVEL", "debug")], "loglevel", "debug"),
        (
            "",
            &[("REGISTRY_STORAGE_MAINTENANCE_READONLY", "{\"enabled\":true}")],
            "storage.maintenance.readonly.enabled",
            "true",
        ),
        (
            "",
            &[("REGISTRY_STORAGE_MAINTENANCE", "{readonly: {enabled: true}}")],
            "storage.maintenance.readonly.enabled",
            "true",
        ),
        (
            "",
            &[("REGISTRY_STORAGE_MAINTENANCE_READONLY_ENABLED", "true")],
            "storage.maintenance.readonly.enabled",
            "true",
        ),
        (
            "storage: {maintenance: {uploadpurging: {enabled: true, age: 1h}}}",
            &[("REGISTRY_STORAGE_MAINTENANCE_UPLOADPURGING_AGE", "24h")],
            "storage.maintenance.uploadpurging.age",
            "24h",
        ),
        ("storage: {s3: {bucket: a}}", &[("REGISTRY_STORAGE_S3_BUCKET", "b")], "storage.s3.bucket", "b"),
        ("", &[("REGISTRY_STORAGE_S3AWS_BUCKET", "b")], "storage.s3.bucket", "b"),
        ("storage: {s3aws: {bucket: a}}", &[], "storage.s3.bucket", "a"),
        (
            "",
            &[("REGISTRY_STORAGE", "s3aws"), ("REGISTRY_STORAGE_S3AWS_BUCKET", "b")],
            "storage.s3.bucket",
            "b",
        ),
        ("", &[("REGISTRY_STORAGE_AZURE_MAX_RETRIES", "3")], "storage.azure.max_retries", "3"),
        (
            "",
            &[("REGISTRY_STORAGE_AZURE_CREDENTIALS_TYPE", "shared_key")],
            "storage.azure.credentials.type",
            "shared_key",
        ),
        ("", &[("REGISTRY_HEALTH_FILECHECKERS_0_FILE", "/down")], "health.file.0.file", "/down"),
        ("", &[("REGISTRY_HEALTH_FILE", "[{file: /down}]")], "health.file.0.file", "/down"),
        (
            "health: {file: [{file: /a}]}",
            &[("REGISTRY_HEALTH_FILECHECKERS_1_FILE", "/b")],
            "health.file.1.file",
            "/b",
        ),
        ("", &[("REGISTRY_PROXY_EXEC_COMMAND", "helper")], "proxy.exec.command", "helper"),
        (
            "",
            &[("REGISTRY_NOTIFICATIONS_ENDPOINTS", "[{url: 'http://x'}]")],
            "notifications.endpoints.0.url",
            "http://x",
        ),
        (
            "http: {headers: {X-Frame-Options: [deny]}}",
            &[("REGISTRY_HTTP_HEADERS_X-FRAME-OPTIONS", "same")],
            "http.headers.X-Frame-Options",
            "same",
        ),
        ("version: 0.1", &[("REGISTRY_VERSION", "3.0.0")], "version", "0.1"),
    ];
    for (yaml, variables, path, expected) in forms {
        let loaded = gather(yaml, variables);
        assert_eq!(loaded.text(path).as_deref(), Some(*expected), "{yaml} {variables:?}");
    }
}

#[test]
fn what_orchestrators_put_into_every_container_is_only_a_warning() {
    for name in [
        "REGISTRY_PORT",
        "REGISTRY_PORT_5000_TCP",
        "REGISTRY_PORT_5000_TCP_ADDR",
        "REGISTRY_SERVICE_HOST",
        "REGISTRY_SERVICE_PORT_HTTP",
        "REGISTRY_STORAGE_PORT",
        "REGISTRY_STORAGE_PORT_80_TCP_PROTO",
        "REGISTRY_AUTH_PORT",
        "REGISTRY_AUTH_SERVICE_HOST",
        "REGISTRY_HTTP_PORT",
        "REGISTRY_HTTP_DEBUG_PORT",
        "REGISTRY_VERSION",
    ] {
        let (settings, warnings) =
            load(None, vec![(name.into(), "tcp://10.0.0.1:80".into())]).expect("starts all the same");
        assert!(warnings.iter().any(|warning| warning.contains(name)), "{name}: {warnings:?}");
        assert_eq!(settings.storage.driver.folder(), Some(Path::new("/var/lib/registry")), "{name}");
        assert!(matches!(settings.auth, AuthSettings::Open), "{name}");
    }
}

fn refusal(yaml: &str, variables: &[(&str, &str)]) -> String {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("config.yml");
    std::fs::write(&file, yaml).expect("writable");
    let variables = variables.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    let outcome = examine(Some(&file), variables).expect("readable").outcome;
    outcome.map_or_else(|error| error.to_string(), |_| String::new())
}

#[test]
fn a_second_driver_is_an_error_unless_one_is_chosen() {
    let file = "auth: none\nstorage: {filesystem: {rootdirectory: /data}}";
    let two = refusal(file, &[("REGISTRY_STORAGE_S3_BUCKET", "b")]);
    assert!(two.contains("more than one driver: filesystem, s3"), "{two}");
    let chosen = refusal(file, &[("REGISTRY_STORAGE", "s3"), ("REGISTRY_STORAGE_S3_BUCKET", "b")]);
    assert!(chosen.contains("object stores") && !chosen.contains("more than one"), "{chosen}");
    assert_eq!(refusal("auth: none\nstorage: {s3: {bucket: b}}", &[("REGISTRY_STORAGE", "filesystem")]), "");
    assert_eq!(refusal("auth: none\nstorage: filesystem", &[]), "");
    assert!(refusal("auth: none\nstorage: floppy", &[]).contains("`storage.floppy`"));
}

#[test]
fn parameters_of_object_stores_are_checked_before_the_store_is_refused() {
    let later = "object stores come with a later version";
    for (yaml, expected) in [
        ("s3: {bucket: b, region: eu-1}", vec![later]),
        (
            "s3aws: {bucket: b, regionendpoint: 'http://minio:9000', v4auth: false, secure: 'false'}",
            vec![later],
        ),
        ("s3: {}", vec![later, "`storage.s3.bucket` is missing", "`storage.s3.region` is missing"]),
        (
            "s3: {bucket: b, region: r, chunksize: 1, encrypt: perhaps, storageclass: cheap, v4auth: false}",
            vec![
                later,
                "s3.chunksize` must be from",
                "s3.encrypt` must be",
                "s3.storageclass` must be",
                "s3.v4auth`",
            ],
        ),
        ("s3: {bucket: b, region: r, redirectendpoint: 'https://x/y'}", vec![later, "s3.redirectendpoint`"]),
        ("s3: {bucket: b, region: r, chunksize: '10485760', storageclass: standard_ia}", vec![later]),
        ("gcs: {bucket: b, chunksize: 5242880}", vec![later]),
        ("gcs: {bucket: b, chunksize: 5000000}", vec![later, "gcs.chunksize` must be a multiple"]),
        ("gcs: {bucket: b, keyfile: k, credentials: {type: x}}", vec![later, "both set"]),
        ("azure: {accountname: a, accountkey: k, container: c}", vec![later]),
        ("azure: {accountname: a, container: c}", vec![later, "`storage.azure.credentials.type` is missing"]),
        (
            "azure: {accountname: a, container: c, credentials: {type: client_secret, clientid: x}}",
            vec![later, "credentials.tenantid` is missing", "credentials.secret` is missing"],
        ),
        (
            "azure: {accountname: a, accountkey: k, container: c, retry_delay: soon}",
            vec![later, "retry_delay`"],
        ),
    ] {
        let said = refusal(&format!("auth: none\nstorage: {{{yaml}}}"), &[]);
        assert_eq!(said.lines().count(), expected.len(), "{yaml}:\n{said}");
        for part in expected {
            assert!(said.contains(part), "{yaml}: {said}");
        }
    }
    let loaded = gather("storage: {s3: {bucket: images, accesskey: hush1, secretkey: hush2}}", &[]);
    let report = loaded.report();
    assert!(report.contains("storage.s3.bucket = images") && !report.contains("hush"), "{report}");
    let loaded = gather("storage: {gcs: {credentials: {private_key: hush}}}", &[]);
    assert!(loaded.report().contains("private_key = [redacted]"), "{}", loaded.report());
}

#[test]
fn what_is_switched_off_may_stay_in_the_file() {
    for yaml in [
        "notifications: {endpoints: [{name: a, url: 'http://x', disabled: true}]}",
        "notifications: {events: {includereferences: true}}",
        "middleware: {storage: [{name: redirect, disabled: true, options: {baseurl: 'https://x'}}]}",
        "proxy: {remoteurl: ''}",
        "proxy: {username: a}",
        "redis: {addr: 'localhost:6379', pool: {maxidle: 16}}",
    ] {
        assert_eq!(refusal(&format!("auth: none\n{yaml}"), &[]), "", "{yaml}");
    }
    for (yaml, key) in [
        (
            "notifications: {endpoints: [{disabled: true}, {name: a, url: 'http://x'}]}",
            "notifications.endpoints",
        ),
        ("middleware: {storage: [{name: redirect}]}", "middleware"),
        ("proxy: {remoteurl: 'https://registry.example'}", "proxy.remoteurl"),
    ] {
        let said = refusal(&format!("auth: none\n{yaml}"), &[]);
        assert!(said.contains(key), "{yaml}: {said}");
    }
    let said = refusal("auth: none", &[("REGISTRY_PROXY_REMOTEURL", "https://registry-1.docker.io")]);
    assert!(said.contains("proxy.remoteurl"), "{said}");
}

#[test]
fn booleans_of_old_files_are_understood() {
    for (word, expected) in [("yes", true), ("on", true), ("'true'", true), ("no", false), ("off", false)] {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("config.yml");
        std::fs::write(&file, format!("storage: {{delete: {{enabled: {word}}}}}")).expect("writable");
        let (settings, _) = load(Some(&file), Vec::new()).expect(word);
        assert_eq!(settings.storage.delete_enabled, expected, "{word}");
    }
}

#[test]
fn a_bare_duration_counts_nanoseconds() {
    for (text, milliseconds) in [("5000000000", 5000), ("1m30s", 90_000), ("0", 0)] {
        let (settings, _) = load(None, vec![("REGISTRY_HTTP_DRAINTIMEOUT".into(), text.into())]).expect(text);
        assert_eq!(settings.http.listener.drain_timeout.as_millis(), milliseconds, "{text}");
    }
}

#[test]
fn a_row_that_does_not_work_says_why() {
    for key in SCHEMA.rows() {
        if let State::NoEffect(why) | State::Refused(why) = key.state {
            assert!(why.len() > 15 && !why.ends_with('.'), "{}: {why}", key.path);
        }
        assert!(key.doc.ends_with('.'), "{}", key.path);
    }
}
