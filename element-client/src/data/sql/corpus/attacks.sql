-- Attacks by the clerk, who reads employees of one branch, orders of those, and never
-- the vault, notes or margins. A line begins with the code of its refusal, or with =
-- where it is answered as over the tables that the rules leave.

-- What is not granted is not there
42P01 SELECT * FROM vault
42P01 SELECT token FROM public.vault
42P01 SELECT count(*) FROM vault
42P01 SELECT 1 FROM employees, vault
42P01 SELECT 1 FROM employees JOIN vault ON true
42P01 SELECT name FROM employees WHERE EXISTS (SELECT 1 FROM vault)
42P01 SELECT name FROM employees WHERE id IN (SELECT id FROM vault)
42P01 SELECT (SELECT token FROM vault LIMIT 1)
42P01 WITH v AS (SELECT * FROM vault) SELECT 1
42P01 SELECT 1 UNION SELECT id FROM vault
42P01 SELECT * FROM (SELECT * FROM vault) x
42P01 SELECT vault.token FROM employees
42P01 SELECT * FROM "vault"
42P01 SELECT * FROM VAULT
42P01 SELECT * FROM main.vault
42P01 SELECT * FROM temp.vault
42P01 SELECT * FROM other.public.vault
42P01 SELECT name FROM employees ORDER BY (SELECT token FROM vault LIMIT 1)
42P01 SELECT count(*) FROM employees GROUP BY (SELECT token FROM vault LIMIT 1)
42P01 SELECT count(*) FROM employees HAVING (SELECT count(*) FROM vault) > 0
42P01 SELECT name FROM employees LIMIT (SELECT count(*) FROM vault)
42P01 SELECT row_number() OVER (ORDER BY (SELECT token FROM vault LIMIT 1)) FROM employees
42P01 SELECT sum(id) FILTER (WHERE EXISTS (SELECT 1 FROM vault)) FROM employees
42P01 SELECT CASE WHEN false THEN (SELECT token FROM vault) END
42P01 SELECT coalesce(name, (SELECT token FROM vault)) FROM employees
42P01 SELECT * FROM prying
42P01 SELECT id FROM prying
42P01 SELECT * FROM nowhere

-- Engines' and gridmart's own tables
42P01 SELECT * FROM sqlite_master
42P01 SELECT sql FROM sqlite_schema
42P01 SELECT * FROM main.sqlite_master
42P01 SELECT * FROM sqlite_temp_master
42P01 SELECT * FROM sqlite_sequence
42P01 SELECT * FROM sqlite_stat1
42P01 SELECT * FROM "sqlite_master"
42P01 SELECT * FROM SQLite_Master
42P01 SELECT * FROM pg_class
42P01 SELECT * FROM pg_catalog.pg_class
42P01 SELECT * FROM pg_stat_statements
42P01 SELECT * FROM pg_stats
42P01 SELECT * FROM pg_catalog.pg_statistic
42P01 SELECT * FROM information_schema.tables
42P01 SELECT * FROM gridmart_log
42P01 SELECT * FROM gridmart_guard_0123
42P01 SELECT * FROM "gridmart_log"
42P01 SELECT * FROM pragma_table_info
42P01 SELECT * FROM dbstat

-- Functions in FROM and out of the list
0A000 SELECT * FROM pragma_table_info('vault')
0A000 SELECT * FROM pragma_table_list()
0A000 SELECT * FROM generate_series(1, 1000000000)
0A000 SELECT * FROM json_each('[1]')
0A000 SELECT * FROM unnest(ARRAY[1])
42883 SELECT load_extension('x')
42883 SELECT readfile('/etc/passwd')
42883 SELECT writefile('/tmp/x', 'y')
42883 SELECT pg_sleep(10)
42883 SELECT pg_read_file('/etc/passwd')
42883 SELECT lo_import('/etc/passwd')
42883 SELECT dblink('host=x', 'select 1')
42883 SELECT query_to_xml('select * from vault', true, true, '')
42883 SELECT current_setting('gridmart.user')
42883 SELECT set_config('gridmart.user', 'root', false)
42883 SELECT pg_catalog.set_config('gridmart.attribute_branch', 'south', false)
42883 SELECT sqlite_version()
42883 SELECT randomblob(1000000000)
42883 SELECT zeroblob(1000000000)
42883 SELECT hex(name) FROM employees
42883 SELECT quote(name) FROM employees
42883 SELECT typeof(id) FROM employees
42883 SELECT last_insert_rowid()
42883 SELECT changes()
42883 SELECT gridmart_require(true)
42883 SELECT gridmart_numeric_add('1', '2')
42883 SELECT gridmart.require(true)
42883 SELECT gridmart.attributes('branch')
42883 SELECT printf('%s', name) FROM employees
42883 SELECT format('%s', name) FROM employees
42883 SELECT random()
42883 SELECT iif(true, 1, 2)
42883 SELECT likelihood(true, 0.5)
42883 SELECT fts3_tokenizer('x')
42883 SELECT main.upper('x')
42883 SELECT pg_catalog.pg_ls_dir('.')
42883 SELECT has_table_privilege('vault', 'select')
42883 SELECT to_regclass('vault')
0A000 SELECT 'vault'::regclass
42883 SELECT version()
42883 SELECT txid_current()
42883 SELECT clock_timestamp()
22023 SELECT gridmart.attribute(name) FROM employees
22023 SELECT gridmart.attribute('a.b')
22023 SELECT gridmart.attribute('BRANCH')
22023 SELECT gridmart.attribute('')
22023 SELECT gridmart.attribute('x'';--')

-- Hidden columns are no names
42703 SELECT notes FROM employees
42703 SELECT e.notes FROM employees e
42703 SELECT name FROM employees WHERE notes = 'knows'
42703 SELECT name FROM employees WHERE notes LIKE '%'
42703 SELECT name FROM employees ORDER BY notes
42703 SELECT count(*) FROM employees GROUP BY notes
42703 SELECT count(notes) FROM employees
42703 SELECT max(notes) FROM employees
42703 SELECT name FROM employees GROUP BY name HAVING max(notes) > 'a'
42703 SELECT a.name FROM employees a JOIN employees b ON a.notes = b.notes
42703 SELECT * FROM employees a JOIN employees b USING (notes)
42703 SELECT length(notes) FROM employees
42703 SELECT (SELECT notes)  FROM employees
42703 SELECT name FROM employees WHERE EXISTS (SELECT 1 WHERE notes = 'x')
42703 SELECT name FROM employees WHERE id IN (SELECT id FROM orders WHERE notes = 'x')
42703 SELECT row_number() OVER (ORDER BY notes) FROM employees
42703 SELECT row_number() OVER (PARTITION BY notes) FROM employees
42703 SELECT count(*) FILTER (WHERE notes IS NULL) FROM employees
42703 SELECT "notes" FROM employees
42703 SELECT NOTES FROM employees
42703 SELECT public.employees.notes FROM employees
42703 SELECT x.notes FROM (SELECT * FROM employees) x
42703 WITH x AS (SELECT * FROM employees) SELECT notes FROM x
42703 SELECT margin FROM orders
42703 SELECT sum(margin) FROM orders
42703 SELECT rowid FROM employees
42703 SELECT oid FROM employees
42703 SELECT _rowid_ FROM employees
42703 SELECT e.rowid FROM employees e
42703 SELECT "rowid" FROM employees
42703 SELECT ctid FROM employees
42703 SELECT xmin FROM employees
42703 SELECT tableoid FROM employees
42703 SELECT employees FROM employees
42703 SELECT e FROM employees e
42703 SELECT row_to_json FROM employees
42703 SELECT sqlite_master.sql FROM employees sqlite_master
42P01 SELECT notes.x FROM employees
42703 SELECT name FROM employees WHERE "hunter2" = name
42703 SELECT "string" 
42P10 SELECT * FROM employees AS e (a, b, c, d, e, f, g, h, i, j, k)
42703 SELECT excluded.name FROM employees excluded WHERE excluded.notes = ''
= SELECT * FROM employees
= SELECT e.* FROM employees e WHERE e.name = 'Ada'
= SELECT count(*) FROM (SELECT * FROM employees) x

-- Rows that are not shown
= SELECT * FROM employees WHERE branch = 'south'
= SELECT * FROM employees WHERE branch <> 'north' OR true
= SELECT name FROM employees WHERE 1 = 1 OR branch = 'south'
= SELECT name FROM employees UNION SELECT name FROM employees WHERE branch = 'west'
= SELECT count(*) FROM employees
= SELECT max(id) FROM employees
= SELECT name FROM employees e WHERE id = 4
= SELECT name FROM employees WHERE id = (SELECT max(id) FROM employees)
= SELECT (SELECT count(*) FROM employees WHERE branch IS NULL)
= SELECT a.name FROM employees a LEFT JOIN employees b ON a.id < b.id WHERE b.branch = 'south'
= SELECT b.name, e.name FROM branches b FULL JOIN employees e ON e.branch = b.name
= SELECT e.name FROM branches b LEFT JOIN employees e ON e.branch = b.name
= SELECT e.name FROM employees e RIGHT JOIN branches b ON e.branch = b.name WHERE b.name = 'south'
= SELECT * FROM orders o LEFT JOIN employees e ON e.id = o.employee
= SELECT o.id FROM orders o WHERE o.employee = 99
= SELECT * FROM staff WHERE branch = 'south'
= SELECT * FROM sums
= SELECT * FROM deep
= SELECT sum(total) FROM sums
= SELECT name FROM employees WHERE NOT (branch = 'north')
= SELECT name FROM employees WHERE branch IS NULL
= SELECT name FROM employees WHERE coalesce(branch, 'x') <> 'north'
= SELECT DISTINCT branch FROM employees
= SELECT branch FROM employees EXCEPT SELECT 'north'
= SELECT lag(name) OVER (ORDER BY id), lead(name) OVER (ORDER BY id) FROM employees
= SELECT first_value(name) OVER (ORDER BY id DESC) FROM employees
= SELECT string_agg(name, ',' ORDER BY id) FROM employees
= SELECT name FROM employees OFFSET 3
= SELECT id FROM samples WHERE id > 100
= SELECT count(*) FROM samples WHERE t = 'poison'
= SELECT article FROM items WHERE article = 'gold'
= SELECT name FROM employees WHERE gridmart.attribute('branch') = 'south'
= SELECT current_user, gridmart.attribute('branch')

-- Statements that would tell by an error
= SELECT name FROM employees WHERE 1 / (id - 4) > 0
= SELECT name FROM employees WHERE 1 / (id - 4) = 1 OR true
= SELECT name FROM employees WHERE 10 / (CASE WHEN name = 'Dora' THEN 0 ELSE 1 END) > 0
= SELECT name FROM employees WHERE (CASE WHEN branch = 'south' THEN 'x' ELSE '1' END)::int = 1
= SELECT name FROM employees WHERE name::int = 1 AND branch = 'south'
22012 SELECT name FROM employees WHERE 1 / 0 = 1
= SELECT name FROM employees WHERE id = 4 AND 1 / 0 = 1
= SELECT name FROM employees WHERE id = 4 AND name = 'Dora' AND 'x' || 5 = repeat('x', -1)
= SELECT id FROM samples WHERE (CASE t WHEN 'poison' THEN t ELSE '1' END)::int = 1
= SELECT id FROM samples WHERE substr(t, 1, CASE t WHEN 'poison' THEN -1 ELSE 1 END) = 'a'
= SELECT id FROM samples WHERE repeat(t, CASE t WHEN 'poison' THEN 100000000 ELSE 1 END) = 'a'
= SELECT id FROM samples WHERE lpad(t, CASE t WHEN 'poison' THEN 100000000 ELSE 1 END) = 'a'
= SELECT id FROM samples WHERE chr(CASE t WHEN 'poison' THEN -1 ELSE 97 END) = t
= SELECT id FROM samples WHERE sqrt(CASE t WHEN 'poison' THEN -1 ELSE 1 END) = 1
= SELECT id FROM samples WHERE (i8 - CASE t WHEN 'poison' THEN -9223372036854775807 ELSE 0 END) > 0 AND id = 1
= SELECT id FROM samples WHERE t LIKE CASE t WHEN 'poison' THEN 'poison\' ELSE 'a' END
= SELECT id FROM samples WHERE t LIKE 'x' ESCAPE CASE t WHEN 'poison' THEN 'xx' ELSE '\' END
= SELECT id FROM samples WHERE make_date(CASE t WHEN 'poison' THEN 0 ELSE 2024 END, 1, 1) = d
= SELECT id FROM samples WHERE date_trunc(CASE t WHEN 'poison' THEN 'nonsense' ELSE 'day' END, ts) = ts
= SELECT id FROM samples WHERE split_part('a', 'b', CASE t WHEN 'poison' THEN 0 ELSE 1 END) = t
= SELECT id FROM samples WHERE -(CASE t WHEN 'poison' THEN (-32768)::smallint ELSE 1::smallint END) = -1
= SELECT id FROM samples WHERE (CASE t WHEN 'poison' THEN '1999-99-99' ELSE '2024-01-01' END)::date = d
= SELECT id FROM samples WHERE (CASE t WHEN 'poison' THEN 1e10 ELSE 1 END)::smallint = 1
= SELECT id FROM samples WHERE (CASE t WHEN 'poison' THEN 123456 ELSE 1 END)::numeric(3, 0) = 1
= SELECT id FROM samples WHERE (SELECT x FROM (VALUES (1), (2)) v (x) WHERE t = 'poison' OR x = 1) = 1
= SELECT count(*) FROM samples WHERE 1 / (CASE t WHEN 'poison' THEN 0 ELSE 1 END) = 1
= SELECT count(*) FROM samples GROUP BY 1 / (CASE t WHEN 'poison' THEN 0 ELSE 1 END)
= SELECT max(1 / (CASE t WHEN 'poison' THEN 0 ELSE 1 END)) FROM samples
= SELECT 1 / (CASE t WHEN 'poison' THEN 0 ELSE 1 END) FROM samples
= SELECT id FROM samples ORDER BY 1 / (CASE t WHEN 'poison' THEN 0 ELSE 1 END), id
= SELECT x.id FROM (SELECT id, 1 / (CASE t WHEN 'poison' THEN 0 ELSE 1 END) AS q FROM samples) x WHERE x.q = 1
= SELECT x.id FROM (SELECT id, t FROM samples) x WHERE 1 / (CASE x.t WHEN 'poison' THEN 0 ELSE 1 END) = 1
= WITH x AS (SELECT id, t FROM samples) SELECT id FROM x WHERE 1 / (CASE t WHEN 'poison' THEN 0 ELSE 1 END) = 1
= SELECT a.id FROM samples a JOIN samples b ON 1 / (CASE b.t WHEN 'poison' THEN 0 ELSE 1 END) = a.i4
= SELECT a.id FROM samples a LEFT JOIN samples b ON 1 / (CASE b.t WHEN 'poison' THEN 0 ELSE 1 END) = a.i4
= SELECT id FROM branches, samples WHERE 1 / (CASE t WHEN 'poison' THEN 0 ELSE 1 END) = 1 AND name = 'north'
= SELECT name FROM branches b WHERE EXISTS (SELECT 1 FROM samples WHERE 1 / (CASE t WHEN 'poison' THEN 0 ELSE 1 END) = 1)
= SELECT name FROM branches b WHERE (SELECT count(*) FROM samples WHERE 1 / (CASE t WHEN 'poison' THEN 0 ELSE length(b.name) END) = 0) > 0
= SELECT sum(1 / (CASE t WHEN 'poison' THEN 0 ELSE 1 END)) OVER () FROM samples
= SELECT id FROM samples WHERE id IN (SELECT 1 / (CASE t WHEN 'poison' THEN 0 ELSE 1 END) FROM samples)
= SELECT DISTINCT 1 / (CASE t WHEN 'poison' THEN 0 ELSE 1 END) FROM samples
= SELECT 1 / (CASE t WHEN 'poison' THEN 0 ELSE 1 END) FROM samples UNION SELECT 2
= SELECT count(*) FILTER (WHERE 1 / (CASE t WHEN 'poison' THEN 0 ELSE 1 END) = 1) FROM samples
0A000 SELECT 1 FROM employees HAVING true
0A000 SELECT 1 FROM employees ORDER BY count(*)
= SELECT count(*) FROM samples HAVING 1 / (CASE max(t) WHEN 'poison' THEN 0 ELSE 1 END) = 1
= SELECT price FROM items WHERE price > 0
= SELECT * FROM items WHERE article = 'saw' AND price > 0
= SELECT count(price) FROM items
= SELECT name FROM staff WHERE 1 / (id - 4) > 0
= SELECT who FROM sums WHERE 1 / (who - 4) > 0
= SELECT id FROM orders WHERE 1 / (id - 14) = 0
= SELECT id FROM orders WHERE 1 / (employee - 99) = 0
= SELECT o.id FROM orders o JOIN employees e ON 1 / (e.id - 4) = 0 AND o.employee = e.id

-- Masks are what there is
= SELECT salary FROM employees
= SELECT name FROM employees WHERE salary = 5200.50
= SELECT name FROM employees WHERE salary > 5000 AND salary < 5300
= SELECT name FROM employees ORDER BY salary, id
= SELECT name, salary - 5200.50 FROM employees
= SELECT max(salary) FROM employees
= SELECT count(DISTINCT salary) FROM employees
= SELECT salary, count(*) FROM employees GROUP BY salary
= SELECT a.id, b.id FROM employees a JOIN employees b ON a.salary = b.salary
= SELECT a.id, b.id FROM employees a JOIN employees b USING (salary)
= SELECT email FROM employees WHERE email LIKE 'ada@%'
= SELECT length(email), upper(email), substr(email, 2) FROM employees
= SELECT name FROM employees WHERE email IN ('ada@shop.example', 'a***')
= SELECT name FROM employees WHERE email BETWEEN 'ada@' AND 'adb'
= SELECT CASE WHEN email = 'ada@shop.example' THEN 1 ELSE 0 END FROM employees
= SELECT rank() OVER (ORDER BY salary), lag(email) OVER (ORDER BY id) FROM employees
= SELECT nullif(email, 'ada@shop.example'), coalesce(email, 'none') FROM employees
= SELECT x.salary FROM (SELECT salary FROM employees) x WHERE x.salary = 5200.5
= SELECT e.email FROM employees AS e (a, b, c, d, e, f, email)
= SELECT salary FROM staff WHERE salary = 5200.50
= SELECT salary::text, email || '' FROM employees
= SELECT 1 / (salary - 5000) FROM employees
= SELECT name FROM employees WHERE 1 / (salary - 7000) > 0

-- Constructs outside of the subset
0A000 SELECT * FROM employees FOR UPDATE
0A000 SELECT * INTO copy FROM employees
0A000 SELECT DISTINCT ON (branch) name FROM employees
0A000 SELECT * FROM employees TABLESAMPLE SYSTEM (10)
0A000 SELECT name FROM employees, LATERAL (SELECT 1) x
0A000 WITH RECURSIVE r AS (SELECT 1 UNION ALL SELECT 1 FROM r) SELECT * FROM r
0A000 WITH d AS (DELETE FROM employees RETURNING *) SELECT * FROM d
0A000 WITH d AS (INSERT INTO employees VALUES (1) RETURNING *) SELECT * FROM d
0A000 SELECT name SIMILAR TO 'x' FROM employees
0A000 SELECT name ~ 'x' FROM employees
0A000 SELECT name COLLATE "C" FROM employees
0A000 SELECT (employees).notes FROM employees
42883 SELECT ROW(1, 2)
0A000 SELECT (1, 2) = (1, 2)
0A000 SELECT ARRAY[1, 2]
0A000 SELECT INTERVAL '1 day'
0A000 SELECT now() AT TIME ZONE 'UTC'
0A000 SELECT sum(id) OVER (ORDER BY id ROWS 1 PRECEDING) FROM employees
0A000 SELECT branch, count(*) FROM employees GROUP BY ROLLUP (branch)
0A000 SELECT branch, count(*) FROM employees GROUP BY GROUPING SETS ((branch))
0A000 SELECT name FROM employees WHERE id = ANY (ARRAY[1])
0A000 SELECT name FROM employees WHERE id > ALL (SELECT 1)
0A000 SELECT j->'a' FROM samples
0A000 SELECT 5 ^ 2
0A000 SELECT 5 & 2
42601 SELECT employees.* IS NULL FROM employees
42601 TABLE vault
0A000 EXPLAIN SELECT * FROM employees
0A000 EXPLAIN ANALYZE SELECT * FROM employees
0A000 COPY employees TO STDOUT
0A000 COPY vault TO '/tmp/x'
0A000 VACUUM
0A000 ANALYZE employees
42601 PRAGMA table_info(vault)
0A000 ATTACH DATABASE '/tmp/x' AS y
0A000 TRUNCATE employees
0A000 CALL something()
0A000 LISTEN x
0A000 GRANT ALL ON employees TO ada
0A000 CREATE FUNCTION f() RETURNS int AS 'select 1' LANGUAGE sql
0A000 CREATE ROLE x
0A000 PREPARE p AS SELECT 1
0A000 EXECUTE p
0A000 DEALLOCATE p
0A000 LOCK TABLE employees
0A000 MERGE INTO employees e USING orders o ON true WHEN MATCHED THEN DELETE
0A000 CREATE VIRTUAL TABLE v USING fts5 (x)
0A000 CREATE TRIGGER t AFTER INSERT ON employees FOR EACH ROW EXECUTE FUNCTION f()
0A000 CREATE EXTENSION dblink
42601 DO $$ BEGIN END $$
42803 SELECT name, count(*) FROM employees
42803 SELECT name FROM employees GROUP BY branch
42803 SELECT name FROM employees WHERE count(*) > 1
42803 SELECT sum(count(*)) FROM employees
42803 SELECT e.name FROM employees e GROUP BY e.branch HAVING max(id) > 1
42P20 SELECT name FROM employees WHERE row_number() OVER () = 1

-- The clerk changes nothing, and is nobody else
42501 INSERT INTO employees (id, name) VALUES (100, 'x')
42501 UPDATE employees SET name = 'x'
42501 DELETE FROM employees
42501 CREATE TABLE mine (id int PRIMARY KEY)
42501 CREATE VIEW mine AS SELECT * FROM vault
42501 CREATE INDEX i ON employees (notes)
42501 DROP TABLE vault
42501 DROP TABLE nowhere
42501 ALTER TABLE employees ADD COLUMN x int
42501 ALTER TABLE employees RENAME COLUMN notes TO name2
42P01 INSERT INTO vault VALUES (1, 'x')
42P01 UPDATE vault SET token = 'x'
42P01 DELETE FROM vault
42P01 INSERT INTO gridmart_log VALUES (1)
42P01 DELETE FROM sqlite_master
42704 SET gridmart.user = 'root'
42704 SET gridmart.attribute_branch = 'south'
42704 SET LOCAL "gridmart.user" = 'root'
42704 SET session_replication_role = replica
42704 SET row_security = off
42704 SET ROLE_ = 'root'
42704 SHOW gridmart.user
42704 SHOW data_directory
22023 SET timezone = 'Europe/Berlin'
22023 SET search_path = vault
22023 SET standard_conforming_strings = off
22023 SET gridmart.read = 'everything'
0A000 SET ROLE postgres
0A000 SET SESSION AUTHORIZATION postgres
42704 RESET gridmart.user
55P02 SET server_version = '9'

-- Texts that try to be something else
several SELECT 1; SELECT 2
42P01 SELECT 1; SELECT * FROM vault
42501 SELECT name FROM employees; DROP TABLE vault; SELECT * FROM vault
= SELECT name FROM employees WHERE name = '''; SELECT * FROM vault; --'
= SELECT name FROM employees WHERE name = E'\'; SELECT * FROM vault; --'
= SELECT name FROM employees WHERE name = $x$'; SELECT 1$x$
= SELECT name FROM employees WHERE name = 'a\' OR name = ' OR 1=1 --'
= SELECT name AS "a"" FROM vault --" FROM employees
= SELECT "a""b" AS "c0"" FROM sqlite_master --" FROM "Odd Name"
= SELECT /* FROM vault */ name FROM employees -- FROM vault
= SELECT /*+ hint */ name FROM employees
= SELECT c0.c1 FROM (SELECT name AS c1 FROM employees) c0
= SELECT t0.name FROM employees t0, (SELECT 1 AS x) t1
= SELECT g.name FROM employees g
= SELECT w0.name FROM employees w0
= SELECT id AS gridmart_require FROM employees
42601 SELECT E'\000'
42601 SELECT 'unterminated
42601 SELECT "unterminated
42601 SELECT name FROM employees WHERE
42601 SELECT (1
42601 SELEC 1
0A000 SELECT [name] FROM employees
42601 SELECT `name` FROM employees
42601 SELECT ?1
42P02 SELECT $0
42P02 SELECT :name
54000 SELECT $99999
42P18 SELECT 1 WHERE $2 = 'x'
