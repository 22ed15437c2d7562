-- Columns with the attribute COMPRESSED, with and without what makes a value worth compressing; then compressed events of the log.
create table cc(id int primary key, v varchar(200) compressed, w varchar(3000) character set latin1 compressed, t tinytext compressed,
  x text compressed, m mediumtext compressed, l longtext compressed, b blob compressed, vb varbinary(9000) compressed, after_it int);
insert into cc values(1, null, null, null, null, null, null, null, null, 1);
insert into cc values(2, '', '', '', '', '', '', '', '', 2);
insert into cc values(3, 'short', 'ü€', 'é', '日本', '😀', 'x', x'00ff', x'00', 3);
insert into cc values(4, repeat('v', 200), repeat('ü', 3000), repeat('t', 255), repeat('日本', 5000), repeat('m', 70000), repeat('long ', 300000), repeat(x'0001ff', 9000), repeat(x'00', 9000), 4);
insert into cc values(5, repeat('ab', 50), repeat('cd', 50), repeat('ef', 50), repeat('gh', 50), repeat('ij', 50), repeat('kl', 50), repeat('mn', 50), repeat('op', 50), 5);
set @@session.column_compression_threshold = 0, @@session.column_compression_zlib_level = 0;
insert into cc values(6, repeat('ab', 50), repeat('cd', 50), repeat('ef', 50), repeat('gh', 50), repeat('ij', 50), repeat('kl', 50), repeat('mn', 50), repeat('op', 50), 6);
set @@session.column_compression_zlib_level = 9, @@session.column_compression_zlib_wrap = 1;
insert into cc values(7, repeat('ab', 50), repeat('cd', 50), repeat('ef', 50), repeat('gh', 50), repeat('ij', 50), repeat('kl', 50), repeat('mn', 50), repeat('op', 50), 7);
update cc set after_it = 10 * after_it, v = concat(v, 'x') where id in (3, 5, 6);
set @saved = @@global.log_bin_compress, @saved_length = @@global.log_bin_compress_min_len;
set global log_bin_compress = on, log_bin_compress_min_len = 10;
update cc set after_it = after_it + 1;
insert into cc select id + 10, v, w, t, x, m, l, b, vb, after_it from cc;
delete from cc where id = 12;
create table this_statement_is_long_enough_to_be_compressed(id int primary key, a varchar(100), b varchar(100), c varchar(100), d varchar(100));
insert into this_statement_is_long_enough_to_be_compressed values(1, repeat('a', 100), repeat('a', 100), repeat('b', 100), null);
truncate table this_statement_is_long_enough_to_be_compressed;
insert into this_statement_is_long_enough_to_be_compressed values(2, repeat('a', 100), repeat('a', 100), repeat('b', 100), null);
set global log_bin_compress = @saved, log_bin_compress_min_len = @saved_length;
