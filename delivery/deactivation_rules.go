package delivery

import (
	"errors"
	"fmt"
	"time"

	"github.com/riverhook/riverhook/subscription"
)

var defaultRules = subscription.DeactivationRules{
	Attempts:        10,
	Exhausted:       50,
	ExhaustedWindow: time.Hour,
	Failures:        subscription.NoRule,
	Unresolvable:    50,
	Warning:         50,
	Window:          5 * 24 * time.Hour,
}

func checkRules(r subscription.DeactivationRules) error {
	if bad, ok := errors.AsType[*subscription.InvalidError](r.Check()); ok {
		return fmt.Errorf("delivery: config: %s: %s", bad.Field, bad.Reason)
	}
	return nil
}
