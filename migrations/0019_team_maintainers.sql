-- A member who says who else is in the team. Servers of the release before neither know nor change it.
alter table team_member add column is_maintainer boolean not null default false;
