//! Teams and who is in them.
//!
//! *Invariant:* only living users are members of living teams; removing a team removes its memberships with it.

use sqlx::PgExecutor;
use time::OffsetDateTime;

use super::error::DbError;

/// What a listing shows.
#[derive(Clone, Debug)]
pub struct TeamSummary {
    /// Folded name.
    pub name: String,
    /// When the team was added.
    pub created_at: OffsetDateTime,
    /// Names of its members, in order.
    pub members: Vec<String>,
}

/// All living teams, by name.
pub async fn list_teams(db: impl PgExecutor<'_>) -> Result<Vec<TeamSummary>, DbError> {
    let query = sqlx::query_as!(
        TeamSummary,
        r#"select t.name, t.created_at,
                  array(select p.name from team_member m join principal p on p.pid = m.member_pid
                         where m.team_pid = t.pid order by p.name) as "members!"
             from principal t
            where t.kind = 'team' and t.deleted_at is null
            order by t.name"#
    );
    Ok(query.fetch_all(db).await?)
}

/// Adds a member; says whether that was a change.
pub async fn insert_member(
    db: impl PgExecutor<'_>,
    team_pid: i64,
    member_pid: i64,
    now: OffsetDateTime,
) -> Result<bool, DbError> {
    let query = sqlx::query!(
        "insert into team_member (team_pid, member_pid, added_at) values ($1, $2, $3) on conflict do nothing",
        team_pid,
        member_pid,
        now
    );
    Ok(query.execute(db).await?.rows_affected() == 1)
}

/// Removes a member; says whether there was one.
pub async fn delete_member(db: impl PgExecutor<'_>, team_pid: i64, member_pid: i64) -> Result<bool, DbError> {
    let query =
        sqlx::query!("delete from team_member where team_pid = $1 and member_pid = $2", team_pid, member_pid);
    Ok(query.execute(db).await?.rows_affected() == 1)
}

/// Removes all members of a team.
pub async fn delete_members(db: impl PgExecutor<'_>, team_pid: i64) -> Result<u64, DbError> {
    let query = sqlx::query!("delete from team_member where team_pid = $1", team_pid);
    Ok(query.execute(db).await?.rows_affected())
}
