-- MariaDB only: its hidden column behind a UNIQUE over long text, JSON that is text, time below the epoch's first second.
create table hashed(id int primary key, t text charset utf8mb4, v int, unique(t)); insert into hashed values(1,'long',5); update hashed set v=6;
create table documents(id int primary key, j json); insert into documents values(1,'{"a": [1, 2.5]}');
create table early(id int primary key, a timestamp(6) null); insert into early values(1,'1970-01-01 00:00:00.5');
create or replace table early(id int primary key); insert into early values(2);
create sequence numbers; select nextval(numbers);
