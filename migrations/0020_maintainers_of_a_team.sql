-- Who maintains a team is asked for each team of a page, and is few of its members.
create index team_member_maintaining on team_member (team_pid) where is_maintainer;
