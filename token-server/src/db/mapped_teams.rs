//! Who is in a team because of a group elsewhere.
//!
//! *Invariant:* memberships that somebody gave by hand are not touched.

use sqlx::PgExecutor;
use time::OffsetDateTime;

use super::error::DbError;

/// Somebody and a team.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MappedRow {
    /// Inner number of the user.
    pub pid: i64,
    /// Name of the user.
    pub user: String,
    /// Name of the team.
    pub team: String,
}

/// The teams that users are in because of groups elsewhere.
pub async fn list_mapped(db: impl PgExecutor<'_>, pids: &[i64]) -> Result<Vec<(i64, String)>, DbError> {
    let query = sqlx::query!(
        "select m.member_pid, t.name from team_member m join principal t on t.pid = m.team_pid
          where m.member_pid = any($1) and m.source = 'signon'",
        pids
    );
    Ok(query.fetch_all(db).await?.into_iter().map(|row| (row.member_pid, row.name)).collect())
}

/// Of these pairs of users and teams, how many there are to be made.
pub async fn count_missing(db: impl PgExecutor<'_>, pids: &[i64], teams: &[String]) -> Result<i64, DbError> {
    let query = sqlx::query_scalar!(
        r#"select count(*) as "count!" from unnest($1::bigint[], $2::text[]) w(pid, team)
             join principal t on t.kind = 'team' and t.deleted_at is null and t.name = w.team
            where not exists (select from team_member m where m.team_pid = t.pid and m.member_pid = w.pid)"#,
        pids,
        teams
    );
    Ok(query.fetch_one(db).await?)
}

/// Puts each of these users into the team beside them, because of groups elsewhere; says what that changed.
pub async fn insert_mapped(
    db: impl PgExecutor<'_>,
    pids: &[i64],
    teams: &[String],
    now: OffsetDateTime,
) -> Result<Vec<MappedRow>, DbError> {
    let query = sqlx::query_as!(
        MappedRow,
        r#"with added as (
               insert into team_member (team_pid, member_pid, added_at, source)
               select t.pid, w.pid, $3, 'signon' from unnest($1::bigint[], $2::text[]) w(pid, team)
                 join principal t on t.kind = 'team' and t.deleted_at is null and t.name = w.team
               on conflict do nothing returning team_pid, member_pid)
           select p.pid, p.name as "user", t.name as team from added
             join principal t on t.pid = added.team_pid join principal p on p.pid = added.member_pid"#,
        pids,
        teams,
        now
    );
    Ok(query.fetch_all(db).await?)
}

/// Takes users out of the teams of groups elsewhere, but for these pairs; says what that changed.
pub async fn delete_mapped_but(
    db: impl PgExecutor<'_>,
    users: &[i64],
    pids: &[i64],
    teams: &[String],
) -> Result<Vec<MappedRow>, DbError> {
    let query = sqlx::query_as!(
        MappedRow,
        r#"delete from team_member m using principal t, principal p
            where t.pid = m.team_pid and p.pid = m.member_pid and m.member_pid = any($1) and m.source = 'signon'
              and not exists (select from unnest($2::bigint[], $3::text[]) w(pid, team)
                               where w.pid = m.member_pid and w.team = t.name)
        returning p.pid, p.name as "user", t.name as team"#,
        users,
        pids,
        teams
    );
    Ok(query.fetch_all(db).await?)
}

/// Everybody who is in a team because of groups elsewhere, or in a group there that could mean one, by inner number.
pub async fn list_people_with_groups(db: impl PgExecutor<'_>) -> Result<Vec<i64>, DbError> {
    let query = sqlx::query_scalar!(
        "select p.pid from principal p
          where p.deleted_at is null
            and (exists (select from team_member m where m.member_pid = p.pid and m.source = 'signon')
              or exists (select from identity i where i.pid = p.pid and i.groups <> '{}')
              or exists (select from scim_user u join scim_group_member g on g.user_id = u.id where u.pid = p.pid))
          order by p.pid"
    );
    Ok(query.fetch_all(db).await?)
}
