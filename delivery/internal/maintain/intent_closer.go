package maintain

import (
	"context"

	"github.com/riverhook/riverhook/internal/store"
)

// closeStep is how many intents one statement closes.
const closeStep = 2000

// IntentCloser ends the search for lost jobs of intents of which nothing can be lost any
// more.
type IntentCloser struct {
	Store *store.Queries // with plans that are kept
}

// Run closes all of them.
func (c *IntentCloser) Run(ctx context.Context) error {
	for {
		ids, err := c.Store.CloseIntents(ctx, closeStep)
		if err != nil || len(ids) < closeStep {
			return err
		}
	}
}
