//! Keys of devices, and what they are to sign.
//!
//! *Invariant:* a challenge is gone with the first answer, and the count of a key never goes back.

use sqlx::PgExecutor;
use time::OffsetDateTime;
use uuid::Uuid;

use super::error::DbError;

/// No two keys are called the same by their devices.
pub const CREDENTIAL_KEY: &str = "passkey_credential_key";

/// No two keys of somebody have the same name.
pub const NAME_KEY: &str = "passkey_name_key";

/// A key of somebody.
#[derive(Clone, Debug)]
pub struct PasskeyRow {
    /// Its number.
    pub id: Uuid,
    /// Inner number of whose it is.
    pub pid: i64,
    /// How the device calls it.
    pub credential_id: Vec<u8>,
    /// The key, as the device wrote it.
    pub public_key: Vec<u8>,
    /// How often it was used, as the device says.
    pub sign_count: i64,
    /// How its owner calls it.
    pub name: String,
    /// When it was added.
    pub created_at: OffsetDateTime,
    /// When it was last used.
    pub last_used_at: Option<OffsetDateTime>,
}

/// A key to be added.
#[derive(Clone, Copy, Debug)]
pub struct NewPasskey<'a> {
    /// Its number.
    pub id: Uuid,
    /// Inner number of whose it is.
    pub pid: i64,
    /// How the device calls it.
    pub credential_id: &'a [u8],
    /// The key, as the device wrote it.
    pub public_key: &'a [u8],
    /// How often it was used, as the device says.
    pub sign_count: u32,
    /// How its owner calls it.
    pub name: &'a str,
}

/// Adds a key.
pub async fn insert_passkey(
    db: impl PgExecutor<'_>,
    key: &NewPasskey<'_>,
    now: OffsetDateTime,
) -> Result<(), DbError> {
    let query = sqlx::query!(
        "insert into passkey (id, pid, credential_id, public_key, sign_count, name, created_at)
         values ($1, $2, $3, $4, $5, $6, $7)",
        key.id,
        key.pid,
        key.credential_id,
        key.public_key,
        i64::from(key.sign_count),
        key.name,
        now
    );
    query.execute(db).await?;
    Ok(())
}

/// The keys of somebody, by name.
pub async fn list_passkeys(db: impl PgExecutor<'_>, pid: i64) -> Result<Vec<PasskeyRow>, DbError> {
    let query = sqlx::query_as!(
        PasskeyRow,
        "select id, pid, credential_id, public_key, sign_count, name, created_at, last_used_at
           from passkey where pid = $1 order by name",
        pid
    );
    Ok(query.fetch_all(db).await?)
}

/// Remembers that a key was used so often; says whether it was not used as often already. A device that does not count
/// says 0 for ever.
pub async fn update_counted(
    db: impl PgExecutor<'_>,
    id: Uuid,
    count: u32,
    now: OffsetDateTime,
) -> Result<bool, DbError> {
    let query = sqlx::query!(
        "update passkey set sign_count = $2, last_used_at = $3
          where id = $1 and (sign_count < $2 or sign_count = 0 and $2 = 0)",
        id,
        i64::from(count),
        now
    );
    Ok(query.execute(db).await?.rows_affected() == 1)
}

/// Takes a key of somebody away; returns its name.
pub async fn delete_passkey(db: impl PgExecutor<'_>, pid: i64, id: Uuid) -> Result<Option<String>, DbError> {
    let query = sqlx::query_scalar!("delete from passkey where pid = $1 and id = $2 returning name", pid, id);
    Ok(query.fetch_optional(db).await?)
}

/// Takes all keys of somebody away; says how many there were.
pub async fn delete_passkeys_of(db: impl PgExecutor<'_>, pid: i64) -> Result<u64, DbError> {
    Ok(sqlx::query!("delete from passkey where pid = $1", pid).execute(db).await?.rows_affected())
}

/// Remembers what a key is to sign, for one browser and one errand, in the place of what it was to sign before.
pub async fn insert_challenge(
    db: impl PgExecutor<'_>,
    (mac, errand): (&[u8; 32], &str),
    challenge: &[u8; 32],
    ends_at: OffsetDateTime,
) -> Result<(), DbError> {
    let query = sqlx::query!(
        "insert into passkey_challenge (mac, errand, challenge, ends_at) values ($1, $2, $3, $4)
             on conflict (mac, errand) do update set challenge = $3, ends_at = $4",
        mac.as_slice(),
        errand,
        challenge.as_slice(),
        ends_at
    );
    query.execute(db).await?;
    Ok(())
}

/// Takes that away, and returns it if its end has not come.
pub async fn take_challenge(
    db: impl PgExecutor<'_>,
    (mac, errand): (&[u8; 32], &str),
    now: OffsetDateTime,
) -> Result<Option<Vec<u8>>, DbError> {
    let query = sqlx::query!(
        "delete from passkey_challenge where mac = $1 and errand = $2 returning challenge, ends_at",
        mac.as_slice(),
        errand
    );
    Ok(query.fetch_optional(db).await?.filter(|row| now < row.ends_at).map(|row| row.challenge))
}
