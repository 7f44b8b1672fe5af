package manifest

import (
	"context"

	"github.com/riverhook/riverhook/hierarchy"
	"github.com/riverhook/riverhook/internal/store"
)

// applySites creates those that are not there. One that was moved counts as there,
// and one that was deleted does not.
func (r *application) applySites(ctx context.Context) error {
	there, err := r.sitesThere(ctx)
	if err != nil {
		return err
	}
	if len(there) < len(r.m.sites) { // look again while nobody else changes the tree
		if err := store.LockSitesPatiently(ctx, r.tx, r.schema); err != nil {
			return err
		}
		if there, err = r.sitesThere(ctx); err != nil {
			return err
		}
	}
	for _, s := range r.m.sites {
		c := Change{
			Action: ActionUnchanged,
			Kind:   kindSite,
			Key:    string(s.path),
		}
		now, ok := there[s.path]
		if ok && now != s.path {
			c.Note = "is " + string(now) + " now"
		}
		if !ok {
			c.Action = ActionAdded
			if _, err := r.sites.In(r.tx).Create(ctx, s.path); err != nil {
				if err := r.refused(s.field, err); err != nil {
					return err
				}
			}
		}
		r.add(c)
	}
	return r.queries().ShareSites(ctx)
}

// sitesThere says where the sites of the manifest are now, those that are there.
func (r *application) sitesThere(ctx context.Context) (map[hierarchy.Path]hierarchy.Path, error) {
	paths := make([]string, len(r.m.sites))
	for i, s := range r.m.sites {
		paths[i] = string(s.path)
	}
	rows, err := r.queries().SitesThere(ctx, paths)
	there := make(map[hierarchy.Path]hierarchy.Path, len(rows))
	for _, row := range rows {
		there[hierarchy.Path(row.Asked)] = hierarchy.Path(row.Current)
	}
	return there, err
}
