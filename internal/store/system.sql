-- What sqlc does not know by itself: the system columns that queries name. It
-- is read by sqlc alone.
ALTER TABLE /* TEMPLATE: schema */delivery ADD COLUMN ctid tid NOT NULL;
ALTER TABLE /* TEMPLATE: schema */intent_state ADD COLUMN ctid tid NOT NULL;
ALTER TABLE /* TEMPLATE: schema */decision ADD COLUMN ctid tid NOT NULL;
