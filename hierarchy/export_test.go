package hierarchy

import (
	"github.com/jackc/pgx/v5/pgxpool"
)

// Parts for the tests of the package.
var (
	Child       = child
	LastSegment = lastSegment
)

// Pool is the pool of the sites.
func (s *Sites) Pool() *pgxpool.Pool { return s.scope.Pool() }
