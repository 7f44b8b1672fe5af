package pgtest

import (
	"github.com/stretchr/testify/require"
	"testing"
	"time"
)

func TestX(t *testing.T) {
	for range 5 {
		b := time.Now()
		t.Run("x", func(t *testing.T) {
			p := Pool(t)
			t.Log(time.Since(b))
			var n int
			require.NoError(t, p.QueryRow(t.Context(), "SELECT count(*) FROM riverhook.river_job").Scan(&n))
			b = time.Now()
		})
		t.Log(time.Since(b))
	}
}

// x
// x
