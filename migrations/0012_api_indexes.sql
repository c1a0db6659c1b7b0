-- What lists a page at a time reads in its order, so that a page costs the same however far back it is.

-- Users and teams by name; the index on names alone would have to step over the others.
create index principal_by_kind on principal (kind, name) where deleted_at is null;

-- Members of a team.
create index team_member_by_team on team_member (team_pid, member_pid);
drop index team_member_team;

-- Rights by place, all of them or those of one subject.
create index acl_grant_by_place on acl_grant (anchor, id);
create index acl_grant_by_subject on acl_grant (subject_pid, anchor, id);
