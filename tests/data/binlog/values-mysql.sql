-- MySQL only: JSON in its binary form, invisible and derived columns.
create table documents(id int primary key, j json);
insert into documents values(1,'{"a":[1,2.5,"x",true,null],"bb":{"c":false}}'),(2,'[]'),(3,'{}'),(4,'null'),(5,'"\\u0001\\"\\\\/\\b\\f\\n\\r\\t é 𝄞"'),(6,'[-32768,32767,32768,65535,65536,-32769,2147483647,-2147483648,4294967295,4294967296,-9223372036854775808,9223372036854775807,18446744073709551615]'),(7,'[0.1,1.0,-0.0,1e14,1e15,1e16,123456789012345680,1e21,1e22,1e100,1.7976931348623157e308,5e-324,0.0001,0.00001,0.000001,1e-7,123.456,100000.5,3.0e0]'),(8,null);
insert into documents select 9, json_object('dec',cast(123.456 as decimal(10,3)),'neg',cast(-0.5 as decimal(65,30)),'dt',cast('2026-11-21 01:02:03.456789' as datetime(6)),'d',cast('2026-11-21' as date),'t',cast('-12:34:56.5' as time(6)),'big',cast('-838:59:59' as time),'ts',timestamp('2026-11-21 01:02:03'),'b',cast('bin' as binary),'b1',cast('b' as binary),'e',cast('' as binary),'g',st_geomfromtext('POINT(1 2)'),'bit',b'101','y',cast(2026 as year));
insert into documents select 10, json_object('long',repeat('x',70000),'k',json_array(1,70000,-5000000000,repeat('y',200)));
insert into documents values(11,concat(repeat('[',100),repeat(']',100))),(12,'[[[[[[[[1]]]]]]]]'),(13,concat('[',repeat('{"k":0.5},',9000),'1]'));
update documents set j=json_set(j,'$.a[0]',7) where id=1;
create table derived(a int, b int invisible default 7, c int as (a+1) virtual, d int as (a+2) stored, primary key(a)); insert into derived(a) values(1); update derived set b=9;
