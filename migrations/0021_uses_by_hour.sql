-- Uses are listed by hour, the newest first, and within an hour by the rest of the key; by hour alone, a page sorted
-- all that was used in an hour.
alter table token_use
    drop constraint token_use_key,
    add constraint token_use_key primary key (hour, subject, repository, actions);
drop index token_use_hour;
create index token_use_of on token_use (subject, hour);
