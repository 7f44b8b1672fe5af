package subscription

import (
	"fmt"

	"github.com/riverhook/riverhook/hierarchy"
	"github.com/riverhook/riverhook/internal/sitetree"
	"github.com/riverhook/riverhook/internal/store"
	"github.com/riverhook/riverhook/internal/text"
)

// Within returns the same store, confined to a site and what is below it as
// Config.RootSite says: what a host gives to the code of one tenant.
// A site outside of the store's own RootSite is an [ErrNotFound]. It needs no
// database, and can be called for each request.
func (s *Store) Within(site hierarchy.Path) (*Store, error) {
	const action = "confine subscriptions"
	if _, err := hierarchy.ParsePath(string(site)); err != nil {
		return nil, failed(action, err)
	}
	if !s.cfg.RootSite.Contains(site) {
		return nil, failed(action, fmt.Errorf("site %s: %w", text.Quote(string(site)), ErrNotFound))
	}
	confined := *s
	confined.cfg.RootSite = site
	return &confined, nil
}

// confined is the subscription of a row that is within the store.
func (h *Handle) confined(row store.Subscription) (*Subscription, error) {
	if !h.cfg.RootSite.Contains(hierarchy.Path(row.Site)) {
		return nil, fmt.Errorf("subscription %s: %w", row.ID, ErrNotFound)
	}
	return subscriptionOf(row)
}

// within is what a site's subtree and that of the store have in common, if there
// is anything.
func (c Config) within(under hierarchy.Path) (hierarchy.Path, bool) {
	switch {
	case under.Contains(c.RootSite):
		return c.RootSite, true
	case c.RootSite.Contains(under):
		return under, true
	default:
		return "", false
	}
}

func (c Config) checkSite(site hierarchy.Path) error {
	if err := sitetree.CheckPath(string(sitetree.OrRoot(site))); err != nil {
		return err
	}
	if !c.RootSite.Contains(sitetree.OrRoot(site)) {
		return fmt.Errorf("must be %q or below it", c.RootSite)
	}
	return nil
}
