//! `redis`: the cache of descriptors that the distribution registry can keep there; keys of 2.x and 3.x.
//!
//! *Invariant:* no connection is made, so nothing here can stop a start.

use shared::server::settings::{Key, Kind};

const fn redis(path: &'static str, kind: Kind, doc: &'static str) -> Key {
    Key::new(path, kind, "", doc).no_effect("nothing is kept in Redis")
}

pub(super) const KEYS: &[Key] = &[
    redis("redis.addrs", Kind::List, "Addresses of Redis."),
    redis("redis.clientname", Kind::Scalar, "Name of the connection."),
    redis("redis.db", Kind::Scalar, "Number of the database."),
    redis("redis.protocol", Kind::Scalar, "Version of its protocol."),
    redis("redis.username", Kind::Scalar, "User."),
    redis("redis.password", Kind::Secret, "Password."),
    redis("redis.sentinelusername", Kind::Scalar, "User at Sentinel."),
    redis("redis.sentinelpassword", Kind::Secret, "Password at Sentinel."),
    redis("redis.maxretries", Kind::Scalar, "Most attempts."),
    redis("redis.minretrybackoff", Kind::Scalar, "Shortest pause between attempts."),
    redis("redis.maxretrybackoff", Kind::Scalar, "Longest pause between attempts."),
    redis("redis.dialtimeout", Kind::Scalar, "How long a connection may take."),
    redis("redis.readtimeout", Kind::Scalar, "How long an answer may take."),
    redis("redis.writetimeout", Kind::Scalar, "How long a command may take."),
    redis("redis.contexttimeoutenabled", Kind::Scalar, "Whether the time of a request counts."),
    redis("redis.poolfifo", Kind::Scalar, "Order of the pool."),
    redis("redis.poolsize", Kind::Scalar, "Connections for each core."),
    redis("redis.pooltimeout", Kind::Scalar, "How long to wait for a connection."),
    redis("redis.minidleconns", Kind::Scalar, "Fewest idle connections."),
    redis("redis.maxidleconns", Kind::Scalar, "Most idle connections."),
    redis("redis.maxactiveconns", Kind::Scalar, "Most connections."),
    redis("redis.connmaxidletime", Kind::Scalar, "How long a connection may be idle."),
    redis("redis.connmaxlifetime", Kind::Scalar, "How long a connection may live."),
    redis("redis.maxredirects", Kind::Scalar, "Most redirects in a cluster."),
    redis("redis.readonly", Kind::Scalar, "Whether replicas of a cluster are read."),
    redis("redis.routebylatency", Kind::Scalar, "Whether the nearest node is read."),
    redis("redis.routerandomly", Kind::Scalar, "Whether a random node is read."),
    redis("redis.mastername", Kind::Scalar, "Name of the master at Sentinel."),
    redis("redis.disableidentity", Kind::Scalar, "Whether the client keeps its name to itself."),
    redis("redis.disableindentity", Kind::Scalar, "The same key as some releases spelt it."),
    redis("redis.identitysuffix", Kind::Scalar, "End of the client's name."),
    redis("redis.unstableresp3", Kind::Scalar, "Whether unstable answers are asked for."),
    redis("redis.addr", Kind::Scalar, "Address of Redis (2.x)."),
    redis("redis.pool.maxidle", Kind::Scalar, "Most idle connections (2.x)."),
    redis("redis.pool.maxactive", Kind::Scalar, "Most connections (2.x)."),
    redis("redis.pool.idletimeout", Kind::Scalar, "How long a connection may be idle (2.x)."),
    redis("redis.tls.enabled", Kind::Scalar, "Whether TLS is spoken (2.x)."),
    redis("redis.tls.certificate", Kind::Scalar, "PEM file: client certificate."),
    redis("redis.tls.key", Kind::Scalar, "PEM file: its private key."),
    redis("redis.tls.rootcas", Kind::List, "PEM files: who may have issued the certificate of Redis."),
    redis("redis.tls.clientcas", Kind::List, "Old name of redis.tls.rootcas."),
];
