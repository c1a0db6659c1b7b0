//! Every key of the settings with its default and what it is for.
//!
//! *Invariant:* what is not in this table is refused, so a misspelt key is never passed over.

use shared::server::settings::{Key, Kind, Schema, UnknownKeys};

const fn scalar(path: &'static str, default: &'static str, doc: &'static str) -> Key {
    Key::new(path, Kind::Scalar, default, doc)
}

/// Every key there is.
pub const KEYS: &[Key] = &[
    scalar("http.addr", "\":5001\"", "Address and port to listen on; without an address, on all of them."),
    scalar("http.tls.certificate", "", "PEM file with the certificate and its intermediates; turns TLS on."),
    scalar("http.tls.key", "", "PEM file with the private key of the certificate."),
    Key::new(
        "http.trustedproxies",
        Kind::List,
        "",
        "Addresses and networks of proxies whose X-Forwarded-For and Forwarded headers are believed.",
    ),
    scalar("http.draintimeout", "30s", "How long open requests may take after a request to stop."),
    scalar("http.stalltimeout", "60s", "How long a client may send or take nothing before it is cut off."),
    scalar("http.maxconnections", "2000", "Connections at a time; more wait."),
    scalar("log.level", "info", "Least severe level that is logged: error, warn, info or debug."),
    scalar("log.formatter", "text", "How log lines look: text or json."),
    Key::new(
        "database.url",
        Kind::Secret,
        "",
        "Address of the Postgres database, such as `postgres://user:password@host/name`.",
    ),
    scalar("database.maxconnections", "10", "Most connections to the database at once."),
    scalar("database.migrate", "true", "Whether `serve` and other commands bring the schema up to date."),
    scalar(
        "decisions.source",
        "snapshot",
        "Where rights are decided from: snapshot (memory, which follows the database) or database.",
    ),
    scalar(
        "decisions.maxage",
        "15m",
        "With the database away, rights are decided as they were for this long.",
    ),
    Key::new(
        "secret",
        Kind::Secret,
        "",
        "At least 32 random characters that protect the signing key and refresh tokens in the database.",
    ),
    Key::new(
        "revocations.secret",
        Kind::Secret,
        "",
        "What registries bring that ask which tokens were taken back, at least 32 characters; without it, none is told.",
    ),
    scalar("token.issuer", "portcullis", "Text of the claim `iss`; registries must be told the same."),
    scalar("token.lifetime", "300s", "How long tokens live: 60s to 3600s."),
    Key::new("token.paths", Kind::List, "[/token, /auth, /auth/token]", "Paths of the token endpoint."),
    scalar(
        "token.requestsperminute",
        "0",
        "Most tokens that one user or robot, or one address without a login, may ask for in a minute; 0 for no limit.",
    ),
    scalar(
        "audiences.*.verifier",
        "portcullis",
        "What the registry that calls itself NAME (its `service`) is: portcullis, distribution2 or distribution3.",
    ),
    scalar(
        "audiences.*.algorithm",
        "",
        "What its tokens are signed with: ES256, RS256 or EdDSA; without it, with the key for all registries.",
    ),
    scalar("audiences.*.lifetime", "", "How long its tokens live; without it, as `token.lifetime` says."),
    scalar(
        "keys.rotation",
        "",
        "After what time a new key signs, such as 720h; without it, only `key rotate` makes one. Registries that take \
         keys from a file must be given each new one.",
    ),
    scalar(
        "keys.verification",
        "48h",
        "How long a key is published after another one took its place; then it is retired.",
    ),
    scalar(
        "namespaces.personal",
        "false",
        "Whether a new user gets a namespace of the same name, to do everything in.",
    ),
    scalar("passwords.concurrency", "0", "Most password checks at once; 0 for half of the cores."),
    scalar("passwords.queue", "64", "Most password checks that wait; beyond them logins are answered 503."),
    scalar(
        "passwords.cache",
        "60s",
        "How long a password that was right is not checked again; 0 to check always.",
    ),
    scalar("refresh.idle", "720h", "A login that is kept ends when it was not used for this long."),
    scalar("refresh.lifetime", "2160h", "A login that is kept ends after this long in any case."),
    Key::new(
        "refresh.rotatingclients",
        Kind::List,
        "",
        "What clients call themselves (`client_id`) that store another token with each use; they get one.",
    ),
    scalar(
        "personaltokens.maxlifetime",
        "8760h",
        "A personal access token ends after this long at the latest, also one that was made before; 0 for never.",
    ),
    scalar(
        "robots.maxlifetime",
        "0",
        "A secret of a robot ends after this long at the latest, also one that was made before; 0 for never.",
    ),
    scalar(
        "trust.sessionlifetime",
        "1h",
        "How long a login is kept that a workload made with a token of its platform; 6h at most.",
    ),
    scalar(
        "trust.grace",
        "false",
        "Whether such a token, once it was used, is good for as long where it was used, for clients that keep no login.",
    ),
    Key::new(
        "trust.networks",
        Kind::List,
        "",
        "Private networks in which issuers may be asked for their keys; others are asked on the internet only.",
    ),
    scalar(
        "signon.url",
        "",
        "Address at which browsers reach this server, such as `https://auth.example`; turns the pages for people on.",
    ),
    scalar("signon.idle", "2h", "A browser is signed out when it was not used for this long."),
    scalar("signon.lifetime", "12h", "A browser is signed out after this long in any case."),
    scalar(
        "signon.secondfactor",
        "none",
        "Which people administer only with a second factor: none, administrators (who hold everything) or everybody \
         (who administers anything).",
    ),
    scalar(
        "signon.providers.*.kind",
        "",
        "What the provider called NAME is: oidc (OpenID Connect) or ldap (a directory).",
    ),
    scalar("signon.providers.*.title", "", "What people read on the sign-in page; without it, the name."),
    scalar(
        "signon.providers.*.newusers",
        "ask",
        "What becomes of people who come for the first time: create (a user), ask (an administrator) or refuse.",
    ),
    Key::new(
        "signon.providers.*.teams",
        Kind::Map,
        "",
        "Which of its groups are which teams, such as `{platform-devs: platform}`; other groups give nothing.",
    ),
    scalar(
        "signon.providers.*.maxgroupage",
        "24h",
        "How long groups count of which nothing was heard from the provider.",
    ),
    scalar(
        "signon.providers.*.scim",
        "",
        "Lets the provider make and remove users and groups by SCIM; which attribute is what the claim `claims.subject` \
         says: externalid or username.",
    ),
    scalar("signon.providers.*.issuer", "", "Address of an OpenID Connect provider, as its tokens say it."),
    scalar("signon.providers.*.clientid", "", "What the provider calls this server."),
    Key::new(
        "signon.providers.*.clientsecret",
        Kind::Secret,
        "",
        "How the provider knows this server; without it, this server is a public client.",
    ),
    Key::new(
        "signon.providers.*.scopes",
        Kind::List,
        "[openid, profile]",
        "What the provider is asked to say; with `offline_access` it can be asked for groups while nobody is there.",
    ),
    Key::new(
        "signon.providers.*.parameters",
        Kind::Map,
        "",
        "What else the provider wants to see when a browser comes, such as `{prompt: consent}` or `{domain_hint: acme}`.",
    ),
    scalar(
        "signon.providers.*.claims.subject",
        "sub",
        "The claim that says who somebody is for ever and is given to nobody else.",
    ),
    scalar(
        "signon.providers.*.claims.name",
        "preferred_username",
        "The claim after which a new user is called.",
    ),
    scalar("signon.providers.*.claims.displayname", "name", "The claim that says how people call them."),
    scalar(
        "signon.providers.*.claims.groups",
        "groups",
        "The claim that lists groups; a claim inside another one is written outer/inner.",
    ),
    Key::new(
        "signon.providers.*.require",
        Kind::Map,
        "",
        "What the provider must say of somebody to be let in, such as `{hd: acme.example}`; of a list, one element.",
    ),
    Key::new(
        "signon.providers.*.secondfactor",
        Kind::List,
        "",
        "Values of the claim `acr` by which the provider says that a second factor was shown; `amr` is understood anyway.",
    ),
    scalar(
        "signon.providers.*.cafile",
        "",
        "PEM file of authorities by whose certificates the provider is known, beside those of the system; a directory \
         is known by these alone.",
    ),
    Key::new(
        "signon.providers.*.url",
        Kind::List,
        "",
        "Addresses of a directory, `ldaps://host` or `ldap://host`; the next one is asked when one does not answer.",
    ),
    scalar("signon.providers.*.starttls", "false", "Whether TLS begins on a connection to `ldap://host`."),
    scalar(
        "signon.providers.*.allowplaintext",
        "false",
        "Whether passwords may go to a directory on another machine without TLS, where everybody on the way reads them.",
    ),
    scalar(
        "signon.providers.*.binddn",
        "",
        "Who searches a directory; without it, nobody in particular, which many directories refuse.",
    ),
    Key::new("signon.providers.*.bindpassword", Kind::Secret, "", "The password of `binddn`."),
    scalar(
        "signon.providers.*.base",
        "",
        "Below which entry people are, such as ou=people,dc=example,dc=com.",
    ),
    scalar(
        "signon.providers.*.userfilter",
        "\"(&(objectClass=person)(uid={user}))\"",
        "What finds somebody in a directory; {user} is what was typed as the name.",
    ),
    scalar(
        "signon.providers.*.disabledfilter",
        "",
        "What finds those who may not log in any more, where the directory lets them; it is asked about each entry.",
    ),
    scalar(
        "signon.providers.*.attributes.subject",
        "entryUUID",
        "The attribute that says who somebody is for ever and is given to nobody else; objectGUID in Active Directory.",
    ),
    scalar("signon.providers.*.attributes.name", "uid", "The attribute after which a new user is called."),
    scalar(
        "signon.providers.*.attributes.displayname",
        "cn",
        "The attribute that says how people call them.",
    ),
    scalar("signon.providers.*.attributes.group", "cn", "The attribute that says how a group is called."),
    scalar("signon.providers.*.groupbase", "", "Below which entry groups are; without it, `base`."),
    scalar(
        "signon.providers.*.groupfilter",
        "\"(member={dn})\"",
        "What finds the groups of an entry; {dn} is its name in the directory, {user} its attribute `name`. Without \
         a filter (\"\"), nobody is in groups.",
    ),
    scalar(
        "signon.providers.*.nestedgroups",
        "true",
        "Whether groups of groups count, where the filter asks by {dn}.",
    ),
    scalar(
        "signon.providers.*.timeout",
        "5s",
        "How long a directory may take to connect, and for each answer.",
    ),
    scalar("signon.providers.*.connections", "4", "Most questions to a directory at once; more wait."),
    scalar(
        "audit.retention",
        "",
        "How long rows of the audit record, and counts of what tokens were issued for, are kept; without it, until \
         `audit prune`.",
    ),
    scalar(
        "audit.spool",
        "",
        "File for audit records that wait for the database; without it they wait in memory, and end with the server.",
    ),
    scalar(
        "shadow.dockerauth",
        "",
        "Settings of docker_auth whose answer to each request is compared with ours; differences are logged.",
    ),
];

/// The table with its rules.
pub const SCHEMA: Schema = Schema {
    env_prefix: "TOKEN_SERVER_",
    keys: &[KEYS],
    unknown: UnknownKeys::Refuse,
    variable_names: &[],
    synonyms: &[],
};
