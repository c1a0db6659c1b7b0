-- Roles that administrators make. A grant names its role, so that a changed role changes what everybody has who holds it.
-- Servers of the release before do not know these roles, nor the rights for administration: use them when all servers
-- have been replaced.
create table role (
    name        text collate "C" not null constraint role_key primary key check (name ~ '^[a-z][a-z0-9-]{0,62}$'),
    -- Words with commas between them, in the order in which the server prints them.
    rights      text collate "C" not null,
    description text,
    created_at  timestamptz not null default now()
);

-- The names of built-in roles are in no table.
alter table acl_grant drop constraint acl_grant_role_check;

-- Who could pull saw the repository in lists, and who could push could push to a new one. These are rights of their own
-- now.
update acl_grant
   set rights = regexp_replace(rights, '(^|,)pull(,|$)', '\1list,pull\2')
 where effect = 'allow' and rights ~ '(^|,)pull(,|$)';

update acl_grant
   set rights = case
           when rights like '%repository-delete'
           then replace(rights, 'repository-delete', 'repository-create,repository-delete')
           else rights || ',repository-create'
       end
 where effect = 'allow' and rights ~ '(^|,)(push-digest|tag-create)(,|$)';
