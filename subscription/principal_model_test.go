package subscription

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/riverhook/riverhook/access"
	"github.com/riverhook/riverhook/hierarchy"
	"github.com/riverhook/riverhook/internal/pgtest"
)

// rightsModel is who may do what in other words: sites by their identity, so that
// moves do not matter to it.
type rightsModel struct {
	parents   map[string]string // of a site, by name; that of a tenant is ""
	managers  map[string]string // the site that a person manages
	operator  string
	subs      map[uuid.UUID]*modelSub
	nextChild int
}

type modelSub struct {
	site, owner string
	deleted     bool
}

func (m *rightsModel) path(site string) hierarchy.Path {
	if site == "" {
		return hierarchy.Root
	}
	return hierarchy.Path(strings.TrimSuffix(string(m.path(m.parents[site])), "/") + "/" + site)
}

func (m *rightsModel) within(site, above string) bool {
	for ; site != above; site = m.parents[site] {
		if site == "" {
			return false
		}
	}
	return true
}

func (m *rightsModel) manages(person, site string) bool {
	managed, ok := m.managers[person]
	return ok && m.within(site, managed)
}

func (m *rightsModel) mayAct(person string, sub *modelSub) bool {
	return person == m.operator || person == sub.owner || m.manages(person, sub.site)
}

func (m *rightsModel) mayCreate(person, site string) bool {
	return person == m.operator || site != "" && m.manages(person, site)
}

func (m *rightsModel) sites() []string {
	names := []string{""}
	for name := range m.parents {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Random trees whose sites move, random managers and owners: whatever anybody does
// has the outcome that the model says, in the store as well as in the answer.
func TestPrincipal_DoesWhatAModelLetsIt(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	keys := testSealer(t)
	people := []string{"ann", "bob", "max", "eve"}
	rapid.Check(t, func(t *rapid.T) {
		ctx := context.Background()
		_, err := pool.Exec(ctx, `
			DELETE FROM riverhook.site_alias; DELETE FROM riverhook.site WHERE path <> '/';
			DELETE FROM riverhook.secret; DELETE FROM riverhook.subscription`)
		require.NoError(t, err)
		sites, err := hierarchy.NewSites(pool, nil)
		require.NoError(t, err)
		subs, err := NewStore(pool, &Config{
			CheckURL:    checkHTTPS,
			MaxPerOwner: noLimit,
			MaxPerSite:  noLimit,
			Sealer:      keys,
			Tree:        sites,
		})
		require.NoError(t, err)
		m := &rightsModel{
			parents:  map[string]string{},
			managers: map[string]string{},
			subs:     map[uuid.UUID]*modelSub{},
			operator: rapid.SampledFrom(people).Draw(t, "operator"),
		}
		first, err := subs.Create(ctx, specAt("/")) // so that there always is one to act on
		require.NoError(t, err)
		m.subs[first.ID] = &modelSub{owner: first.Owner}
		auth := &access.SiteManagers{
			Ancestors: subs.Ancestors,
			IsManager: func(_ context.Context, person string, chain []hierarchy.Path) (bool, error) {
				site, ok := m.managers[person]
				return ok && slices.Contains(chain, m.path(site)), nil
			},
			IsOperator: func(_ context.Context, person string) (bool, error) { return person == m.operator, nil },
		}
		anySite := func(t *rapid.T) string { return rapid.SampledFrom(m.sites()).Draw(t, "site") }
		anyPerson := func(t *rapid.T) string { return rapid.SampledFrom(people).Draw(t, "person") }
		anySub := func(t *rapid.T) (uuid.UUID, *modelSub) {
			ids := make([]uuid.UUID, 0, len(m.subs))
			for id := range m.subs {
				ids = append(ids, id)
			}
			slices.SortFunc(ids, func(a, b uuid.UUID) int { return slices.Compare(a[:], b[:]) })
			id := rapid.SampledFrom(ids).Draw(t, "subscription")
			return id, m.subs[id]
		}
		// expect compares an answer with what the model says of acting on sub.
		expect := func(person string, sub *modelSub, err error) bool {
			switch {
			case sub.deleted || !m.mayAct(person, sub):
				require.ErrorIs(t, err, ErrNotFound)
				return false
			default:
				require.NoError(t, err)
				return true
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"add a site": func(t *rapid.T) {
				parent := anySite(t)
				if len(m.parents) == 10 { // there are enough
					return
				}
				m.nextChild++
				name := fmt.Sprintf("s%d", m.nextChild)
				m.parents[name] = parent
				_, err := sites.Create(ctx, m.path(name))
				require.NoError(t, err)
			},
			"move a site": func(t *rapid.T) {
				site, to := anySite(t), anySite(t)
				if site == "" || m.within(to, site) || m.parents[site] == to { // it cannot
					return
				}
				_, err := sites.Move(ctx, m.path(site), m.path(to))
				require.NoError(t, err)
				m.parents[site] = to
			},
			"appoint": func(t *rapid.T) { m.managers[anyPerson(t)] = anySite(t) },
			"dismiss": func(t *rapid.T) { delete(m.managers, anyPerson(t)) },
			"create": func(t *rapid.T) {
				person := anyPerson(t)
				owner := anyPerson(t)
				site := anySite(t)
				spec := specAt(m.path(site))
				spec.Owner = owner
				created, err := subs.As(person, auth).Create(ctx, spec)
				if !m.mayCreate(person, site) {
					require.ErrorIs(t, err, access.ErrDenied)
					return
				}
				require.NoError(t, err)
				m.subs[created.ID] = &modelSub{site: site, owner: owner}
			},
			"change": func(t *rapid.T) {
				person := anyPerson(t)
				id, sub := anySub(t)
				name := rapid.StringMatching(`[a-z]{8}`).Draw(t, "name")
				got, err := subs.As(person, auth).Update(ctx, id, Update{Name: &name})
				if expect(person, sub, err) {
					require.Equal(t, name, got.Name)
				}
			},
			"move a subscription": func(t *rapid.T) {
				person, to := anyPerson(t), anySite(t)
				id, sub := anySub(t)
				_, err := subs.As(person, auth).Update(ctx, id, Update{Site: new(m.path(to))})
				if !sub.deleted && m.mayAct(person, sub) && sub.site != to && !m.mayCreate(person, to) {
					require.ErrorIs(t, err, access.ErrDenied)
				} else if expect(person, sub, err) {
					sub.site = to
				}
			},
			"read the secret": func(t *rapid.T) {
				person := anyPerson(t)
				id, sub := anySub(t)
				secrets, err := subs.As(person, auth).Secrets(ctx, id)
				require.Equal(t, expect(person, sub, err), len(secrets) == 1)
			},
			"delete": func(t *rapid.T) {
				person := anyPerson(t)
				id, sub := anySub(t)
				if expect(person, sub, subs.As(person, auth).Delete(ctx, id)) {
					sub.deleted = true
				}
			},
			"": func(t *rapid.T) { // after each action
				person := anyPerson(t)
				page, err := subs.As(person, auth).List(ctx, nil)
				require.NoError(t, err)
				got := map[uuid.UUID]hierarchy.Path{}
				for _, sub := range page.Subscriptions {
					got[sub.ID] = sub.Site
				}
				want := map[uuid.UUID]hierarchy.Path{}
				for id, sub := range m.subs {
					if !sub.deleted && m.mayAct(person, sub) {
						want[id] = m.path(sub.site)
					}
				}
				require.Equal(t, want, got)
			},
		})
	})
}
