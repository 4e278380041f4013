-- Statements of the subset, each answered over the shop through the clerk's rules as
-- PostgreSQL answers over the tables that the rules leave.

-- Reading and naming
SELECT * FROM employees ORDER BY id
SELECT * FROM branches ORDER BY name
SELECT * FROM orders ORDER BY id
SELECT * FROM items ORDER BY order_id, line
SELECT * FROM samples ORDER BY id
SELECT e.* FROM employees e ORDER BY e.id
SELECT employees.name FROM employees ORDER BY employees.id
SELECT public.employees.name FROM public.employees ORDER BY id
SELECT name AS n, salary "Pay" FROM employees ORDER BY n
SELECT e.id, e.name nick FROM employees AS e ORDER BY nick DESC
SELECT "select", "a""b", "täg" FROM "Odd Name" ORDER BY "Key"
SELECT x.one, x.two FROM employees AS x (one, two) ORDER BY x.one
SELECT 1
SELECT 'text', 1.5, true, NULL
SELECT 1 AS a, 2 AS a
SELECT DISTINCT branch FROM employees
SELECT DISTINCT active, branch FROM employees ORDER BY active, branch
SELECT ALL name FROM employees
SELECT id, id FROM employees ORDER BY 1
SELECT name FROM employees ORDER BY salary DESC, name
SELECT name FROM employees ORDER BY email NULLS FIRST, id
SELECT name FROM employees ORDER BY email DESC NULLS LAST, id
SELECT name FROM employees ORDER BY email DESC, id
SELECT name FROM employees ORDER BY rating, id
SELECT name FROM employees ORDER BY rating DESC, id
SELECT name FROM employees ORDER BY upper(name)
SELECT name FROM employees ORDER BY length(name) DESC, name LIMIT 2
SELECT name FROM employees ORDER BY id LIMIT 2 OFFSET 1
SELECT name FROM employees ORDER BY id OFFSET 2
SELECT name FROM employees ORDER BY id LIMIT ALL
SELECT name FROM employees ORDER BY id LIMIT NULL
SELECT name FROM employees ORDER BY id FETCH FIRST 2 ROWS ONLY
SELECT name FROM employees ORDER BY id LIMIT 1 + 1
SELECT id + 1 AS next FROM employees ORDER BY next
SELECT e.id FROM employees e, branches b WHERE e.branch = b.name ORDER BY e.id, b.name

-- Conditions
SELECT name FROM employees WHERE salary > 3000
SELECT name FROM employees WHERE salary = 5000
SELECT name FROM employees WHERE NOT active
SELECT name FROM employees WHERE active IS TRUE
SELECT name FROM employees WHERE active IS NOT TRUE
SELECT name FROM employees WHERE active IS FALSE
SELECT name FROM employees WHERE active IS NOT FALSE
SELECT id FROM orders WHERE paid IS UNKNOWN
SELECT id FROM orders WHERE paid IS NOT UNKNOWN
SELECT name FROM employees WHERE email IS NULL
SELECT name FROM employees WHERE email IS NOT NULL
SELECT name FROM employees WHERE boss IS DISTINCT FROM 1
SELECT name FROM employees WHERE boss IS NOT DISTINCT FROM NULL
SELECT name FROM employees WHERE boss <> 1
SELECT name FROM employees WHERE boss != 1 OR boss IS NULL
SELECT name FROM employees WHERE id IN (1, 2, 99)
SELECT name FROM employees WHERE id NOT IN (1, 2)
SELECT name FROM employees WHERE boss NOT IN (2, NULL)
SELECT name FROM employees WHERE salary IN (3000, 5000.00)
SELECT name FROM employees WHERE salary BETWEEN 3000 AND 5000.0
SELECT name FROM employees WHERE salary NOT BETWEEN 3000 AND 4000
SELECT name FROM employees WHERE hired BETWEEN '2005-01-01' AND '2016-12-31'
SELECT name FROM employees WHERE hired >= DATE '2015-01-31'
SELECT name FROM employees WHERE hired < '2010-07-15'::date + 1
SELECT name FROM employees WHERE name LIKE 'A%'
SELECT name FROM employees WHERE name LIKE '%e%'
SELECT name FROM employees WHERE name NOT LIKE '_e_'
SELECT name FROM employees WHERE name ILIKE 'G%' OR name ILIKE '%EM'
SELECT id FROM samples WHERE t LIKE 'A\%b\_c\\d'
SELECT id FROM samples WHERE t LIKE 'A!%b!_c\\d' ESCAPE '!'
SELECT id FROM samples WHERE t LIKE '%'
SELECT id FROM samples WHERE t = ''
SELECT id FROM samples WHERE t < v
SELECT id FROM samples WHERE t > 'A' ORDER BY t
SELECT id FROM samples WHERE v = 'it''s'
SELECT id FROM samples WHERE v = E'it\'s'
SELECT id FROM samples WHERE t = $$a$$
SELECT id FROM samples WHERE f8 = 'NaN'
SELECT id FROM samples WHERE f8 > 1e300
SELECT id FROM samples WHERE f8 < -1e300
SELECT id FROM samples WHERE f4 = f8
SELECT id FROM samples WHERE f8 = 0
SELECT id FROM samples WHERE i4 = i8
SELECT id FROM samples WHERE i8 = n
SELECT id FROM samples WHERE n = 1.1
SELECT id FROM samples WHERE n = 1.10
SELECT id FROM samples WHERE n > 99999999999999999999999999999999999999
SELECT id FROM samples WHERE i2 = f8
SELECT id FROM samples WHERE y = '\x61'
SELECT id FROM samples WHERE y > '\x61'
SELECT id FROM samples WHERE d < '0002-01-01'
SELECT id FROM samples WHERE d = ts
SELECT id FROM samples WHERE ts = '2024-02-29 06:07:08.9'
SELECT id FROM samples WHERE tz = '2024-02-29 00:37:08.9+00'
SELECT id FROM samples WHERE tz = '2024-02-29T06:07:08.9+05:30'
SELECT id FROM samples WHERE tm > '12:00'
SELECT id FROM samples WHERE u = 'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'
SELECT id FROM samples WHERE u > '00000000-0000-0000-0000-000000000000'
SELECT id FROM samples WHERE j IS NOT NULL
SELECT id FROM samples WHERE b
SELECT id FROM samples WHERE b = false
SELECT id FROM samples WHERE b > false
SELECT id FROM samples WHERE (b OR NULL) IS NULL
SELECT id FROM samples WHERE NOT (i4 > 0 AND b)
SELECT id FROM samples WHERE i4 = '50'
SELECT id FROM samples WHERE '5' = i2
SELECT 'a' = 'a', 'a' < 'b', NULL = NULL, 1 = 1.0, 2 > 10, '2' > '10'

-- Joins
SELECT e.name, b.city FROM employees e JOIN branches b ON e.branch = b.name ORDER BY e.id
SELECT e.name, o.id FROM employees e LEFT JOIN orders o ON o.employee = e.id ORDER BY e.id, o.id
SELECT e.name, o.id FROM orders o RIGHT JOIN employees e ON o.employee = e.id ORDER BY e.id, o.id
SELECT b.name, e.name FROM branches b LEFT JOIN employees e ON e.branch = b.name ORDER BY b.name, e.name
SELECT b.name, e.id FROM branches b FULL JOIN employees e ON e.branch = b.name ORDER BY b.name, e.id
SELECT b.name FROM branches b LEFT JOIN employees e ON e.branch = b.name WHERE e.id IS NULL ORDER BY b.name
SELECT a.id, b.id FROM employees a CROSS JOIN employees b WHERE a.id < b.id ORDER BY a.id, b.id
SELECT a.name, b.name FROM employees a JOIN employees b ON a.boss = b.id ORDER BY a.id
SELECT id, o.amount, i.article FROM orders o JOIN items i ON i.order_id = o.id ORDER BY id, i.line
SELECT * FROM (SELECT id, name FROM employees) e JOIN (SELECT id, amount FROM orders) o USING (id) ORDER BY id
SELECT * FROM (SELECT 1 AS id, 'a' AS x) l JOIN (SELECT 1 AS id, 'b' AS y) r USING (id)
SELECT id, l.id AS l, r.id AS r FROM (SELECT 1 AS id) l FULL JOIN (SELECT 2 AS id) r USING (id) ORDER BY id
SELECT id, id, name FROM employees ORDER BY id
SELECT * FROM (SELECT 1 AS id, 2 AS k) l NATURAL JOIN (SELECT 1 AS id, 3 AS m) r
SELECT id FROM (SELECT 1 AS id) l RIGHT JOIN (SELECT 2 AS id) r USING (id)
SELECT e.name FROM employees e JOIN orders o ON o.employee = e.id JOIN items i ON i.order_id = o.id AND i.quantity > 2 ORDER BY e.name, i.line, o.id
SELECT e.name, x.article FROM employees e LEFT JOIN (orders o JOIN items x ON x.order_id = o.id) ON o.employee = e.id ORDER BY e.id, x.order_id, x.line
SELECT e.id, b.name, o.id FROM employees e, branches b JOIN orders o ON true WHERE b.name = e.branch AND o.employee = e.id ORDER BY o.id
SELECT a.id, b.line FROM orders a LEFT JOIN items b ON a.id = b.order_id AND b.price < 5 ORDER BY a.id, b.line
SELECT count(*) FROM employees a, employees b, employees c
SELECT e.name FROM employees e JOIN branches b ON b.name = e.branch AND b.budget > 0 WHERE e.active ORDER BY 1
SELECT l.x, r.x FROM (VALUES (1.0), (2.0)) l (x) JOIN (VALUES (1), (3)) r (x) ON l.x = r.x

-- Sub-queries
SELECT name FROM employees WHERE id IN (SELECT employee FROM orders) ORDER BY id
SELECT name FROM employees WHERE id NOT IN (SELECT employee FROM orders WHERE amount > 200) ORDER BY id
SELECT name FROM employees WHERE id = ANY (SELECT employee FROM orders) ORDER BY id
SELECT name FROM employees WHERE id <> ALL (SELECT employee FROM orders) ORDER BY id
SELECT name FROM employees e WHERE EXISTS (SELECT 1 FROM orders o WHERE o.employee = e.id AND o.status = 'open') ORDER BY id
SELECT name FROM employees e WHERE NOT EXISTS (SELECT FROM_ FROM (SELECT o.id AS FROM_, o.employee FROM orders o) o WHERE o.employee = e.id)
SELECT name, (SELECT count(*) FROM orders o WHERE o.employee = e.id) AS orders FROM employees e ORDER BY id
SELECT name, (SELECT max(amount) FROM orders o WHERE o.employee = e.id) FROM employees e ORDER BY id
SELECT (SELECT city FROM branches WHERE name = 'north')
SELECT (SELECT city FROM branches WHERE name = 'nowhere') IS NULL
SELECT name FROM employees WHERE salary = (SELECT max(salary) FROM employees)
SELECT name FROM employees WHERE salary > (SELECT avg(salary) FROM employees)
SELECT (SELECT name FROM employees)
SELECT name, (SELECT o.id FROM orders o WHERE o.employee = e.id ORDER BY o.id LIMIT 1) FROM employees e ORDER BY id
SELECT x.n FROM (SELECT name AS n FROM employees WHERE id < 3) x ORDER BY x.n
SELECT y.m FROM (SELECT x.n || '!' AS m FROM (SELECT name AS n FROM employees) x) y ORDER BY m
SELECT e.name FROM employees e WHERE (SELECT count(*) FROM orders o WHERE o.employee = e.id) = 2
SELECT id FROM orders WHERE (amount > 100) = (status = 'done')
SELECT 1 WHERE 1 IN (SELECT 1 UNION SELECT 2)
SELECT 1.0 IN (SELECT 1), '1' IN (SELECT '1'), NULL IN (SELECT 1)

-- WITH
WITH a AS (SELECT id, name FROM employees) SELECT name FROM a ORDER BY id
WITH a (x, y) AS (SELECT id, name FROM employees), b AS (SELECT x FROM a WHERE x > 1) SELECT a.y FROM a JOIN b ON a.x = b.x ORDER BY a.x
WITH a AS (SELECT 1 AS n) SELECT x.n + y.n FROM a x, a y
WITH a AS MATERIALIZED (SELECT employee, sum(amount) AS s FROM orders GROUP BY employee) SELECT * FROM a ORDER BY employee
WITH a AS NOT MATERIALIZED (SELECT 1 AS one) SELECT one FROM a
WITH employees AS (SELECT 7 AS id) SELECT id FROM employees
SELECT * FROM (WITH q AS (SELECT 3 AS v) SELECT v FROM q) z
WITH a AS (SELECT 1 AS x), b AS (WITH a AS (SELECT 2 AS x) SELECT x FROM a) SELECT a.x, b.x FROM a, b

-- Set operations and VALUES
SELECT name FROM employees UNION SELECT name FROM branches ORDER BY name
SELECT branch FROM employees UNION ALL SELECT name FROM branches ORDER BY 1
SELECT branch FROM employees INTERSECT SELECT name FROM branches
SELECT name FROM branches EXCEPT SELECT branch FROM employees ORDER BY name
SELECT count(*) FROM (SELECT 1 UNION SELECT 1.0 UNION SELECT 2) x
SELECT 1.0 = v FROM (SELECT 1.0 AS v UNION SELECT 1.00) x
SELECT 1 UNION SELECT NULL ORDER BY 1
SELECT 1 AS a UNION ALL SELECT 2 INTERSECT SELECT 2 ORDER BY a
(SELECT id FROM employees ORDER BY id LIMIT 1) UNION ALL (SELECT id FROM orders ORDER BY id DESC LIMIT 1) ORDER BY id
SELECT 1 EXCEPT (SELECT 1 UNION SELECT 2)
SELECT 'x' UNION SELECT NULL ORDER BY 1 NULLS FIRST
SELECT count(*) FROM (SELECT n FROM samples UNION SELECT n FROM samples) q
VALUES (1, 'a'), (2, 'b')
VALUES (1), (2.5), (NULL) ORDER BY 1 DESC
SELECT v.x FROM (VALUES (1, 'a'), (2, 'b')) AS v (x, y) WHERE v.y = 'b'
SELECT column1 FROM (VALUES ('q')) v

-- Groups and aggregates
SELECT count(*) FROM employees
SELECT count(*), count(email), count(DISTINCT salary), count(DISTINCT branch) FROM employees
SELECT sum(salary), avg(salary), min(salary), max(salary) FROM employees
SELECT sum(id), avg(id), min(id), max(id) FROM employees
SELECT sum(i8), avg(i8), sum(i2), avg(i2) FROM samples WHERE id IN (1, 3, 5)
SELECT sum(i8) FROM samples
SELECT sum(f8), avg(f8), min(f8), max(f8) FROM samples WHERE id IN (1, 5)
SELECT sum(f8), avg(f8) FROM samples
SELECT min(f8), max(f8), max(f4) FROM samples
SELECT min(t), max(t), min(d), max(d), min(tz), max(tm), max(ts), min(v) FROM samples
SELECT sum(n), avg(n), min(n), max(n) FROM samples
SELECT sum(amount) FROM orders WHERE false
SELECT count(*) FROM orders WHERE id < 0
SELECT branch, count(*) FROM employees GROUP BY branch
SELECT status, count(*), sum(amount) FROM orders GROUP BY status ORDER BY status
SELECT status AS s, count(*) c FROM orders GROUP BY s ORDER BY c DESC, s
SELECT status, count(*) FROM orders GROUP BY 1 ORDER BY 2, 1
SELECT employee, avg(amount) FROM orders GROUP BY employee HAVING count(*) > 1
SELECT employee FROM orders GROUP BY employee HAVING sum(amount) > 100 ORDER BY employee
SELECT salary, count(*) FROM employees GROUP BY salary ORDER BY salary
SELECT upper(branch), count(*) FROM employees GROUP BY upper(branch)
SELECT id / 2, count(*) FROM employees GROUP BY id / 2 ORDER BY 1
SELECT e.id, e.name, count(o.id) FROM employees e LEFT JOIN orders o ON o.employee = e.id GROUP BY e.id ORDER BY e.id
SELECT count(*) FILTER (WHERE active), count(*) FILTER (WHERE NOT active) FROM employees
SELECT sum(amount) FILTER (WHERE paid) FROM orders
SELECT bool_and(active), bool_or(active), every(active) FROM employees
SELECT string_agg(name, ', ' ORDER BY name) FROM employees
SELECT branch, string_agg(name, '-' ORDER BY id DESC) FROM employees GROUP BY branch
SELECT string_agg(status, ',') FROM orders WHERE id = 10
SELECT max(length(name)) FROM employees
SELECT count(*) FROM employees HAVING count(*) > 100
SELECT max(id) FROM employees HAVING true
SELECT sum(quantity * price) FROM items
SELECT order_id, sum(price * quantity)::numeric(10, 2) FROM items GROUP BY order_id ORDER BY order_id
SELECT count(*) FROM employees GROUP BY active ORDER BY count(*), 1
SELECT sum(DISTINCT salary) FROM employees
SELECT count(DISTINCT n), count(DISTINCT f8) FROM samples
SELECT avg(price), avg(weight), sum(weight) FROM items WHERE weight IS NOT NULL AND line = 1

-- Windows
SELECT name, row_number() OVER (ORDER BY name) FROM employees ORDER BY name
SELECT name, rank() OVER (ORDER BY salary DESC), dense_rank() OVER (ORDER BY salary DESC) FROM employees ORDER BY id
SELECT id, employee, row_number() OVER (PARTITION BY employee ORDER BY id) FROM orders ORDER BY id
SELECT id, lag(amount) OVER (ORDER BY id), lead(amount, 2, 0) OVER (ORDER BY id) FROM orders ORDER BY id
SELECT id, sum(amount) OVER (ORDER BY id) FROM orders ORDER BY id
SELECT id, sum(amount) OVER (PARTITION BY employee) FROM orders ORDER BY id
SELECT id, count(*) OVER () FROM employees ORDER BY id
SELECT id, avg(id) OVER (ORDER BY id ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) FROM employees ORDER BY id
SELECT id, first_value(name) OVER w, last_value(name) OVER w FROM employees WINDOW w AS (ORDER BY id) ORDER BY id
SELECT id, max(amount) OVER (ORDER BY placed NULLS FIRST RANGE BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) FROM orders ORDER BY id
SELECT * FROM (SELECT id, row_number() OVER (PARTITION BY employee ORDER BY id DESC) AS r FROM orders) x WHERE r = 1 ORDER BY id
SELECT id, percent_rank() OVER (ORDER BY id), cume_dist() OVER (ORDER BY id) FROM employees ORDER BY id

-- Numbers
SELECT 7 / 2, -7 / 2, 7 % 3, -7 % 3, 7 / 2.0, 7.0 / 2
SELECT 1 / 3.0, 10.0 / 3, 2.0 / 7, 1e10 / 3
SELECT 0.1 + 0.2, 0.1 * 0.2, 1.10 - 0.1, 5.5 % 2, -5.5 % 2
SELECT 2147483647 + 0, 2147483648, 9223372036854775807, 9223372036854775808
SELECT i4 + 1 FROM samples WHERE id = 3
SELECT i2 * i2 FROM samples WHERE id = 3
SELECT i2 + i4, i4 + i8, i8 + n, n + f8, f4 + f8, f4 + i4 FROM samples WHERE id = 5
SELECT n * 2, n / 3, n - 1 FROM samples WHERE id IN (3, 5) ORDER BY id
SELECT f8 / 3, f8 * 2, f8 - 1, f8 + 0.5 FROM samples WHERE id = 5
SELECT f8 + 1 FROM samples ORDER BY id
SELECT 1 / 0
SELECT id / (id - 1) FROM employees ORDER BY id
SELECT 1.0 / 0
SELECT 1::float8 / 0
SELECT f8 * 1e300 FROM samples WHERE id = 5
SELECT 1e200::float8 * 1e200::float8
SELECT -i4 FROM samples WHERE id = 2
SELECT -i4, -n, -f8, -i2 FROM samples WHERE id = 5
SELECT + 5, - 5, - -5, -(-5)
SELECT abs(-5), abs(-5.5), abs(f8) FROM samples WHERE id = 5
SELECT round(2.5), round(-2.5), round(2.345, 2), round(1234.5, -2), round(f8) FROM samples WHERE id = 5
SELECT trunc(2.7), trunc(-2.7), trunc(2.345, 2), ceil(2.1), floor(-2.1), ceiling(2.1), sign(-3.5)
SELECT ceil(f8), floor(f8), round(2.5::float8), sqrt(16), sqrt(2.25::float8) FROM samples WHERE id = 5
SELECT mod(7, 3), mod(7.5, 2), mod(i8, 7) FROM samples WHERE id = 5
SELECT greatest(1, 2, 3), least(3, NULL, 1), greatest(1, 2.5), greatest('a', 'b')
SELECT 5::float8, 1e15::float8, 1e14::float8, 0.00001::float8, 123456.789::real, 1e20::float8, 0.1::float8
SELECT sqrt(-1)

-- Text
SELECT 'a' || 'b', 'n: ' || 5, 1.50 || 'x', 'v' || true, 'd' || DATE '2024-01-01', 'a' || NULL
SELECT upper(name), lower(name), initcap(name), length(name), reverse(name) FROM employees ORDER BY id
SELECT upper(t), lower(v), length(t), char_length(t), octet_length(t) FROM samples ORDER BY id
SELECT substr('hello', 2, 3), substring('hello' FROM 2 FOR 3), substring('hello', 2), substring('hello' FROM 2), substring('hello' FOR 2), substr('hello', -1, 3)
SELECT position('l' IN 'hello'), strpos('hello', 'lo'), position('' IN 'x'), strpos('x', 'y')
SELECT trim('  a '), trim(BOTH 'x' FROM 'xxaxx'), trim(LEADING 'x' FROM 'xxaxx'), trim(TRAILING 'x' FROM 'xa'), btrim('xax', 'x'), ltrim(' a'), rtrim('a ')
SELECT left('hello', 2), left('hello', -2), right('hello', 2), right('hello', -9), left('hello', 99)
SELECT lpad('7', 3, '0'), rpad('7', 3), lpad('hello', 2), lpad('x', 5, 'ab')
SELECT replace('banana', 'an', 'AN'), replace('x', '', 'y'), repeat('ab', 3), repeat('x', -1)
SELECT split_part('a,b,c', ',', 2), split_part('a,b', ',', 9), split_part('a,b,c', ',', -1)
SELECT starts_with('hello', 'he'), ascii('é'), chr(233), concat('a', NULL, 1, true), concat_ws('-', 'a', NULL, 'b')
SELECT coalesce(email, name), coalesce(NULL, NULL, 'z'), nullif(name, 'Ada') FROM employees ORDER BY id
SELECT nullif(1, 1), nullif(1, 2), nullif(1.0, 1), coalesce(1, 2.5)
SELECT nick LIKE '%\%%', nick ILIKE 'A' FROM employees ORDER BY id
SELECT substr('hello', 1, -1)
SELECT 'abc' LIKE 'abc\'
SELECT CASE WHEN id = 1 THEN 'one' WHEN id = 2 THEN 'two' ELSE 'many' END FROM employees ORDER BY id
SELECT CASE id WHEN 1 THEN 1 WHEN 2 THEN 2.5 END FROM employees ORDER BY id
SELECT CASE WHEN id > 1 THEN 10 / (id - 1) ELSE 0 END FROM employees ORDER BY id
SELECT CASE branch WHEN 'north' THEN salary END FROM employees ORDER BY id

-- Dates
SELECT hired + 1, hired - 1, hired - DATE '2000-01-01', 7 + hired FROM employees ORDER BY id
SELECT DATE '2024-02-28' + 1, DATE '2023-02-28' + 1, DATE '2024-03-01' - DATE '2024-02-01'
SELECT extract(year FROM hired), extract(month FROM hired), extract(day FROM hired), extract(dow FROM hired), extract(isodow FROM hired), extract(doy FROM hired), extract(week FROM hired), extract(quarter FROM hired) FROM employees ORDER BY id
SELECT extract(hour FROM placed), extract(minute FROM placed), extract(second FROM placed), extract(epoch FROM placed) FROM orders ORDER BY id
SELECT extract(epoch FROM hired), extract(isoyear FROM hired), extract(century FROM hired), extract(decade FROM hired) FROM employees ORDER BY id
SELECT extract(epoch FROM tz), extract(hour FROM tz), extract(milliseconds FROM tm), extract(microseconds FROM ts) FROM samples WHERE id IN (5, 7) ORDER BY id
SELECT date_part('year', placed), date_part('second', placed) FROM orders ORDER BY id
SELECT date_trunc('month', placed), date_trunc('week', placed), date_trunc('hour', placed), date_trunc('year', placed), date_trunc('quarter', placed) FROM orders ORDER BY id
SELECT date_trunc('day', opened), date_trunc('decade', opened), date_trunc('century', opened) FROM branches ORDER BY name
SELECT make_date(2024, 2, 29), make_date(1, 1, 1)
SELECT make_date(2023, 2, 29)
SELECT opened::date, opened::time, opened::timestamp FROM branches ORDER BY name
SELECT placed::date, placed::time, placed::timestamptz, hired::timestamp, hired::timestamptz FROM orders, employees WHERE employees.id = employee ORDER BY orders.id
SELECT now() = now(), now() = current_timestamp, current_date = now()::date, localtimestamp = now()::timestamp
SELECT '2024-01-01 12:00'::timestamptz > '2024-01-01 12:00+01', TIMESTAMP '2024-01-01 00:00:00.5' = '2024-01-01 00:00:00.500'
SELECT TIME '12:30' < TIME '12:31', TIMESTAMPTZ '2024-06-01 00:00:00+02'

-- Casts
SELECT '5'::int, 5::text, '5.5'::numeric, 5.5::int, 6.5::int, -5.5::int, 2.5::float8::int, 3.5::float8::int, true::text, 't'::bool, 'off'::boolean
SELECT CAST('12' AS bigint), CAST(5 AS numeric(5, 2)), 1.005::numeric(5, 2), 12345.678::numeric(7, 1), CAST('abcdef' AS varchar(3)), 1::bool, true::int
SELECT '2024-01-01'::date, '2024-01-01 10:00'::timestamp, '10:00'::time, 'a0eebc999c0b4ef8bb6d6bb9bd380a11'::uuid, '1e3'::numeric, '1e3'::float8, ' 7 '::int
SELECT i2::text, i4::text, i8::text, f4::text, f8::text, n::text, b::text, d::text, tm::text, ts::text, tz::text, u::text, j::text FROM samples ORDER BY id
SELECT i8::float8, n::float8, f8::numeric, i4::int8, i2::float4, f4::float8 FROM samples WHERE id IN (1, 5, 7) ORDER BY id
SELECT salary::int, salary::text, salary::float8, id::numeric FROM employees ORDER BY id
SELECT 'x'::int
SELECT 3000000000::int
SELECT '2024-13-01'::date
SELECT 1e400::float8
SELECT 123456::numeric(5, 2)
SELECT 'zzz'::uuid
SELECT name::varchar(2) FROM employees ORDER BY id
SELECT 40000::smallint

-- Views and the person
SELECT * FROM staff ORDER BY id
SELECT name FROM staff WHERE salary > 3000 ORDER BY name
SELECT * FROM sums ORDER BY who
SELECT s.name, x.total FROM staff s LEFT JOIN sums x ON x.who = s.id ORDER BY s.id
SELECT * FROM deep ORDER BY name
SELECT count(*) FROM deep d JOIN staff s ON s.name = d.name
SELECT current_user, session_user = current_user
SELECT name FROM employees WHERE lower(name) = current_user
SELECT gridmart.attribute('branch'), gridmart.attribute('missing') IS NULL, gridmart.attribute('empty') IS NULL
SELECT count(*) FROM employees WHERE branch = gridmart.attribute('branch')

-- Masks in every place
SELECT salary FROM employees WHERE salary % 1000 = 0 ORDER BY salary
SELECT email, count(*) FROM employees GROUP BY email ORDER BY email
SELECT a.name, b.name FROM employees a JOIN employees b ON a.salary = b.salary AND a.id < b.id
SELECT price, price * 2, quantity FROM items WHERE price > 0 ORDER BY price
SELECT sum(price), max(price) FROM items
SELECT article FROM items ORDER BY price DESC, article LIMIT 2
SELECT name FROM employees WHERE email LIKE 'a***'
SELECT length(email) FROM employees ORDER BY 1
SELECT salary, rank() OVER (ORDER BY salary) FROM employees ORDER BY id
SELECT DISTINCT salary FROM employees ORDER BY salary
