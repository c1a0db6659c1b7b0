-- A row may also take away, list rights instead of naming a role, and be limited to tags, a time and networks.
-- Servers of the release before refuse to decide where there are denials, lists of rights or new roles, but do not know
-- limits: use those when all servers have been replaced.
alter table acl_grant
    drop constraint acl_grant_role_check,
    drop constraint acl_grant_key,
    alter column role drop not null,
    add column effect     text collate "C" not null default 'allow' check (effect in ('allow', 'deny')),
    -- Words with commas between them, in the order in which the server prints them.
    add column rights     text collate "C",
    add column tags       text collate "C" check (octet_length(tags) between 1 and 100),
    add column not_before timestamptz,
    add column expires_at timestamptz,
    add column networks   cidr[],
    add column reason     text,
    add constraint acl_grant_role_check
        check (role in ('viewer', 'signer', 'publisher', 'writer', 'maintainer', 'owner')),
    -- A role or rights, and what is denied is listed.
    add constraint acl_grant_what_check check ((role is null) <> (rights is null) and (effect = 'allow' or role is null)),
    add constraint acl_grant_window_check check (not_before is null or expires_at is null or not_before < expires_at);

create unique index acl_grant_key
    on acl_grant (subject_pid, pattern, effect, coalesce(role, rights), coalesce(tags, ''));
