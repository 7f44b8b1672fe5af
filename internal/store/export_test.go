package store

// FrequentDB is what the queries of Frequent are run on.
func FrequentDB(db Batcher, schema string) DBTX { return frequentDB(db, schema) }
