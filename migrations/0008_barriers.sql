-- Where inheritance stops: rights listed here are not given by rows that stand above the pattern, whoever holds them.
-- Servers of the release before do not know barriers: use them when all servers have been replaced.
create table acl_barrier (
    -- The indexable part of the pattern, as in acl_grant.
    anchor     text collate "C" not null,
    pattern    text collate "C" not null check (octet_length(pattern) between 1 and 200),
    -- Words with commas between them, in the order in which the server prints them.
    rights     text collate "C" not null,
    reason     text,
    created_by bigint references principal,
    created_at timestamptz not null default now(),
    constraint acl_barrier_key primary key (anchor, pattern)
);
