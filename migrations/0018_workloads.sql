-- Workloads: what jobs of a build platform and pods of a cluster are, whoever runs them. They are named like users and
-- teams and share their list of names, because a token and a record say nothing but the name. They have no secret here.
-- Servers of the release before take a workload in a policy for something else: use them when all servers have been
-- replaced.
alter table principal
    drop constraint principal_kind_check,
    add constraint principal_kind_check check (kind in ('builtin', 'user', 'team', 'robot', 'workload'));

create table workload (
    pid         bigint primary key references principal,
    description text,
    -- Nobody when it was made on the command line of the server.
    created_by  bigint references principal
);
