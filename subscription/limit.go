package subscription

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/riverhook/riverhook/hierarchy"
	"github.com/riverhook/riverhook/internal/store"
	"github.com/riverhook/riverhook/internal/text"
)

const (
	defaultMaxPerOwner = 100
	defaultMaxPerSite  = 1000
	noLimit            = -1
)

// LimitError says which limit of Config another subscription would
// exceed.
type LimitError struct {
	Limit string // the field: "MaxPerOwner" or "MaxPerSite"
	Max   int    // what it is
	Of    string // the owner, or the site
}

// Error implements error.
func (e *LimitError) Error() string {
	who := "owner"
	if e.Limit == "MaxPerSite" {
		who = "site"
	}
	return fmt.Sprintf("%s %s has as many subscriptions as Config.%s allows, which is %d", who, text.Quote(e.Of), e.Limit, e.Max)
}

// Unwrap returns [ErrLimit].
func (e *LimitError) Unwrap() error { return ErrLimit }

// takeCreationLocks waits for those who create a subscription of the same owner or at the same
// site, give one of theirs another site, or delete those of the owner, until their
// transactions end. "" is no owner and no site. Whoever has the locks sees what they have done, or fails under a stricter
// isolation than READ COMMITTED.
func (h *Handle) takeCreationLocks(ctx context.Context, tx pgx.Tx, owner string, site hierarchy.Path) error {
	keys := []string{}
	if owner != "" {
		keys = append(keys, "owner "+owner)
	}
	if site != "" && h.cfg.MaxPerSite != noLimit {
		keys = append(keys, "site "+string(site))
	}
	if len(keys) == 0 {
		return nil
	}
	return h.in(tx).TakeCreationLocks(ctx, keys)
}

// checkLimits refuses one more subscription of an owner ("" for none to count)
// and at a site where there are enough. The locks of both have been taken.
func (h *Handle) checkLimits(ctx context.Context, tx pgx.Tx, owner string, site hierarchy.Path) error {
	p := &store.CountSubscriptionsParams{Site: string(site), Under: string(h.cfg.RootSite)}
	if h.cfg.MaxPerOwner != noLimit {
		p.Owner = owner
	}
	if p.Owner == "" && h.cfg.MaxPerSite == noLimit {
		return nil
	}
	have, err := h.in(tx).CountSubscriptions(ctx, p)
	switch {
	case err != nil:
		return err
	case p.Owner != "" && have.OfOwner >= h.cfg.MaxPerOwner:
		return &LimitError{
			Limit: "MaxPerOwner",
			Max:   h.cfg.MaxPerOwner,
			Of:    owner,
		}
	case h.cfg.MaxPerSite != noLimit && have.AtSite >= h.cfg.MaxPerSite:
		return &LimitError{
			Limit: "MaxPerSite",
			Max:   h.cfg.MaxPerSite,
			Of:    string(site),
		}
	}
	return nil
}
