-- What takes tokens back that are out already, for registries that ask. Triggers write it, with a number from the log of
-- changes, so that a token which was decided after a change is told from one which was decided before it.
create table revocation (
    -- The number in acl_change.
    at         bigint primary key,
    made_at    timestamptz not null default clock_timestamp(),
    -- A token is taken back if everything is true of it that stands here: whose it is, by the stable id, …
    subject    uuid,
    -- … with what it was got, by the number of a credential or a kept login, …
    credential uuid,
    -- … with which key it was signed, …
    key        text collate "C",
    -- … and where it is used: in this repository, or below this name with a slash behind it.
    repository text collate "C",
    below      text collate "C"
);

create index revocation_made_at on revocation (made_at);

-- The life of the database: another one after it was restored, because numbers begin again then. One row.
create table revocation_epoch (
    epoch uuid not null,
    -- What tells one life from another: the cluster, its timeline and this table.
    life  text not null,
    is_only boolean primary key default true check (is_only)
);

alter table acl_change
    drop constraint acl_change_kind_check,
    add constraint acl_change_kind_check check (kind in ('everything', 'principal', 'member', 'grant', 'barrier', 'role',
                                                         'namespace', 'credential', 'login', 'revocation'));

create function revocation_life() returns text
    language sql volatile security definer set search_path from current
    as $$
    select concat_ws('/', (select system_identifier from pg_control_system()),
                          (select timeline_id from pg_control_checkpoint()), 'revocation'::regclass::oid)
    $$;

-- A UUID of version 7: one that is made later is greater, as long as no clock is set back.
create function revocation_new_epoch() returns uuid
    language sql volatile security definer set search_path from current
    as $$
    select (lpad(to_hex((extract(epoch from clock_timestamp()) * 1000)::bigint), 12, '0') || '7'
            || substr(replace(gen_random_uuid()::text, '-', ''), 14))::uuid
    $$;

insert into revocation_epoch (epoch, life) values (revocation_new_epoch(), revocation_life());

-- Takes tokens back. Nothing of what may be null limits which.
create function revoke_tokens(whose uuid, got_with uuid, signed_with text, where_at text, where_below text) returns void
    language plpgsql security definer set search_path from current
    as $$
    declare
        -- The lock of everybody who changes rights; see acl_note.
        change_lock constant bigint := x'7061636c'::bigint;
        most constant integer := 1000;
        -- How many this transaction has written.
        written integer := coalesce(nullif(current_setting('portcullis.revoked', true), ''), '0')::integer;
        number bigint;
    begin
        if written > most then
            return;
        elsif written = most then
            -- So much at once is told as one thing: everybody fetches another token.
            whose := null;
            got_with := null;
            signed_with := null;
            where_at := null;
            where_below := null;
        end if;
        perform set_config('portcullis.revoked', (written + 1)::text, true);
        perform pg_advisory_xact_lock(change_lock);
        insert into acl_change (kind) values ('revocation') returning seq into number;
        insert into revocation (at, subject, credential, key, repository, below)
        values (number, whose, got_with, signed_with, where_at, where_below);
        perform pg_notify('acl_change', '');
    end
    $$;

-- Takes back tokens of everybody who is somebody, or in a team, in the place of an anchor, or without one everywhere.
-- Of a big team, and of everybody, whoever it is: those who keep their rights fetch another token.
create function revoke_tokens_of(holder bigint, anchor text) returns void
    language plpgsql security definer set search_path from current
    as $$
    declare
        most constant integer := 500;
        kind_of_holder text;
        people uuid[];
        one uuid;
        place text := substr(anchor, 3);
        is_subtree boolean := coalesce(starts_with(anchor, 's:'), true);
    begin
        if coalesce(nullif(current_setting('portcullis.revoked', true), ''), '0')::integer > 1000 then
            return;
        end if;
        select kind into kind_of_holder from principal where pid = holder;
        if kind_of_holder is null then
            return;
        elsif kind_of_holder = 'builtin' then
            people := array[null]::uuid[];
        elsif kind_of_holder = 'team' then
            with recursive inside(pid, depth) as (
                select member_pid, 1 from team_member where team_pid = holder
                union
                select m.member_pid, i.depth + 1 from team_member m join inside i on m.team_pid = i.pid
                 where i.depth < 5
            )
            select array_agg(distinct p.uid) into people
              from inside i join principal p on p.pid = i.pid
             where p.kind <> 'team' and p.deleted_at is null;
            if cardinality(people) > most then
                people := array[null]::uuid[];
            end if;
        else
            select array[uid] into people from principal where pid = holder;
        end if;
        foreach one in array coalesce(people, '{}') loop
            if anchor is null or anchor = 's:' then
                perform revoke_tokens(one, null, null, null, case when one is null then '' end);
            elsif is_subtree then
                -- What covers everything below a name covers the name as well.
                perform revoke_tokens(one, null, null, null, place);
                perform revoke_tokens(one, null, null, rtrim(place, '/'), null);
            else
                perform revoke_tokens(one, null, null, place, null);
            end if;
        end loop;
    end
    $$;

create function acl_grant_revokes() returns trigger
    language plpgsql security definer set search_path from current
    as $$
    begin
        if tg_op <> 'INSERT' and old.effect = 'allow' then
            perform revoke_tokens_of(old.subject_pid, old.anchor);
        end if;
        if tg_op <> 'DELETE' and new.effect = 'deny' then
            perform revoke_tokens_of(new.subject_pid, new.anchor);
        end if;
        return null;
    end
    $$;

create function team_member_revokes() returns trigger
    language plpgsql security definer set search_path from current
    as $$
    begin
        if tg_op <> 'INSERT' then
            perform revoke_tokens_of(old.member_pid, null);
        end if;
        -- Whoever comes in is denied what the team is denied, and the teams that it is in.
        if tg_op <> 'DELETE' and exists (
            with recursive around(pid, depth) as (
                select new.team_pid, 1
                union
                select m.team_pid, a.depth + 1 from team_member m join around a on m.member_pid = a.pid
                 where a.depth < 5
            )
            select 1 from acl_grant g join around a on g.subject_pid = a.pid where g.effect = 'deny'
        ) then
            perform revoke_tokens_of(new.member_pid, null);
        end if;
        return null;
    end
    $$;

create function principal_revokes() returns trigger
    language plpgsql security definer set search_path from current
    as $$
    declare
        robot_pid bigint;
    begin
        if new.deleted_at is not null and old.deleted_at is null
           or new.disabled_at is not null and old.disabled_at is null then
            perform revoke_tokens_of(new.pid, null);
            -- The robots that go quiet with a user.
            for robot_pid in
                select r.pid from robot r left join namespace n on n.id = r.namespace_id
                 where r.user_pid = new.pid or n.owner_pid = new.pid and n.name = new.name
            loop
                perform revoke_tokens_of(robot_pid, null);
            end loop;
        end if;
        return null;
    end
    $$;

create function user_account_revokes() returns trigger
    language plpgsql security definer set search_path from current
    as $$
    begin
        perform revoke_tokens_of(new.pid, null);
        return null;
    end
    $$;

create function credential_revokes() returns trigger
    language plpgsql security definer set search_path from current
    as $$
    begin
        perform revoke_tokens(null, old.id, null, null, null);
        return null;
    end
    $$;

create function refresh_token_revokes() returns trigger
    language plpgsql security definer set search_path from current
    as $$
    begin
        -- Not while another token of the same login is good.
        if not exists (select 1 from refresh_token where family = old.family) then
            perform revoke_tokens(null, old.family, null, null, null);
        end if;
        return null;
    end
    $$;

create function robot_revokes() returns trigger
    language plpgsql security definer set search_path from current
    as $$
    begin
        perform revoke_tokens_of(new.pid, null);
        return null;
    end
    $$;

create function acl_barrier_revokes() returns trigger
    language plpgsql security definer set search_path from current
    as $$
    begin
        -- Number 1 is everybody.
        perform revoke_tokens_of(1, new.anchor);
        return null;
    end
    $$;

create function role_revokes() returns trigger
    language plpgsql security definer set search_path from current
    as $$
    declare
        most constant integer := 500;
        held record;
    begin
        if (select count(*) from (select 1 from acl_grant where role = new.name limit most + 1) holders) > most then
            perform revoke_tokens_of(1, 's:');
        else
            for held in select distinct subject_pid, anchor from acl_grant where role = new.name loop
                perform revoke_tokens_of(held.subject_pid, held.anchor);
            end loop;
        end if;
        return null;
    end
    $$;

create function namespace_revokes() returns trigger
    language plpgsql security definer set search_path from current
    as $$
    declare
        robot_pid bigint;
    begin
        perform revoke_tokens_of(1, 's:' || new.name || '/');
        for robot_pid in select pid from robot where namespace_id = new.id loop
            perform revoke_tokens_of(robot_pid, null);
        end loop;
        return null;
    end
    $$;

-- A key that retires takes along what it signed.
create function retired_key_revokes() returns trigger
    language plpgsql security definer set search_path from current
    as $$
    begin
        perform revoke_tokens(null, null, new.kid, null, null);
        return null;
    end
    $$;

create function emptied_revokes() returns trigger
    language plpgsql security definer set search_path from current
    as $$
    begin
        perform revoke_tokens(null, null, null, null, null);
        return null;
    end
    $$;

create trigger acl_grant_emptied_revokes after truncate on acl_grant
    for each statement execute function emptied_revokes();
create trigger team_member_emptied_revokes after truncate on team_member
    for each statement execute function emptied_revokes();
create trigger principal_emptied_revokes after truncate on principal
    for each statement execute function emptied_revokes();
create trigger credential_emptied_revokes after truncate on credential
    for each statement execute function emptied_revokes();
create trigger refresh_token_emptied_revokes after truncate on refresh_token
    for each statement execute function emptied_revokes();
create trigger retired_key_revokes after insert on retired_key
    for each row execute function retired_key_revokes();
create trigger acl_grant_revokes after insert or delete or update on acl_grant
    for each row execute function acl_grant_revokes();
create trigger team_member_revokes after insert or delete or update of member_pid, team_pid on team_member
    for each row execute function team_member_revokes();
create trigger principal_revokes after update of disabled_at, deleted_at on principal
    for each row execute function principal_revokes();
-- Not when a hash of the same password is replaced.
create trigger user_account_revokes after update of password_changed_at on user_account
    for each row execute function user_account_revokes();
create trigger credential_revokes after delete or update of limits, expires_at on credential
    for each row execute function credential_revokes();
create trigger refresh_token_revokes after delete on refresh_token
    for each row execute function refresh_token_revokes();
create trigger acl_barrier_revokes after insert or update on acl_barrier
    for each row execute function acl_barrier_revokes();
create trigger role_revokes after update of rights on role
    for each row execute function role_revokes();
create trigger namespace_revokes after update of create_policy on namespace
    for each row when (old.create_policy is distinct from new.create_policy) execute function namespace_revokes();
create trigger namespace_added_revokes after insert on namespace
    for each row when (new.create_policy <> 'pushers') execute function namespace_revokes();
-- Another owner can be one who is disabled, with whom the robots go quiet.
create trigger namespace_owner_revokes after update of owner_pid on namespace
    for each row when (old.owner_pid <> new.owner_pid) execute function namespace_revokes();
create trigger robot_revokes after update of namespace_id, user_pid on robot
    for each row execute function robot_revokes();

-- What they read is what stands beside them, whatever somebody has put into a temporary table of the same name.
do $$
declare
    found record;
begin
    for found in
        select p.oid::regprocedure as function, n.nspname as schema
          from pg_proc p join pg_namespace n on n.oid = p.pronamespace
         where n.nspname = current_schema()
           and p.proname in ('revocation_life', 'revocation_new_epoch', 'revoke_tokens', 'revoke_tokens_of',
                             'acl_grant_revokes', 'team_member_revokes', 'principal_revokes', 'user_account_revokes',
                             'credential_revokes', 'refresh_token_revokes', 'robot_revokes', 'acl_barrier_revokes', 'role_revokes',
                             'namespace_revokes', 'retired_key_revokes', 'emptied_revokes')
    loop
        execute format('alter function %s set search_path = %I, pg_temp', found.function, found.schema);
    end loop;
    -- Triggers call these; nobody else is to take tokens back.
    revoke execute on function revoke_tokens(uuid, uuid, text, text, text), revoke_tokens_of(bigint, text) from public;
end
$$;

insert into acl_change (kind) values ('everything');
