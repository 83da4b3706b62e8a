-- Places of requests that run at the same time: a row for each, until it is given back or its time ends.
CREATE TABLE leases (
  meter TEXT NOT NULL,
  id TEXT NOT NULL,
  ends_at BIGINT NOT NULL,
  PRIMARY KEY (meter, id)
);
