package cursor

import "fmt"

const (
	// DefaultLimit is how many rows a page has if a caller does not say.
	DefaultLimit = 100

	maxLimit = 1000
)

// CheckLimit says why a page cannot have so many rows.
func CheckLimit(limit int) error {
	if limit < 1 || limit > maxLimit {
		return fmt.Errorf("Limit: is %d; must be 1 to %d, or 0 for %d", limit, maxLimit, DefaultLimit)
	}
	return nil
}
