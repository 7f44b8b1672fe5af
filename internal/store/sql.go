package store

// EnqueueBatchSQL is the statement of [Queries.EnqueueBatch] in the given
// schema, for database/sql.
func EnqueueBatchSQL(schema string) string { return rendered(enqueueBatch, schema) }

// IntentsOfTransactionSQL is the statement of [Queries.IntentsOfTransaction] in
// the given schema, for database/sql.
func IntentsOfTransactionSQL(schema string) string { return rendered(intentsOfTransaction, schema) }
