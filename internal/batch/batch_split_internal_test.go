package batch

import (
	"context"
	"errors"
	"math/bits"
	"testing"

	"github.com/stretchr/testify/require"
)

// Each byte is an item: most are good, some fail whatever batch they are in, by
// an error, a panic or a wrong number of outputs, and some only beside another.
func FuzzSettle_OnlyWhatFailsByItselfFails(f *testing.F) {
	for _, seed := range []string{"", "g", "e", "gggg", "gegg", "eeee", "gpgwge", "sgsg", "gggggggggggggggggggggggggggggggge"} {
		f.Add([]byte(seed))
	}
	errItem := errors.New("no")
	f.Fuzz(func(t *testing.T, kinds []byte) {
		if len(kinds) == 0 || len(kinds) > 500 {
			return
		}
		flushes, took := 0, make([]int, len(kinds))
		g := New(Config{}, func(_ context.Context, items []int) ([]int, error) {
			flushes++
			require.NotEmpty(t, items)
			outs, shy := make([]int, 0, len(items)), 0
			for i, item := range items {
				require.Equal(t, items[0]+i, item, "a batch is split, not shuffled")
				switch kinds[item] {
				case 'e':
					return nil, errItem
				case 'p':
					panic("no")
				case 'w':
					return make([]int, len(items)+1), nil
				case 's':
					shy++
				}
				outs = append(outs, -item)
			}
			if shy > 1 {
				return nil, errItem
			}
			for _, item := range items {
				took[item]++
			}
			return outs, nil
		})
		calls := make([]*call[int, int], len(kinds))
		for i := range calls {
			calls[i] = &call[int, int]{in: i}
		}

		g.settleAll(calls)

		bad := 0
		for i, c := range calls {
			switch kinds[i] {
			case 'e', 'p', 'w':
				bad++
				require.Error(t, c.err)
				require.Zero(t, took[i])
			case 's':
				bad++ // it may cost as much
				fallthrough
			default:
				require.NoError(t, c.err)
				require.Equal(t, -i, c.out)
				require.Equal(t, 1, took[i], "it takes effect once")
			}
		}
		require.LessOrEqual(t, flushes, 1+2*bad*bits.Len(uint(len(kinds))), "one bad item costs a path through the halves")
	})
}
