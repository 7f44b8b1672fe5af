package store

import (
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/riverhook/riverhook/internal/notfound"
)

// Found turns pgx.ErrNoRows into a notfound.Err that names what was sought.
func Found(err error, what string) error {
	if errors.Is(err, pgx.ErrNoRows) {
		return fmt.Errorf("%s: %w", what, notfound.Err)
	}
	return err
}
