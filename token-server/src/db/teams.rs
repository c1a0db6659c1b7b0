//! Teams and who is in them.
//!
//! Members are users, robots, workloads and other teams, whose members then are members as well.
//!
//! *Invariant:* only the living are members of living teams; removing a team removes its memberships with it. No team
//! is a member of itself, through however many others, and a chain of teams has at most [`MAX_DEPTH`].

use sqlx::{PgConnection, PgExecutor};
use time::OffsetDateTime;

use super::error::DbError;
use super::principals::{PrincipalRow, ROBOT, TEAM, USER, WORKLOAD};

/// Most teams in a chain of which each is a member of the next.
pub const MAX_DEPTH: i32 = 5;

/// Whoever puts teams into teams excludes others by this number. ("team" in ASCII.)
const NESTING_LOCK: i64 = 0x7465_616d;

/// What putting a team into another would make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nesting {
    /// Whether a team would be a member of itself.
    pub is_cycle: bool,
    /// How many teams the longest chain would have.
    pub depth: i32,
}

/// What a listing shows.
#[derive(Clone, Debug)]
pub struct TeamSummary {
    /// Folded name.
    pub name: String,
    /// When the team was added.
    pub created_at: OffsetDateTime,
    /// How many are in it directly. Who they are is another listing, because teams may be large.
    pub member_count: i64,
    /// Those of them who say who else is in it, in order: names of users, `team:NAME`, `robot:OWNER/NAME` and
    /// `workload:NAME`.
    pub maintainers: Vec<String>,
}

/// The same as it is stored.
struct TeamRow {
    name: String,
    created_at: OffsetDateTime,
    member_count: i64,
    maintainers: Vec<String>,
}

impl From<TeamRow> for TeamSummary {
    fn from(row: TeamRow) -> Self {
        let TeamRow { name, created_at, member_count, maintainers } = row;
        Self { name, created_at, member_count, maintainers: in_order(maintainers) }
    }
}

/// Sorts `KIND:NAME`, users first, of whom only the name is said.
fn in_order(mut members: Vec<String>) -> Vec<String> {
    const KINDS: [&str; 4] = [USER, TEAM, ROBOT, WORKLOAD];
    members.sort_by_cached_key(|member| {
        let (kind, name) = member.split_once(':').unwrap_or_default();
        (KINDS.iter().position(|known| *known == kind), name.to_owned())
    });
    let said = |member: String| member.strip_prefix("user:").map(str::to_owned).unwrap_or(member);
    members.into_iter().map(said).collect()
}

/// Reads teams; the condition says which. Members are looked at in the list of columns, which is done for the rows of a
/// page only; in a join it would be done for every team first.
macro_rules! teams {
    ($condition:literal $(, $($arguments:tt)*)?) => {
        sqlx::query_as!(
            TeamRow,
            r#"select t.name, t.created_at,
                      (select count(*) from team_member m where m.team_pid = t.pid) as "member_count!",
                      array(select p.kind || ':' || p.name
                              from team_member m join principal p on p.pid = m.member_pid
                             where m.team_pid = t.pid and m.is_maintainer) as "maintainers!"
                 from principal t
                "# + $condition
            $(, $($arguments)*)?
        )
    };
}

/// All living teams, by name.
pub async fn list_teams(db: impl PgExecutor<'_>) -> Result<Vec<TeamSummary>, DbError> {
    let query = teams!("where t.kind = 'team' and t.deleted_at is null order by t.name");
    Ok(query.fetch_all(db).await?.into_iter().map(TeamSummary::from).collect())
}

/// The living team of that name.
pub async fn find_team_summary(db: impl PgExecutor<'_>, name: &str) -> Result<Option<TeamSummary>, DbError> {
    let query = teams!("where t.kind = 'team' and t.name = $1 and t.deleted_at is null", name);
    Ok(query.fetch_optional(db).await?.map(TeamSummary::from))
}

/// Living teams by name, behind one, up to a number; all, or those among these.
pub async fn list_teams_behind(
    db: impl PgExecutor<'_>,
    name: &str,
    among: Option<&[i64]>,
    limit: i64,
) -> Result<Vec<TeamSummary>, DbError> {
    let query = teams!(
        "where t.kind = 'team' and t.name > $1 and t.deleted_at is null
              and ($2::bigint[] is null or t.pid = any($2))
            order by t.name limit $3",
        name,
        among as Option<&[i64]>,
        limit
    );
    Ok(query.fetch_all(db).await?.into_iter().map(TeamSummary::from).collect())
}

/// The teams that a user is in, directly or through others, by name.
pub async fn list_teams_of(db: impl PgExecutor<'_>, member_pid: i64) -> Result<Vec<PrincipalRow>, DbError> {
    let query = sqlx::query_as!(
        PrincipalRow,
        r#"with recursive above(pid, depth) as (
               select $1::bigint, 0
               union
               select m.team_pid, above.depth + 1
                 from above join team_member m on m.member_pid = above.pid
                where above.depth < $2)
           select pid, kind, name from principal
            where pid in (select pid from above where depth > 0) order by name"#,
        member_pid,
        MAX_DEPTH
    );
    Ok(query.fetch_all(db).await?)
}

/// Somebody, and a team they are in.
#[derive(Clone, Copy, Debug)]
pub struct Membership {
    /// Inner number of who is in it.
    pub member_pid: i64,
    /// Inner number of the team.
    pub team_pid: i64,
}

/// The teams that each of these is in, directly or through others.
pub async fn list_teams_of_each(db: impl PgExecutor<'_>, pids: &[i64]) -> Result<Vec<Membership>, DbError> {
    let query = sqlx::query_as!(
        Membership,
        r#"with recursive above(member_pid, pid, depth) as (
               select pid, pid, 0 from unnest($1::bigint[]) w(pid)
               union
               select above.member_pid, m.team_pid, above.depth + 1
                 from above join team_member m on m.member_pid = above.pid
                where above.depth < $2)
           select distinct member_pid as "member_pid!", pid as "team_pid!" from above where depth > 0"#,
        pids,
        MAX_DEPTH
    );
    Ok(query.fetch_all(db).await?)
}

/// One member of a team.
#[derive(Clone, Debug)]
pub struct MemberRow {
    /// Inner number.
    pub pid: i64,
    /// `user`, `team`, `robot` or `workload`.
    pub kind: String,
    /// Folded name.
    pub name: String,
    /// Whether they say who else is in it.
    pub is_maintainer: bool,
    /// Where that comes from: `manual` or `policy`.
    pub source: String,
    /// Since when.
    pub added_at: OffsetDateTime,
}

impl MemberRow {
    /// The name of a user, or `team:NAME`, `robot:OWNER/NAME`, `workload:NAME`.
    pub fn spelled(&self) -> String {
        if self.kind == USER { self.name.clone() } else { format!("{}:{}", self.kind, self.name) }
    }
}

/// Members of a team by their numbers, behind one, up to a number.
pub async fn list_members_behind(
    db: impl PgExecutor<'_>,
    team_pid: i64,
    member_pid: i64,
    limit: i64,
) -> Result<Vec<MemberRow>, DbError> {
    let query = sqlx::query_as!(
        MemberRow,
        "select p.pid, p.kind, p.name, m.is_maintainer, m.source, m.added_at
           from team_member m join principal p on p.pid = m.member_pid
          where m.team_pid = $1 and m.member_pid > $2
          order by m.member_pid limit $3",
        team_pid,
        member_pid,
        limit
    );
    Ok(query.fetch_all(db).await?)
}

/// How somebody is in a team, if they are in it themselves.
pub async fn find_member(
    db: impl PgExecutor<'_>,
    team_pid: i64,
    member_pid: i64,
) -> Result<Option<MemberRow>, DbError> {
    let query = sqlx::query_as!(
        MemberRow,
        "select p.pid, p.kind, p.name, m.is_maintainer, m.source, m.added_at
           from team_member m join principal p on p.pid = m.member_pid
          where m.team_pid = $1 and m.member_pid = $2",
        team_pid,
        member_pid
    );
    Ok(query.fetch_optional(db).await?)
}

/// Looks at what putting a team into another would make, and keeps it so until the transaction ends.
pub async fn find_nesting(db: &mut PgConnection, team_pid: i64, member_pid: i64) -> Result<Nesting, DbError> {
    sqlx::query!("select pg_advisory_xact_lock($1)", NESTING_LOCK).execute(&mut *db).await?;
    let query = sqlx::query_as!(
        Nesting,
        r#"with recursive above(pid, depth) as (
               select $1::bigint, 1
               union
               select m.team_pid, above.depth + 1
                 from above join team_member m on m.member_pid = above.pid
                where above.depth <= $3),
           below(pid, depth) as (
               select $2::bigint, 1
               union
               select m.member_pid, below.depth + 1
                 from below join team_member m on m.team_pid = below.pid
                 join principal p on p.pid = m.member_pid and p.kind = 'team'
                where below.depth <= $3)
           select exists(select 1 from above where pid = $2) as "is_cycle!",
                  (select max(depth) from above) + (select max(depth) from below) as "depth!""#,
        team_pid,
        member_pid,
        MAX_DEPTH
    );
    Ok(query.fetch_one(&mut *db).await?)
}

/// Adds a member; says whether that was a change.
pub async fn insert_member(
    db: impl PgExecutor<'_>,
    team_pid: i64,
    member_pid: i64,
    is_maintainer: bool,
    now: OffsetDateTime,
) -> Result<bool, DbError> {
    let query = sqlx::query!(
        "insert into team_member (team_pid, member_pid, is_maintainer, added_at) values ($1, $2, $3, $4)
         on conflict do nothing",
        team_pid,
        member_pid,
        is_maintainer,
        now
    );
    Ok(query.execute(db).await?.rows_affected() == 1)
}

/// Lets a member say who else is in the team, or no longer.
pub async fn update_maintainer(
    db: impl PgExecutor<'_>,
    team_pid: i64,
    member_pid: i64,
    is_maintainer: bool,
) -> Result<(), DbError> {
    let query = sqlx::query!(
        "update team_member set is_maintainer = $3 where team_pid = $1 and member_pid = $2",
        team_pid,
        member_pid,
        is_maintainer
    );
    query.execute(db).await?;
    Ok(())
}

/// Removes a member; says whether there was one.
pub async fn delete_member(db: impl PgExecutor<'_>, team_pid: i64, member_pid: i64) -> Result<bool, DbError> {
    let query =
        sqlx::query!("delete from team_member where team_pid = $1 and member_pid = $2", team_pid, member_pid);
    Ok(query.execute(db).await?.rows_affected() == 1)
}

/// Removes all members of a team, and the team from the teams it is in.
pub async fn delete_members(db: impl PgExecutor<'_>, team_pid: i64) -> Result<u64, DbError> {
    let query = sqlx::query!("delete from team_member where team_pid = $1 or member_pid = $1", team_pid);
    Ok(query.execute(db).await?.rows_affected())
}

/// A user, a robot or a workload, and one of several holders that it is or is in.
#[derive(Clone, Debug)]
pub struct Behind {
    /// The holder.
    pub holder_pid: i64,
    /// Who is behind it.
    pub pid: i64,
    /// `user`, `robot` or `workload`.
    pub kind: String,
    /// Folded name.
    pub name: String,
}

/// The users, robots and workloads that are not disabled and are one of these principals, or in one of these teams
/// through however many others.
pub async fn list_behind(db: impl PgExecutor<'_>, holders: &[i64]) -> Result<Vec<Behind>, DbError> {
    let query = sqlx::query_as!(
        Behind,
        r#"with recursive behind(holder, pid, depth) as (
               select pid, pid, 0 from unnest($1::bigint[]) h(pid)
               union
               select behind.holder, m.member_pid, behind.depth + 1
                 from behind join team_member m on m.team_pid = behind.pid
                where behind.depth < $2)
           select distinct behind.holder as "holder_pid!", p.pid, p.kind, p.name
             from behind join principal p on p.pid = behind.pid
            where p.kind in ('user', 'robot', 'workload') and p.deleted_at is null and p.disabled_at is null
            order by p.name"#,
        holders,
        MAX_DEPTH
    );
    Ok(query.fetch_all(db).await?)
}

/// All that these users, robots and workloads hold rights by: themselves, their teams, and the teams those are in.
pub async fn list_holders_of(db: impl PgExecutor<'_>, pids: &[i64]) -> Result<Vec<Behind>, DbError> {
    let query = sqlx::query_as!(
        Behind,
        r#"with recursive holder(user_pid, pid, depth) as (
               select pid, pid, 0 from unnest($1::bigint[]) u(pid)
               union
               select holder.user_pid, m.team_pid, holder.depth + 1
                 from holder join team_member m on m.member_pid = holder.pid
                where holder.depth < $2)
           select distinct holder.pid as "holder_pid!", p.pid, p.kind, p.name
             from holder join principal p on p.pid = holder.user_pid
            where p.deleted_at is null and p.disabled_at is null
            order by p.name"#,
        pids,
        MAX_DEPTH
    );
    Ok(query.fetch_all(db).await?)
}

/// All users, robots and workloads that are not disabled.
pub async fn list_active(db: impl PgExecutor<'_>) -> Result<Vec<i64>, DbError> {
    let query = sqlx::query_scalar!(
        "select pid from principal
          where kind in ('user', 'robot', 'workload') and deleted_at is null and disabled_at is null"
    );
    Ok(query.fetch_all(db).await?)
}

/// The users who can log in and whose name stands in a text.
pub async fn list_users_named_in(db: impl PgExecutor<'_>, text: &str) -> Result<Vec<Behind>, DbError> {
    let query = sqlx::query_as!(
        Behind,
        r#"select pid as holder_pid, pid, kind, name
             from principal
            where kind = 'user' and deleted_at is null and disabled_at is null and strpos($1, name) > 0"#,
        text
    );
    Ok(query.fetch_all(db).await?)
}

/// Whether somebody maintains a team.
pub async fn maintains_any(db: impl PgExecutor<'_>, pid: i64) -> Result<bool, DbError> {
    let query = sqlx::query_scalar!(
        r#"select exists(select from team_member where member_pid = $1 and is_maintainer) as "any!""#,
        pid
    );
    Ok(query.fetch_one(db).await?)
}
