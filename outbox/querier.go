package outbox

import (
	"github.com/riverhook/riverhook/hierarchy"
)

// Querier is a transaction of database/sql, or of a library built on it: see
// [hierarchy.Querier].
type Querier = hierarchy.Querier
