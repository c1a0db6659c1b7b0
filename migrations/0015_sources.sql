-- Where a row comes from: from somebody's hand, from a file with the whole policy, from a namespace, or from a right that
-- was asked for and lasts a while. The same row may come from several places and stays until the last of them is gone.
alter table acl_grant
    add column source text collate "C" not null default 'manual'
        constraint acl_grant_source_check check (source in ('manual', 'policy', 'namespace', 'elevation'));

update acl_grant set source = 'namespace' where namespace_id is not null;

alter table acl_grant
    add constraint acl_grant_namespace_check check ((source = 'namespace') = (namespace_id is not null));

alter table acl_barrier add column source text collate "C" not null default 'manual' check (source in ('manual', 'policy'));
alter table role        add column source text collate "C" not null default 'manual' check (source in ('manual', 'policy'));
alter table namespace   add column source text collate "C" not null default 'manual' check (source in ('manual', 'policy'));
alter table team_member add column source text collate "C" not null default 'manual' check (source in ('manual', 'policy'));
alter table principal   add column source text collate "C" not null default 'manual' check (source in ('manual', 'policy'));

-- Rights that somebody asked for, for a while.
create table elevation (
    id              uuid primary key,
    pid             bigint not null references principal,
    pattern         text collate "C" not null check (octet_length(pattern) between 1 and 200),
    -- A role or rights, as in acl_grant.
    role            text collate "C",
    rights          text collate "C",
    tags            text collate "C",
    lasts_seconds   integer not null check (lasts_seconds > 0),
    reason          text not null,
    is_break_glass  boolean not null default false,
    requested_at    timestamptz not null,
    state           text collate "C" not null check (state in ('requested', 'approved', 'denied', 'ended')),
    -- Nobody when it was decided on the command line of the server.
    decided_by      bigint references principal,
    decided_at      timestamptz,
    decision_reason text,
    ends_at         timestamptz,
    constraint elevation_what_check check ((role is null) <> (rights is null)),
    -- Nobody decides about themselves, except in an emergency, which is told.
    constraint elevation_decider_check check (
        is_break_glass or state = 'ended' or decided_by is distinct from pid)
);

create index elevation_of on elevation (pid, requested_at);
create index elevation_open on elevation (requested_at) where state = 'requested';

alter table acl_grant
    add column elevation_id uuid references elevation,
    add constraint acl_grant_elevation_check check ((source = 'elevation') = (elevation_id is not null));

drop index acl_grant_key;

create unique index acl_grant_key
    on acl_grant (subject_pid, pattern, effect, coalesce(role, rights), coalesce(tags, ''), source,
                  coalesce(elevation_id, '00000000-0000-0000-0000-000000000000'));
