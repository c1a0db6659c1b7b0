-- Secrets of robots and personal access tokens are the same thing for different owners: a secret with full entropy,
-- stored as its keyed MAC. Servers keep them in memory with the rights, so that a login needs no query.
alter table robot_secret rename to credential;
alter table credential rename constraint robot_secret_key to credential_key;
alter index robot_secret_pkey rename to credential_pkey;
alter index robot_secret_owner rename to credential_owner;

-- From where it was last used, as last_used_at says when.
alter table credential add column last_used_from text;

create index credential_made_by on credential (created_by);

-- What servers of the release before read and write, until they have been replaced.
create view robot_secret as
    select id, mac, pid, label, created_by, created_at, last_used_at, expires_at, limits from credential;

alter table acl_change
    drop constraint acl_change_kind_check,
    add constraint acl_change_kind_check check (kind in ('everything', 'principal', 'member', 'grant', 'barrier', 'role',
                                                         'namespace', 'credential'));

-- That one was used changes nothing about it.
create trigger credential_noted after insert or delete or update of id, mac, pid, created_at, expires_at, limits on credential
    for each row execute function acl_note('credential', '', 'id');
create trigger credential_emptied after truncate on credential
    for each statement execute function acl_note('everything');

-- Whose a robot is decides whether it may log in.
create trigger robot_noted after insert or delete or update of namespace_id, user_pid on robot
    for each row execute function acl_note('principal', 'pid', '');
create trigger robot_emptied after truncate on robot
    for each statement execute function acl_note('everything');

drop trigger namespace_noted on namespace;
create trigger namespace_noted after insert or delete or update of name, create_policy, owner_pid on namespace
    for each row execute function acl_note('namespace', '', 'name');

-- Whoever reads the log knows of no change of before.
insert into acl_change (kind) values ('everything');
