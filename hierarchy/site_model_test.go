package hierarchy_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/riverhook/riverhook/hierarchy"
	"github.com/riverhook/riverhook/internal/pgtest"
	"github.com/riverhook/riverhook/internal/resolve"
	"github.com/riverhook/riverhook/subscription"
)

// siteModel is what sites, aliases and subscriptions are to do, in maps.
type siteModel struct {
	paths   map[uuid.UUID]hierarchy.Path // of living sites
	aliases map[hierarchy.Path]uuid.UUID
	subs    map[uuid.UUID]hierarchy.Path
	off     map[uuid.UUID]bool
	events  []*siteEvent
}

// siteEvent is an intent: where it happened, which site that was then and what has
// become of it.
type siteEvent struct {
	version int64
	path    hierarchy.Path
	known   hierarchy.Path // as far as the path was that of a site
	at      uuid.UUID      // or its heir
	left    bool           // it is not there any more, or was not all the time
}

func (m *siteModel) at(p hierarchy.Path) (uuid.UUID, bool) {
	for id, path := range m.paths {
		if path == p {
			return id, true
		}
	}
	return uuid.UUID{}, false
}

func (m *siteModel) create(id uuid.UUID, p hierarchy.Path) error {
	if _, taken := m.at(p); taken {
		return hierarchy.ErrSiteExists
	}
	if _, known := m.at(p.Parent()); !known {
		return hierarchy.ErrNotFound
	}
	m.makeWay(p)
	m.paths[id] = p
	m.arrived(p)
	m.refine()
	return nil
}

// makeWay hands the subscriptions of deleted sites to the site above.
func (m *siteModel) makeWay(p hierarchy.Path) {
	for id, site := range m.subs {
		if m.off[id] && p.Contains(site) {
			m.subs[id] = p.Parent()
		}
	}
}

// refine follows events to sites that have come to their paths, below the site that they
// were at, as long as that has stayed where it was.
func (m *siteModel) refine() {
	for _, e := range m.events {
		known, id := m.nearest(e.path)
		if at, living := m.at(known); !e.left && living && at == id && e.known.Contains(known) {
			e.known, e.at = known, id
		}
	}
}

// nearest is the site that a path names now, and how much of the path.
func (m *siteModel) nearest(p hierarchy.Path) (known hierarchy.Path, id uuid.UUID) {
	for _, a := range p.Ancestors() {
		if id, ok := m.at(a); ok {
			return a, id
		}
		if id, ok := m.aliases[a]; ok {
			return a, id
		}
	}
	return "", uuid.Nil
}

// arrived ends the aliases at and below a path to which sites have come, except those
// of these sites.
func (m *siteModel) arrived(p hierarchy.Path) {
	for alias, id := range m.aliases {
		if _, taken := m.at(alias); taken || p.Contains(alias) && !p.Contains(m.paths[id]) {
			delete(m.aliases, alias)
		}
	}
}

func (m *siteModel) move(p, parent hierarchy.Path, segment string) error {
	_, known := m.at(p)
	_, parentKnown := m.at(parent)
	to := hierarchy.Child(parent, segment)
	_, taken := m.at(to)
	switch {
	case p == hierarchy.Root:
		return hierarchy.ErrRootSite
	case !known || !parentKnown:
		return hierarchy.ErrNotFound
	case to == p:
		return nil
	case p.Contains(parent):
		return hierarchy.ErrSiteCycle
	case taken:
		return hierarchy.ErrSiteExists
	}
	m.makeWay(to)
	for id, path := range m.paths {
		if p.Contains(path) {
			m.aliases[path] = id
			m.paths[id] = to + path[len(p):]
			for _, e := range m.events {
				e.left = e.left || e.at == id
			}
		}
	}
	m.arrived(to)
	m.refine()
	for id, site := range m.subs {
		if p.Contains(site) {
			m.subs[id] = to + site[len(p):]
		}
	}
	return nil
}

func (m *siteModel) delete(p hierarchy.Path, recursive bool) error {
	_, known := m.at(p)
	heir, _ := m.at(p.Parent())
	children := 0
	for _, path := range m.paths {
		if p.Contains(path) && path != p {
			children++
		}
	}
	switch {
	case p == hierarchy.Root:
		return hierarchy.ErrRootSite
	case !known:
		return hierarchy.ErrNotFound
	case children > 0 && !recursive:
		return hierarchy.ErrSiteHasChildren
	}
	for id, path := range m.paths {
		if p.Contains(path) {
			for alias, to := range m.aliases {
				if to == id {
					m.aliases[alias] = heir
				}
			}
			m.aliases[path] = heir
			delete(m.paths, id)
			for _, e := range m.events {
				if e.at == id {
					e.at, e.left = heir, true
				}
			}
		}
	}
	for id, site := range m.subs {
		m.off[id] = m.off[id] || p.Contains(site)
	}
	return nil
}

func (m *siteModel) ancestors(p hierarchy.Path) []hierarchy.Path {
	_, id := m.nearest(p)
	return m.paths[id].Ancestors()
}

func genSmallPath() *rapid.Generator[hierarchy.Path] {
	return rapid.Custom(func(t *rapid.T) hierarchy.Path {
		p := hierarchy.Root
		for range rapid.IntRange(0, 4).Draw(t, "depth") {
			p = hierarchy.Child(p, rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "segment"))
		}
		return p
	})
}

func requireSame(t require.TestingT, want, got error) {
	if want == nil {
		require.NoError(t, got)
		return
	}
	require.ErrorIs(t, got, want)
}

func TestSites_FollowTheirModel(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	sites := newSites(t, pool)
	subs := newSubscriptions(t, pool)
	ctx := t.Context()
	all := []hierarchy.Path{hierarchy.Root}
	for i := 0; len(all[i]) < 8; i++ {
		all = append(all, hierarchy.Child(all[i], "a"), hierarchy.Child(all[i], "b"), hierarchy.Child(all[i], "c"))
	}
	rapid.Check(t, func(t *rapid.T) {
		_, err := pool.Exec(ctx, `
			DELETE FROM riverhook.site_alias; DELETE FROM riverhook.site WHERE path <> '/';
			DELETE FROM riverhook.secret; DELETE FROM riverhook.subscription; DELETE FROM riverhook.intent`)
		require.NoError(t, err)
		model := &siteModel{
			paths:   map[uuid.UUID]hierarchy.Path{{}: hierarchy.Root},
			aliases: map[hierarchy.Path]uuid.UUID{},
			subs:    map[uuid.UUID]hierarchy.Path{},
			off:     map[uuid.UUID]bool{},
		}
		for _, p := range []hierarchy.Path{"/a", "/b", "/a/a", "/a/b"} {
			site, err := sites.Create(ctx, p)
			require.NoError(t, err)
			require.NoError(t, model.create(site.ID, p))
		}
		path := genSmallPath()
		create := func(t *rapid.T, p hierarchy.Path) {
			site, err := sites.Create(ctx, p)
			id := uuid.New()
			if site != nil {
				id = site.ID
			}
			requireSame(t, model.create(id, p), err)
		}
		enqueue := func(t *rapid.T, p hierarchy.Path) {
			e := &siteEvent{path: p}
			e.known, e.at = model.nearest(p)
			e.left = model.paths[e.at] != e.known
			var id string
			require.NoError(t, pool.QueryRow(ctx, `SELECT riverhook.enqueue(type => 'a.b', data => '{}', site => $1)`, p).Scan(&id))
			require.NoError(t, pool.QueryRow(ctx, `SELECT tree_version FROM riverhook.intent WHERE wire_id = $1`, id).Scan(&e.version))
			model.events = append(model.events, e)
		}
		t.Repeat(map[string]func(*rapid.T){
			"create": func(t *rapid.T) { create(t, path.Draw(t, "path")) },
			"become another's": func(t *rapid.T) {
				p, below := path.Draw(t, "path"), rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "below")
				enqueue(t, hierarchy.Child(p, below))
				if rapid.Bool().Draw(t, "deleted") {
					requireSame(t, model.delete(p, true), sites.Delete(ctx, p, &hierarchy.DeleteSiteOpts{Recursive: true}))
				} else {
					want := model.move(p, p.Parent(), "d")
					_, err := sites.Rename(ctx, p, "d")
					requireSame(t, want, err)
				}
				create(t, p)
				create(t, hierarchy.Child(p, below))
				enqueue(t, hierarchy.Child(p, below))
			},
			"delete": func(t *rapid.T) {
				p, recursive := path.Draw(t, "path"), rapid.Bool().Draw(t, "recursive")
				requireSame(t, model.delete(p, recursive), sites.Delete(ctx, p, &hierarchy.DeleteSiteOpts{Recursive: recursive}))
			},
			"move": func(t *rapid.T) {
				p, to := path.Draw(t, "path"), path.Draw(t, "to")
				want := model.move(p, to, hierarchy.LastSegment(p))
				_, err := sites.Move(ctx, p, to)
				requireSame(t, want, err)
			},
			"rename": func(t *rapid.T) {
				p, segment := path.Draw(t, "path"), rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "segment")
				want := model.move(p, p.Parent(), segment)
				_, err := sites.Rename(ctx, p, segment)
				requireSame(t, want, err)
			},
			"subscribe": func(t *rapid.T) {
				p := path.Draw(t, "path")
				created, err := subs.Create(ctx, specAt(p))
				if _, former := model.aliases[p]; former {
					require.ErrorIs(t, err, subscription.ErrInvalid)
					return
				}
				require.NoError(t, err)
				model.subs[created.ID] = p
			},
			"enqueue": func(t *rapid.T) { enqueue(t, path.Draw(t, "path")) },
			"look":    func(t *rapid.T) { requireModel(t, model, sites, subs, all) },
		})
		requireModel(t, model, sites, subs, all)
	})
}

func requireModel(t *rapid.T, model *siteModel, sites *hierarchy.Sites, subs *subscription.Store, all []hierarchy.Path) {
	ctx := t.Context()
	requireTree(t, sites)
	list, err := listedSites(sites.List(ctx, &hierarchy.SiteListOpts{Limit: 1000}))
	require.NoError(t, err)
	paths := make(map[uuid.UUID]hierarchy.Path, len(list))
	for _, s := range list {
		paths[s.ID] = s.Path
	}
	require.Equal(t, model.paths, paths)
	require.True(t, slices.IsSortedFunc(list, func(a, b hierarchy.Site) int { return strings.Compare(string(a.Path), string(b.Path)) }))
	chains, err := sites.AncestorsMany(ctx, all)
	require.NoError(t, err)
	for i, p := range all {
		require.Equal(t, model.ancestors(p), chains[i], p)
	}
	resolver := resolve.New(sites.Pool(), resolve.Config{Sites: true, Tree: sites})
	for _, e := range model.events {
		reached, _, err := resolver.Sites(ctx, resolve.Lookup{Site: e.path, TreeVersion: e.version})
		require.NoError(t, err)
		var chain []hierarchy.Path
		for _, r := range reached {
			chain = append(chain, r.Site)
		}
		require.Equal(t, model.paths[e.at].Ancestors(), chain, e.path)
	}
	got, err := subs.List(ctx, &subscription.ListOpts{Limit: 1000})
	require.NoError(t, err)
	require.Len(t, got.Subscriptions, len(model.subs))
	for _, s := range got.Subscriptions {
		require.Equal(t, model.subs[s.ID], s.Site)
		require.Equal(t, model.off[s.ID], s.State == subscription.StateDeactivated)
	}
}
