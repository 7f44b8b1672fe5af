package store

import "github.com/jackc/pgx/v5"

// bounds are those of a statement of an engine and of its waits for locks, unless the
// session has lower ones. An application can hold a lock for as long as it likes, such as
// that of a table; an engine tries again. What pgx prepares at the first run of a statement
// in a session is bounded by the context alone.
const bounds = outputs + `,
	set_config('lock_timeout', CASE WHEN current_setting('lock_timeout')::interval BETWEEN '1 ms' AND '1 s'
		THEN current_setting('lock_timeout') ELSE '1s' END, true),
	set_config('statement_timeout', CASE WHEN current_setting('statement_timeout')::interval BETWEEN '1 ms' AND '1 min'
		THEN current_setting('statement_timeout') ELSE '1min' END, true)`

// BoundedTx are the options of the transactions of an engine. Each statement is written
// for READ COMMITTED, whatever the database's default is. One waits for a lock for 1 s at
// most, and takes 1 min.
func BoundedTx() pgx.TxOptions {
	return pgx.TxOptions{BeginQuery: "BEGIN ISOLATION LEVEL READ COMMITTED; " + bounds}
}
