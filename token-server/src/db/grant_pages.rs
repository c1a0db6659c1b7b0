//! Grants as listings show them, a page at a time.
//!
//! *Invariant:* a page is read in the order of an index, so that it costs the same however far back it is.

use sqlx::PgExecutor;

use super::error::DbError;
use super::grants::{GrantRow, GrantSummary};
use super::places::{AnchorRange, Bounds, Place};

/// What a query finds, before it is sorted into a row and what is around it.
macro_rules! summaries {
    ($query:expr, $db:expr) => {
        $query.fetch_all($db).await?.into_iter().map(|found| GrantSummary {
            subject_kind: found.kind,
            subject_name: found.name,
            source: found.source,
            reason: found.reason,
            created_by: found.created_by,
            created_at: found.created_at,
            row: GrantRow {
                id: found.id,
                subject_pid: found.subject_pid,
                effect: found.effect,
                role: found.role,
                role_rights: found.role_rights,
                rights: found.rights,
                pattern: found.pattern,
                tags: found.tags,
                not_before: found.not_before,
                expires_at: found.expires_at,
                networks: found.networks,
                second_factor: found.second_factor,
            },
        })
    };
}

/// The row of that number.
pub async fn find_grant(db: impl PgExecutor<'_>, id: i64) -> Result<Option<GrantSummary>, DbError> {
    let query = sqlx::query!(
        r#"select p.kind as "kind!", p.name as "name!", g.id as "id!", g.subject_pid as "subject_pid!",
                  g.effect as "effect!", g.role,
                  (select r.rights from role r where r.name = g.role) as role_rights, g.rights,
                  g.pattern as "pattern!", g.tags, g.not_before, g.expires_at, g.networks,
                  g.second_factor as "second_factor!", g.source as "source!", g.reason, g.created_at as "created_at!",
                  (select c.name from principal c where c.pid = g.created_by) as created_by
             from acl_grant g join principal p on p.pid = g.subject_pid
            where g.id = $1"#,
        id
    );
    Ok(summaries!(query, db).next())
}

/// Rows at anchors of these ranges, behind a place, up to a number.
pub async fn list_grants_behind(
    db: impl PgExecutor<'_>,
    ranges: &[AnchorRange],
    place: &Place,
    limit: i64,
) -> Result<Vec<GrantSummary>, DbError> {
    let Bounds { anchors, ids, ends } = Bounds::behind(ranges, place);
    // `offset 0` keeps the planner, which does not know how small a page is, from reading whole tables for it.
    let query = sqlx::query!(
        r#"select g.kind as "kind!", g.name as "name!", g.id as "id!", g.subject_pid as "subject_pid!",
                  g.effect as "effect!", g.role,
                  (select r.rights from role r where r.name = g.role) as role_rights, g.rights,
                  g.pattern as "pattern!", g.tags, g.not_before, g.expires_at, g.networks,
                  g.second_factor as "second_factor!", g.source as "source!", g.reason, g.created_at as "created_at!",
                  (select c.name from principal c where c.pid = g.created_by) as created_by
             from (select found.anchor, found.id
                     from unnest($1::text[], $2::bigint[], $3::text[]) range(anchor, id, high)
                    cross join lateral (
                        select g.anchor, g.id from acl_grant g
                         where (g.anchor, g.id) > (range.anchor, range.id) and g.anchor < range.high
                         order by g.anchor, g.id limit $4 offset 0) found
                    order by found.anchor, found.id limit $4) page
            cross join lateral (
                select p.kind, p.name, g.id, g.subject_pid, g.effect, g.role, g.rights, g.pattern, g.tags,
                       g.not_before, g.expires_at, g.networks, g.second_factor, g.source, g.reason, g.created_at,
                       g.created_by
                  from acl_grant g join principal p on p.pid = g.subject_pid
                 where g.id = page.id offset 0) g
            order by page.anchor, page.id"#,
        &anchors,
        &ids,
        &ends,
        limit
    );
    Ok(summaries!(query, db).collect())
}

/// The same, of these subjects only.
pub async fn list_grants_of_behind(
    db: impl PgExecutor<'_>,
    subjects: &[i64],
    ranges: &[AnchorRange],
    place: &Place,
    limit: i64,
) -> Result<Vec<GrantSummary>, DbError> {
    let Bounds { anchors, ids, ends } = Bounds::behind(ranges, place);
    let query = sqlx::query!(
        r#"select g.kind as "kind!", g.name as "name!", g.id as "id!", g.subject_pid as "subject_pid!",
                  g.effect as "effect!", g.role,
                  (select r.rights from role r where r.name = g.role) as role_rights, g.rights,
                  g.pattern as "pattern!", g.tags, g.not_before, g.expires_at, g.networks,
                  g.second_factor as "second_factor!", g.source as "source!", g.reason, g.created_at as "created_at!",
                  (select c.name from principal c where c.pid = g.created_by) as created_by
             from (select found.anchor, found.id
                     from unnest($1::text[], $2::bigint[], $3::text[]) range(anchor, id, high)
                    cross join unnest($5::bigint[]) subject(pid)
                    cross join lateral (
                        select g.anchor, g.id from acl_grant g
                         where g.subject_pid = subject.pid and (g.anchor, g.id) > (range.anchor, range.id)
                           and g.anchor < range.high
                         order by g.anchor, g.id limit $4 offset 0) found
                    order by found.anchor, found.id limit $4) page
            cross join lateral (
                select p.kind, p.name, g.id, g.subject_pid, g.effect, g.role, g.rights, g.pattern, g.tags,
                       g.not_before, g.expires_at, g.networks, g.second_factor, g.source, g.reason, g.created_at,
                       g.created_by
                  from acl_grant g join principal p on p.pid = g.subject_pid
                 where g.id = page.id offset 0) g
            order by page.anchor, page.id"#,
        &anchors,
        &ids,
        &ends,
        limit,
        subjects
    );
    Ok(summaries!(query, db).collect())
}

/// Removes the row of that number.
pub async fn delete_grant_numbered(db: impl PgExecutor<'_>, id: i64) -> Result<(), DbError> {
    sqlx::query!("delete from acl_grant where id = $1", id).execute(db).await?;
    Ok(())
}
