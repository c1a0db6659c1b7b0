//! `storage.s3`, `storage.gcs`, `storage.azure`: every parameter of the object stores, checked and not used yet.
//!
//! *Invariant:* whoever chooses an object store learns all that is wrong with its parameters, and that this version
//! has none, before anything is written anywhere.

use shared::server::settings::{Key, Kind, Loaded};
use url::Url;

use Check::{Bool, Integer, MultipleOf, OneOf, Origin, Required, Text, Time, Url as AnyUrl};

use super::NO_OBJECT_STORES;
use crate::settings::findings::Findings;
use crate::settings::go_duration::GoDuration;

const KIB: i64 = 1024;
const MIB: i64 = 1024 * KIB;
const GIB: i64 = 1024 * MIB;

/// Words of S3, compared without regard to case.
const STORAGE_CLASSES: &[&str] = &[
    "NONE",
    "STANDARD",
    "REDUCED_REDUNDANCY",
    "STANDARD_IA",
    "ONEZONE_IA",
    "INTELLIGENT_TIERING",
    "OUTPOSTS",
    "GLACIER_IR",
    "EXPRESS_ONEZONE",
];
const ACCESS_LISTS: &[&str] = &[
    "private",
    "public-read",
    "public-read-write",
    "authenticated-read",
    "aws-exec-read",
    "bucket-owner-read",
    "bucket-owner-full-control",
];
const LOG_LEVELS: &[&str] = &[
    "off",
    "debug",
    "debugwithsigning",
    "debugwithhttpbody",
    "debugwithrequestretries",
    "debugwithrequesterrors",
    "debugwitheventstreambody",
];
const CREDENTIALS: &[&str] = &["client_secret", "shared_key", "default_credentials"];

#[derive(Clone, Copy)]
struct Parameter {
    key: Key,
    check: Check,
}

/// What a value must be; numbers and booleans may also be texts, as variables are.
#[derive(Clone, Copy)]
enum Check {
    Text,
    Required,
    Bool,
    Integer(i64, i64),
    MultipleOf(i64),
    OneOf(&'static [&'static str]),
    Time,
    Url,
    /// A URL without path and query.
    Origin,
}

const fn parameter(
    path: &'static str,
    kind: Kind,
    default: &'static str,
    doc: &'static str,
    check: Check,
) -> Parameter {
    Parameter { key: Key::new(path, kind, default, doc).refused(NO_OBJECT_STORES), check }
}

const fn keys<const N: usize>(parameters: &[Parameter; N]) -> [Key; N] {
    let mut keys = [parameters[0].key; N];
    let mut index = 0;
    while index < N {
        keys[index] = parameters[index].key;
        index += 1;
    }
    keys
}

const S3: [Parameter; 24] = [
    parameter(
        "storage.s3.accesskey",
        Kind::Secret,
        "",
        "Access key; without it, the credentials of the environment.",
        Text,
    ),
    parameter("storage.s3.secretkey", Kind::Secret, "", "Secret key.", Text),
    parameter(
        "storage.s3.region",
        Kind::Scalar,
        "",
        "Region of the bucket; not needed with regionendpoint.",
        Text,
    ),
    parameter(
        "storage.s3.regionendpoint",
        Kind::Scalar,
        "",
        "Address of a server that is not Amazon's.",
        Text,
    ),
    parameter(
        "storage.s3.forcepathstyle",
        Kind::Scalar,
        "false",
        "Whether the bucket stands in the path and not in the host name.",
        Bool,
    ),
    parameter(
        "storage.s3.redirectendpoint",
        Kind::Scalar,
        "",
        "Scheme and host in the URLs that clients are redirected to.",
        Origin,
    ),
    parameter("storage.s3.bucket", Kind::Scalar, "", "Name of the bucket.", Required),
    parameter("storage.s3.encrypt", Kind::Scalar, "false", "Whether the server encrypts objects.", Bool),
    parameter("storage.s3.keyid", Kind::Scalar, "", "KMS key to encrypt with.", Text),
    parameter("storage.s3.secure", Kind::Scalar, "true", "Whether TLS is used.", Bool),
    parameter(
        "storage.s3.skipverify",
        Kind::Scalar,
        "false",
        "Whether the certificate of the server is not checked.",
        Bool,
    ),
    parameter("storage.s3.v4auth", Kind::Scalar, "true", "Whether requests are signed with version 4.", Bool),
    parameter(
        "storage.s3.chunksize",
        Kind::Scalar,
        "10485760",
        "Size of the parts of an upload; 5 MiB to 5 GiB.",
        Integer(5 * MIB, 5 * GIB),
    ),
    parameter(
        "storage.s3.multipartcopychunksize",
        Kind::Scalar,
        "33554432",
        "Size of the parts of a copy; 5 MiB to 5 GiB.",
        Integer(5 * MIB, 5 * GIB),
    ),
    parameter(
        "storage.s3.multipartcopymaxconcurrency",
        Kind::Scalar,
        "100",
        "Parts copied at a time.",
        Integer(1, i64::MAX),
    ),
    parameter(
        "storage.s3.multipartcopythresholdsize",
        Kind::Scalar,
        "33554432",
        "Larger objects are copied in parts; at most 5 GiB.",
        Integer(0, 5 * GIB),
    ),
    parameter("storage.s3.rootdirectory", Kind::Scalar, "", "Prefix of all keys.", Text),
    parameter(
        "storage.s3.storageclass",
        Kind::Scalar,
        "STANDARD",
        "Storage class of new objects.",
        OneOf(STORAGE_CLASSES),
    ),
    parameter(
        "storage.s3.objectacl",
        Kind::Scalar,
        "private",
        "Access list of new objects.",
        OneOf(ACCESS_LISTS),
    ),
    parameter(
        "storage.s3.usedualstack",
        Kind::Scalar,
        "false",
        "Whether addresses of both IP versions are used.",
        Bool,
    ),
    parameter("storage.s3.accelerate", Kind::Scalar, "false", "Whether transfer acceleration is used.", Bool),
    parameter("storage.s3.usefipsendpoint", Kind::Scalar, "false", "Whether FIPS addresses are used.", Bool),
    parameter("storage.s3.useragent", Kind::Scalar, "", "Name told to the server.", Text),
    parameter(
        "storage.s3.loglevel",
        Kind::Scalar,
        "off",
        "What is logged about requests to the server.",
        OneOf(LOG_LEVELS),
    ),
];

pub(in crate::settings) const S3_KEYS: [Key; 24] = keys(&S3);

const GCS: [Parameter; 7] = [
    parameter("storage.gcs.bucket", Kind::Scalar, "", "Name of the bucket.", Required),
    parameter("storage.gcs.keyfile", Kind::Scalar, "", "File with the key of a service account.", Text),
    parameter("storage.gcs.credentials", Kind::SecretMap, "", "The content of such a file.", Text),
    parameter("storage.gcs.rootdirectory", Kind::Scalar, "", "Prefix of all names.", Text),
    parameter(
        "storage.gcs.chunksize",
        Kind::Scalar,
        "16777216",
        "Size of the parts of an upload; a multiple of 256 KiB.",
        MultipleOf(256 * KIB),
    ),
    parameter(
        "storage.gcs.maxconcurrency",
        Kind::Scalar,
        "50",
        "Operations at a time; at least 25.",
        Integer(0, i64::MAX),
    ),
    parameter("storage.gcs.useragent", Kind::Scalar, "", "Name told to the server.", Text),
];

pub(in crate::settings) const GCS_KEYS: [Key; 7] = keys(&GCS);

const AZURE: [Parameter; 14] = [
    parameter("storage.azure.accountname", Kind::Scalar, "", "Name of the account.", Required),
    parameter("storage.azure.accountkey", Kind::Secret, "", "Key of the account, for `shared_key`.", Text),
    parameter("storage.azure.container", Kind::Scalar, "", "Name of the container.", Required),
    parameter(
        "storage.azure.credentials.type",
        Kind::Scalar,
        "",
        "`client_secret`, `shared_key` or `default_credentials`; `shared_key` if only `accountkey` is given.",
        OneOf(CREDENTIALS),
    ),
    parameter("storage.azure.credentials.clientid", Kind::Scalar, "", "Client, for `client_secret`.", Text),
    parameter("storage.azure.credentials.tenantid", Kind::Scalar, "", "Tenant, for `client_secret`.", Text),
    parameter("storage.azure.credentials.secret", Kind::Secret, "", "Secret of the client.", Text),
    parameter("storage.azure.realm", Kind::Scalar, "core.windows.net", "End of the host name.", Text),
    parameter(
        "storage.azure.serviceurl",
        Kind::Scalar,
        "",
        "Address of the service, if it is not the one of the account.",
        AnyUrl,
    ),
    parameter("storage.azure.rootdirectory", Kind::Scalar, "", "Prefix of all names.", Text),
    parameter(
        "storage.azure.connectionstring",
        Kind::Secret,
        "",
        "Not read by the distribution registry either.",
        Text,
    ),
    parameter(
        "storage.azure.max_retries",
        Kind::Scalar,
        "5",
        "Attempts; 0 means 5, -1 means not to wait.",
        Integer(-1, i64::MAX),
    ),
    parameter(
        "storage.azure.retry_delay",
        Kind::Scalar,
        "100ms",
        "Time between two attempts, times their number.",
        Time,
    ),
    parameter(
        "storage.azure.skipverify",
        Kind::Scalar,
        "false",
        "Whether the certificate of the server is not checked.",
        Bool,
    ),
];

pub(in crate::settings) const AZURE_KEYS: [Key; 14] = keys(&AZURE);

/// Says what is wrong with the parameters of this driver.
pub(super) fn check(driver: &str, loaded: &Loaded, findings: &mut Findings) {
    let parameters: &[Parameter] = match driver {
        "s3" => &S3,
        "gcs" => &GCS,
        "azure" => &AZURE,
        _ => return,
    };
    for Parameter { key, check } in parameters {
        let text = loaded.text(key.path).filter(|text| !text.is_empty());
        let problem = match text {
            Some(text) => check.problem(&text),
            None if matches!(check, Required) => Some("is missing".into()),
            None => None,
        };
        if let Some(problem) = problem {
            findings.refuse(format!("`{}` {problem}", key.path));
        }
    }
    match driver {
        "s3" => check_s3(loaded, findings),
        "gcs" if loaded.is_given("storage.gcs.keyfile") && loaded.is_given("storage.gcs.credentials") => {
            findings.refuse("`storage.gcs.keyfile` and `storage.gcs.credentials` are both set; remove one");
        }
        "azure" => check_azure(loaded, findings),
        _ => {}
    }
}

fn check_s3(loaded: &Loaded, findings: &mut Findings) {
    let has_endpoint = loaded.is_given("storage.s3.regionendpoint");
    if !has_endpoint && !loaded.is_given("storage.s3.region") {
        findings.refuse("`storage.s3.region` is missing; only `storage.s3.regionendpoint` makes it needless");
    }
    let old_signatures =
        loaded.text("storage.s3.v4auth").is_some_and(|text| parse_bool(&text) == Some(false));
    if old_signatures && !has_endpoint {
        findings.refuse("`storage.s3.v4auth` can be false with `storage.s3.regionendpoint` only");
    }
}

fn check_azure(loaded: &Loaded, findings: &mut Findings) {
    let has_key = loaded.is_given("storage.azure.accountkey");
    let needed: &[&str] = match loaded.text("storage.azure.credentials.type").as_deref() {
        Some("client_secret") => &["credentials.clientid", "credentials.tenantid", "credentials.secret"],
        Some("shared_key") => &["accountkey"],
        // Settings of 2.x know nothing but the key.
        None if !has_key => &["credentials.type"],
        _ => &[],
    };
    for name in needed {
        if !loaded.is_given(&format!("storage.azure.{name}")) {
            findings.refuse(format!("`storage.azure.{name}` is missing"));
        }
    }
}

impl Check {
    /// The end of a sentence that begins with the key; values may be secrets, so texts are not repeated.
    fn problem(self, text: &str) -> Option<String> {
        match self {
            Text | Required => None,
            Bool => parse_bool(text).is_none().then(|| "must be true or false".into()),
            Integer(least, most) => match text.parse::<i64>() {
                Ok(number) if (least..=most).contains(&number) => None,
                Ok(_) if most == i64::MAX => Some(format!("must be at least {least}")),
                Ok(_) => Some(format!("must be from {least} to {most}")),
                Err(_) => Some("must be a whole number".into()),
            },
            MultipleOf(unit) => match text.parse::<i64>() {
                Ok(number) if number > 0 && number % unit == 0 => None,
                _ => Some(format!("must be a multiple of {unit}")),
            },
            OneOf(words) => (!words.iter().any(|word| word.eq_ignore_ascii_case(text)))
                .then(|| format!("must be one of {}", words.join(", "))),
            Time => GoDuration::parse(text).err().map(|error| format!("is {error}")),
            AnyUrl => parse_url(text).is_none().then(|| "must be an http or https URL".into()),
            Origin => {
                let is_origin = |url: Url| url.path() == "/" && url.query().is_none();
                (!parse_url(text).is_some_and(is_origin))
                    .then(|| "must be scheme and host only, such as https://images.example".into())
            }
        }
    }
}

fn parse_url(text: &str) -> Option<Url> {
    Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
}

fn parse_bool(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "t" | "true" => Some(true),
        "0" | "f" | "false" => Some(false),
        _ => None,
    }
}
