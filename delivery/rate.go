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
		fails := func(err error) {
			warn.Do(func() { log.Error("riverhook: Limits.RateOf fails", "error", callbacks.Brief(err)) })
			rate = attempt.Rate{}
		}
		defer func() {
			if p := recover(); p != nil {
				fails(fmt.Errorf("panic: %v", p))
			}
		}()
		said := named(owner)
		if rate = attemptRate(said); said.Events < 0 {
			fails(fmt.Errorf("Events: is %d; must be 0 or more", said.Events))
		}
		return rate
	}
}
