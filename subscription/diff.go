package subscription

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"maps"
	"slices"

	"github.com/google/uuid"

	"github.com/riverhook/riverhook/hierarchy"
	"github.com/riverhook/riverhook/internal/endpointauth"
	"github.com/riverhook/riverhook/internal/sealed"
	"github.com/riverhook/riverhook/internal/store"
)

// Diff returns what [Store.Update] has to change for a subscription to be
// as spec says: the fields that differ, and no others. It changes nothing. What is
// sealed is opened to be compared. Where URL leads to another host, Credentials and
// SecretHeaders that the subscription has are among the fields, for they must be
// given again; but not before that URL is proven, where it has to be, for they would be
// sent to the former host. A URL that waits for its proof does not differ, nor does a
// former path of the site at which the subscription is.
//
// Secret, SecretKind and Paused are not compared. An owner that differs is an
// [*InvalidError], and so is whatever Create would refuse before it
// asks the database.
func (s *Store) Diff(ctx context.Context, id uuid.UUID, spec Spec) (Update, error) {
	u, err := s.diff(ctx, s.db(), id, spec)
	return outcome("compare subscription", u, err)
}

func (s *Store) diff(ctx context.Context, db store.DBTX, id uuid.UUID, spec Spec) (Update, error) {
	n, err := s.cfg.prepare(spec)
	if err != nil {
		return Update{}, err
	}
	have, err := s.fetch(ctx, db, id)
	if err != nil {
		return Update{}, err
	}
	want := &n.sub
	if have.Owner != want.Owner || have.Operator != want.Operator {
		return Update{}, &InvalidError{Field: "Owner", Reason: "is for life: make another subscription for another owner"}
	}
	sameSite, err := s.sameSite(ctx, db, have.Site, want.Site)
	if err != nil {
		return Update{}, err
	}
	u := Update{
		Channels:     unless(slices.Equal(have.Channels, want.Channels), want.Channels),
		Deactivation: unless(valueOf(have.Deactivation) == valueOf(want.Deactivation), valueOf(want.Deactivation)),
		Description:  unless(have.Description == want.Description, want.Description),
		Dialect:      unless(have.Dialect == want.Dialect, want.Dialect),
		Events:       unless(slices.Equal(have.Events, want.Events), want.Events),
		FailClosed:   unless(have.FailClosed == want.FailClosed, want.FailClosed),
		Filter:       unless(have.Filter == want.Filter, want.Filter),
		Headers:      unless(maps.Equal(have.Headers, want.Headers), want.Headers),
		MaxInFlight:  unless(have.MaxInFlight == want.MaxInFlight, want.MaxInFlight),
		Metadata:     unless(maps.Equal(have.Metadata, want.Metadata), want.Metadata),
		Name:         unless(have.Name == want.Name, want.Name),
		Permission:   unless(have.Permission == want.Permission, want.Permission),
		Rate:         unless(have.Rate == want.Rate, want.Rate),
		Schedule:     unless(have.Schedule == want.Schedule, want.Schedule),
		Site:         unless(sameSite, want.Site),
		Timeout:      unless(have.Timeout == want.Timeout, want.Timeout),
		URL:          unless(cmp.Or(have.PendingURL, have.URL) == want.URL, want.URL),
		Verification: unless(have.Verification == want.Verification, want.Verification),
	}
	err = s.diffAuth(ctx, db, have, n, &u)
	return u, err
}

// diffAuth compares what is stored sealed. What is sealed for another origin is to be
// given again, and is not opened.
func (s *Store) diffAuth(ctx context.Context, db store.DBTX, have *Subscription, n *newSubscription, u *Update) error {
	elsewhere := !sameOrigin(have.URL, n.sub.URL)
	there, stored, err := s.openAuth(ctx, db, have, elsewhere)
	if err != nil {
		return err
	}
	given := map[string][]byte{}
	for kind, value := range n.given.sealedValues() {
		if given[kind], err = json.Marshal(value); err != nil {
			return err
		}
	}
	same := func(kind string) bool { return bytes.Equal(stored[kind], given[kind]) }
	waits := elsewhere && (u.URL == nil || n.sub.Verification != "" && have.inForce())
	if !waits {
		carried := func(kind string) bool { return same(kind) && (!there[kind] || !elsewhere) }
		u.Credentials = unless(carried(endpointauth.KindCredentials), valueOf(n.given.Credentials))
		u.SecretHeaders = unless(carried(endpointauth.KindHeaders), valueOf(n.given.SecretHeaders))
	}
	u.TLS = unless(same(endpointauth.KindTLS), valueOf(n.given.TLS))
	return nil
}

// openAuth returns what there is, by kind, and what is stored sealed; of what is to go
// elsewhere the TLS settings alone.
func (s *Store) openAuth(
	ctx context.Context, db store.DBTX, sub *Subscription, elsewhere bool,
) (there map[string]bool, opened map[string][]byte, err error) {
	rows, err := s.in(db).LoadEndpointAuths(ctx, store.UUIDs([]uuid.UUID{sub.ID}))
	if err != nil {
		return nil, nil, err
	}
	there, opened = map[string]bool{}, map[string][]byte{}
	for _, row := range rows {
		if row.ID == nil {
			continue
		}
		there[row.Kind] = true
		at := sealed.EndpointAuth(row.Kind, *row.ID, sub.ID, sub.URL)
		if elsewhere && at.Origin != "" {
			continue
		}
		if opened[row.Kind], err = s.box.Open(ctx, at, sealed.Value{Bytes: row.Value, Sealed: row.Sealed}); err != nil {
			return nil, nil, err
		}
	}
	return there, opened, nil
}

// sameSite says whether a path is that of a site, or was before the site moved.
func (s *Store) sameSite(ctx context.Context, db store.DBTX, site, path hierarchy.Path) (bool, error) {
	if site == path {
		return true, nil
	}
	place, err := s.in(db).Placement(ctx, string(path))
	return err == nil && place.NowAt == string(site) && !place.Inherited, err
}

func unless[T any](same bool, value T) *T {
	if same {
		return nil
	}
	return &value
}

func valueOf[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}
