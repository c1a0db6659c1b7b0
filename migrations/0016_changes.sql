-- Servers keep in memory who may do what, and follow the database through this log: each row says what to read again.
-- The rows are written by triggers, so whoever changes a table, in whatever way, cannot forget them.
-- Servers of the release before write it as well, because the triggers do; they just do not read it.
create table acl_change (
    seq  bigint generated always as identity primary key,
    -- Tells this row from the one of the same number in a database that was restored and went another way.
    mark uuid not null default gen_random_uuid(),
    kind text collate "C" not null
         check (kind in ('everything', 'principal', 'member', 'grant', 'barrier', 'role', 'namespace')),
    -- Which row changed: a number, a name, or a number and where to look for it.
    id   bigint,
    name text collate "C"
);

-- There is always a last row: the position of a server is one.
insert into acl_change (kind) values ('everything');

-- Notes which row changed; the arguments are the kind and the columns that say which. It runs as the owner of the
-- schema, so that a role that may change the tables needs nothing else.
create function acl_note() returns trigger
    language plpgsql security definer set search_path from current
    as $$
    declare
        -- The lock of everybody who changes rights, held until the transaction ends: so numbers become visible in their
        -- order, and nobody who has read up to one can have missed a smaller one. ("pacl" in ASCII.)
        change_lock constant bigint := x'7061636c'::bigint;
        gone jsonb;
        come jsonb;
    begin
        perform pg_advisory_xact_lock(change_lock);
        if tg_op = 'TRUNCATE' then
            insert into acl_change (kind) values ('everything');
        else
            if tg_op <> 'INSERT' then
                gone := to_jsonb(old);
            end if;
            if tg_op <> 'DELETE' then
                come := to_jsonb(new);
            end if;
            insert into acl_change (kind, id, name)
            select distinct tg_argv[0], (changed ->> tg_argv[1])::bigint, changed ->> tg_argv[2]
              from unnest(array[gone, come]) changed
             where changed is not null;
        end if;
        -- Waiting servers are told when the transaction is committed.
        perform pg_notify('acl_change', '');
        return null;
    end
    $$;

create trigger principal_noted after insert or delete or update of uid, kind, name, disabled_at, deleted_at on principal
    for each row execute function acl_note('principal', 'pid', '');
create trigger team_member_noted after insert or delete or update on team_member
    for each row execute function acl_note('member', 'member_pid', '');
create trigger acl_grant_noted after insert or delete or update on acl_grant
    for each row execute function acl_note('grant', 'id', 'anchor');
create trigger acl_barrier_noted after insert or delete or update on acl_barrier
    for each row execute function acl_note('barrier', '', 'anchor');
create trigger role_noted after insert or delete or update of name, rights on role
    for each row execute function acl_note('role', '', 'name');

create trigger namespace_noted after insert or delete or update of name, create_policy on namespace
    for each row execute function acl_note('namespace', '', 'name');

create trigger principal_emptied after truncate on principal
    for each statement execute function acl_note('everything');
create trigger team_member_emptied after truncate on team_member
    for each statement execute function acl_note('everything');
create trigger acl_grant_emptied after truncate on acl_grant
    for each statement execute function acl_note('everything');
create trigger acl_barrier_emptied after truncate on acl_barrier
    for each statement execute function acl_note('everything');
create trigger role_emptied after truncate on role
    for each statement execute function acl_note('everything');
create trigger namespace_emptied after truncate on namespace
    for each statement execute function acl_note('everything');
