package store

// EnqueueBatchSQL is the statement of [Queries.EnqueueBatch] in the given
// schema, for database/sql.
func EnqueueBatchSQL(schema string) string { return rendered(enqueueBatch, schema) }

// EraseSQL is the statement of [Queries.Erase] in the given schema, for
// database/sql.
func EraseSQL(schema string) string { return rendered(erase, schema) }

// IntentsOfTransactionSQL is the statement of [Queries.IntentsOfTransaction] in
// the given schema, for database/sql.
func IntentsOfTransactionSQL(schema string) string { return rendered(intentsOfTransaction, schema) }
