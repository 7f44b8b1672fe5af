package maintain

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPace_ARoundEndsWhenItHasReadEnoughForNothingOrDoneEnough(t *testing.T) {
	t.Parallel()
	failed := errors.New("it failed")
	paced := Pace{Idle: 20, Busy: 100}
	for name, c := range map[string]struct {
		pace  Pace
		steps []step // the last one is repeated
		err   error  // of the third
		want  int    // steps
		busy  int
	}{
		"nothing is left": {
			pace:  paced,
			steps: []step{{busy: 3}, {end: true}},
			want:  2,
			busy:  3,
		},
		"for nothing": {
			pace:  paced,
			steps: []step{{idle: 9, busy: 1}},
			want:  3,
			busy:  3,
		},
		"done enough": {
			pace:  paced,
			steps: []step{{busy: 30}},
			want:  4,
			busy:  120,
		},
		"an error": {
			pace:  paced,
			steps: []step{{busy: 1}},
			err:   failed,
			want:  3,
			busy:  3,
		},
		"a whole one to the end": {
			pace:  Whole,
			steps: []step{{idle: 9000}, {busy: 90_000}, {idle: 1}, {end: true}},
			want:  4,
			busy:  90_000,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			taken := 0
			busy, err := c.pace.walk(t.Context(), func(context.Context) (step, error) {
				s := c.steps[min(taken, len(c.steps)-1)]
				taken++
				s.end = s.end || taken == 10
				if taken == 3 {
					return s, c.err
				}
				return s, nil
			})
			require.ErrorIs(t, err, c.err)
			require.Equal(t, c.want, taken)
			require.Equal(t, c.busy, busy)
		})
	}
}
