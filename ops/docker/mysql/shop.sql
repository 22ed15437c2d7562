-- The user (made by the image, of MYSQL_USER) may read the log and the tables; and a table to begin with.
GRANT SELECT, REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO kakehi;

CREATE TABLE shop.orders (
  id INT UNSIGNED AUTO_INCREMENT PRIMARY KEY,
  customer VARCHAR(80) NOT NULL,
  total DECIMAL(10, 2) NOT NULL,
  status ENUM('open', 'paid', 'sent') NOT NULL DEFAULT 'open'
);

INSERT INTO shop.orders (customer, total) VALUES ('Aya', 12.50), ('Ben', 7.00), ('Chiyo', 99.99);
UPDATE shop.orders SET status = 'paid' WHERE customer = 'Ben';
