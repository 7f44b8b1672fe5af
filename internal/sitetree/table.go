package sitetree

import (
	"context"
	"errors"

	"github.com/riverhook/riverhook/access"
	"github.com/riverhook/riverhook/internal/store"
)

// Asked is a path of which the tree is asked, for an intent that has seen it at a
// version.
type Asked struct {
	Path        access.Path
	TreeVersion int64 // 0 is the present
}

// Chains reads the chains of paths in the table of sites, in one statement.
func Chains(ctx context.Context, q *store.Queries, list []Asked) ([]Chain, error) {
	texts, err := q.SiteChains(ctx, ChainsParams(list))
	if err != nil {
		return nil, err
	}
	return ChainsOf(texts)
}

// ChainsParams are the parameters of the statement.
func ChainsParams(list []Asked) *store.SiteChainsParams {
	p := &store.SiteChainsParams{
		Ords:         []int{},
		Paths:        []string{},
		TreeVersions: []int64{},
	}
	for i, a := range list {
		p.Ords = append(p.Ords, i)
		p.Paths = append(p.Paths, string(NearestValid(a.Path)))
		p.TreeVersions = append(p.TreeVersions, a.TreeVersion)
	}
	return p
}

var errNoRoot = errors.New(`there is no site "/"`)

// ChainsOf reads what the statement returned.
func ChainsOf(texts [][]string) ([]Chain, error) {
	chains := make([]Chain, len(texts))
	for i, text := range texts {
		if len(text) < 2 {
			return nil, errNoRoot
		}
		chains[i].Token = text[0]
		for _, site := range text[1:] {
			chains[i].Sites = append(chains[i].Sites, access.Path(site))
		}
	}
	return chains, nil
}
