-- Logins that are kept: which device each is, so that people can tell them apart and end one. A login can have had
-- several tokens, one after the other, where its client takes a new one with each use; they are a family.
alter table refresh_token
    add column family         uuid not null default gen_random_uuid(),
    -- What the client called itself at the login, and where it was.
    add column agent          text,
    add column made_from      text,
    add column last_used_from text,
    -- When its successor was given out. Whoever uses it later has stolen it, or was stolen from.
    add column replaced_at    timestamptz;

create index refresh_token_family on refresh_token (family);

alter table acl_change
    drop constraint acl_change_kind_check,
    add constraint acl_change_kind_check check (kind in ('everything', 'principal', 'member', 'grant', 'barrier', 'role',
                                                         'namespace', 'credential', 'login'));

-- That one was used changes nothing about it.
create trigger refresh_token_noted
    after insert or delete or update of mac, pid, audience, client_id, expires_at, family, replaced_at on refresh_token
    for each row execute function acl_note('login', '', 'family');
create trigger refresh_token_emptied after truncate on refresh_token
    for each statement execute function acl_note('everything');

insert into acl_change (kind) values ('everything');
