-- Rows inserted, indexed, joined, grouped and updated in memory.
CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT, kind INTEGER, price REAL);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200000)
INSERT INTO item SELECT i, 'item ' || (i * 7919 % 200003), i % 97, i * 0.25 FROM n;
CREATE INDEX item_name ON item (name);
CREATE TABLE sale (id INTEGER PRIMARY KEY, item INTEGER, note TEXT);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000)
INSERT INTO sale SELECT i, i * 31 % 200000 + 1, printf('note %d for %s', i, hex(i * 977)) FROM n;
SELECT kind, count(*), sum(price), max(note) FROM sale JOIN item ON item.id = sale.item GROUP BY kind ORDER BY 3 LIMIT 5;
UPDATE item SET name = upper(name) || ' changed' WHERE kind < 20;
SELECT count(DISTINCT substr(note, 1, 9)) FROM sale;
