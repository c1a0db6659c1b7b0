-- What a secret is good for, of what its robot holds; nothing if that is everything. In words and in one column, because
-- a server that does not understand all of it must refuse the secret.
alter table robot_secret add column limits jsonb;
