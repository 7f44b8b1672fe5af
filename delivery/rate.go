package delivery

import (
	"fmt"
	"log/slog"
	"sync"

	"github.com/riverhook/riverhook/delivery/internal/attempt"
	"github.com/riverhook/riverhook/delivery/internal/callbacks"
	"github.com/riverhook/riverhook/subscription"
)

func attemptRate(r subscription.Rate) attempt.Rate { return attempt.NewRate(r.Events, r.Per, r.Burst) }

// ratesBy returns what says the rate of an owner; nil if owners have none.
func ratesBy(named func(owner string) subscription.Rate, log *slog.Logger) func(owner string) attempt.Rate {
	if named == nil {
		return nil
	}
	var warn sync.Once
	return func(owner string) (rate attempt.Rate) {
		defer func() {
			if p := recover(); p != nil {
				warn.Do(func() {
					log.Error("riverhook: Limits.RateOf panics", "error", callbacks.Brief(fmt.Errorf("panic: %v", p)))
				})
				rate = attempt.Rate{}
			}
		}()
		return attemptRate(named(owner))
	}
}
