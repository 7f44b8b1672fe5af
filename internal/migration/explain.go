package migration

import (
	"errors"
	"fmt"
)

// SQLSTATEs that a database which is not migrated answers with.
var unmigrated = map[string]bool{
	"3F000": true, // no such schema
	"42883": true, // no such function
	"42P01": true, // no such table
	"RH001": true, // raised by refuse_client
}

// Explain puts ErrNotMigrated, and what to do, before an error that the database gives
// where it is not migrated. Every other error is returned as it is.
func Explain(err error) error {
	var state interface{ SQLState() string }
	if errors.Is(err, ErrNotMigrated) || !errors.As(err, &state) || !unmigrated[state.SQLState()] {
		return err
	}
	return fmt.Errorf("%w: run outbox.Migrate, or name the schema that you have migrated: %w", ErrNotMigrated, err)
}
