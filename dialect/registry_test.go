package dialect_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/dialect"
)

type named struct {
	dialect.Dialect

	name string
}

func (n named) Name() string { return n.name }

func TestRegistry_FindsDialectsByNamesOfTheirOwn(t *testing.T) {
	t.Parallel()

	t.Run("FindsDialectsByName", func(t *testing.T) {
		t.Parallel()
		r, err := dialect.NewRegistry(dialect.Standard(), dialect.Plain())
		require.NoError(t, err)
		require.Equal(t, []string{"plain", "standard"}, r.Names())
		d, ok := r.Get("standard")
		require.True(t, ok)
		require.Equal(t, "standard", d.Name())
		_, ok = r.Get("hub")
		require.False(t, ok)
	})

	t.Run("RefusesATakenNameAndChangesNothing", func(t *testing.T) {
		t.Parallel()
		r, err := dialect.NewRegistry(dialect.Standard())
		require.NoError(t, err)
		require.EqualError(t, r.Register(named{dialect.Plain(), "standard"}), `dialect: register: the name "standard" is taken`)
		d, _ := r.Get("standard")
		require.NotEqual(t, named{dialect.Plain(), "standard"}, d)
		_, err = dialect.NewRegistry(dialect.Plain(), dialect.Plain())
		require.ErrorContains(t, err, "taken")
	})

	t.Run("RefusesNilAndBadNames", func(t *testing.T) {
		t.Parallel()
		var r dialect.Registry
		require.ErrorContains(t, r.Register(nil), "nil")
		require.ErrorContains(t, r.Register((*named)(nil)), "nil")
		for _, name := range []string{"", "Hub", "a b", "a.b", "ü", strings.Repeat("a", 65), "a\n"} {
			require.ErrorContains(t, r.Register(named{dialect.Plain(), name}), "must be 1 to 64", "%q", name)
		}
		require.Empty(t, r.Names())
		require.NoError(t, r.Register(named{dialect.Plain(), strings.Repeat("a", 64)}))
		require.NoError(t, r.Register(named{dialect.Plain(), "a-b_1"}))
	})

	t.Run("NilIsEmpty", func(t *testing.T) {
		t.Parallel()
		var r *dialect.Registry
		_, ok := r.Get("standard")
		require.False(t, ok)
		require.Empty(t, r.Names())
	})

	t.Run("IsSafeForConcurrentUse", func(t *testing.T) {
		t.Parallel()
		var r dialect.Registry
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				_ = r.Register(named{dialect.Plain(), fmt.Sprint("d", i)})
				_, _ = r.Get("d0")
				_ = r.Names()
			})
		}
		wg.Wait()
		require.Len(t, r.Names(), 8)
	})
}
