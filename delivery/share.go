package delivery

import (
	"fmt"
	"log/slog"
	"sync"

	"github.com/google/uuid"

	"github.com/riverhook/riverhook/delivery/internal/attempt"
	"github.com/riverhook/riverhook/delivery/internal/callbacks"
	"github.com/riverhook/riverhook/delivery/internal/slots"
	"github.com/riverhook/riverhook/hierarchy"
)

// Recipient is the subscription that a request goes to, as [Limits].ShareOf sees it.
type Recipient struct {
	SubscriptionID uuid.UUID
	Site           hierarchy.Path
	Owner          string // "" is an operator's
}

// sharesBy returns what names the share of a request: named, which may be nil, and by default
// the site of the subscription.
func sharesBy(named func(to Recipient, site hierarchy.Path) string, log *slog.Logger) func(t *attempt.Target) string {
	byDefault := func(t *attempt.Target) string { return slots.DefaultShare(t.Sub.Site, t.Sub.Owner) }
	if named == nil {
		return byDefault
	}
	var warn sync.Once
	return func(t *attempt.Target) (share string) {
		defer func() {
			if p := recover(); p != nil {
				warn.Do(func() {
					log.Error("riverhook: Limits.ShareOf panics", "error", callbacks.Brief(fmt.Errorf("panic: %v", p)))
				})
				share = ""
			}
			if share == "" {
				share = byDefault(t)
			}
		}()
		site := hierarchy.Path(t.Sub.Site) // not the event's: what is held of it is released by one share
		return named(Recipient{
			SubscriptionID: t.Sub.ID,
			Site:           site,
			Owner:          t.Sub.Owner,
		}, site)
	}
}
