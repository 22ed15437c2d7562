-- Every kind of diff that binlog_row_value_options=PARTIAL_JSON can log, on documents large enough for a diff to be the shorter form.
set session binlog_row_value_options = 'PARTIAL_JSON';
create table pj(id int primary key, n int, j json, k json, t text);
insert into pj select n, n, json_object('a', n, 'bb', repeat('x', 200), 'list', json_array(1, 2.5, 'three', json_array(4, 5), json_object('six', 7)),
  'deep', json_object('er', json_object('and', json_object('deeper', json_array(json_object('x', 'y'))))), 'weird "key" \\ [1].$', 'w', 'ключ', 'значение',
  '', 'empty', 'with space', true, 'big', 18446744073709551615, 'when', cast('2026-11-21 01:02:03.5' as datetime(6)), 'dec', cast(1.50 as decimal(10,2))),
  json_array(repeat('long', 100), null, true, 1), 'plain'
  from (with recursive s(n) as (select 1 union all select n + 1 from s where n < 30) select n from s) numbers;
update pj set j = json_set(j, '$.a', 99) where id = 1;
update pj set j = json_set(j, '$.a', 'a text that is longer than the number was', '$.list[1]', json_object('p', 1)) where id = 2;
update pj set j = json_replace(j, '$.list[4].six', json_array()) where id = 3;
update pj set j = json_remove(j, '$.bb') where id = 4;
update pj set j = json_remove(j, '$.list[0]') where id = 5;
update pj set j = json_remove(j, '$.list[last]', '$.deep.er.and') where id = 6;
update pj set j = json_set(j, '$.new', 1, '$.b', 2, '$.zzzzzz', 3, '$."a key with blanks"', null) where id = 7;
update pj set j = json_set(j, '$.list[99]', 'behind the end') where id = 8;
update pj set j = json_set(j, '$.list[3][2]', 6) where id = 9;
update pj set j = json_set(j, '$."weird \\"key\\" \\\\ [1].$"', 'still weird') where id = 10;
update pj set j = json_set(j, '$."ключ"', '値', '$."ключ 2"', 'second') where id = 11;
update pj set j = json_set(j, '$.""', 'not empty') where id = 12;
update pj set j = json_set(j, '$."with space"', false) where id = 13;
update pj set j = json_set(j, '$.big', -9223372036854775808) where id = 14;
update pj set j = json_set(j, '$.when', cast('2000-01-01' as date), '$.dec', cast(-99999.99999 as decimal(65,30))) where id = 15;
update pj set j = json_set(j, '$.deep.er.and.deeper[0].x', repeat('z', 70000)) where id = 16;
update pj set j = json_set(j, '$.deep.er.and.deeper[0].x', json_object('grown', json_array(1, 2, 3))) where id = 16;
update pj set k = json_set(k, '$[1]', 'second document') where id = 17;
update pj set j = json_set(j, '$.a', 1), k = json_remove(k, '$[0]') where id = 18;
update pj set n = n + 1, t = 'changed' where id = 19;
update pj set j = json_set(j, '$.a', 20) where id = 20;
update pj set j = j where id = 20;
update pj set j = null where id = 21;
update pj set j = '{"whole": "replaced"}' where id = 22;
update pj set j = json_set(j, '$', 5) where id = 23;
update pj set j = json_set(json_remove(j, '$.a'), '$.a', 'again') where id = 24;
update pj set j = json_replace(j, '$.absent', 1) where id = 25;
update pj set j = json_set(j, '$.list[last]', 'last', '$.list[last-1]', 'one before') where id = 26;
update pj set j = json_set(j, '$.a[0]', 'wrapped') where id = 27;
update pj set j = json_set(j, '$.a[1]', 'beside') where id = 28;
update pj set j = json_array_insert(j, '$.list[1]', 'between') where id = 29;
update pj set id = 130, j = json_set(j, '$.a', 'moved') where id = 30;
update pj set j = json_set(j, '$.a', n * 2) where id in (1, 2, 3, 7, 20);
begin;
update pj set j = json_set(j, '$.list[0]', 'one') where id < 4;
update pj set j = json_set(j, '$.list[0]', 'two') where id < 4;
commit;
set session binlog_transaction_compression = on;
update pj set j = json_set(j, '$.list[2]', 'compressed') where id < 10 and json_length(j) > 5;
